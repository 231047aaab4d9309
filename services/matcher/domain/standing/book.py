"""What detection remembers: plays with their assists, who helped whom, devices, networks, and what is usual."""

from typing import Final

import msgspec

from services.matcher.domain.standing.clusters import Clusters
from services.matcher.domain.standing.packed import Key, Table
from services.matcher.domain.standing.usual import Usual

WINDOW_H: Final = 7 * 24
MARKS_BYTES: Final = 12
"""Of one assist in `Watch.marks`: six of its device's key, six of its network's."""
ROW_BYTES: Final = 12
"""Of one assist in `Watch.rows`: six of the helper's key, four of the second, two of flags."""
OTHER_BYTES: Final = 4

# Flags of an assist.
YOUNG: Final = 1
"""The account is younger than a week."""
AGED: Final = 2
"""The account's age is known."""
MOVED: Final = 4
"""Device and network both differ from those that the account helped with before."""
SETTLED: Final = 8
"""The account has helped before with a known device and network."""
UNCALLED: Final = 16
"""Nobody is known to have notified, invited or shared with the helper."""
BUSY: Final = 32
"""The account helps many more people than is usual."""
RETURNED: Final = 64
"""The beneficiary had helped the helper, directly or through one other member."""
LINKED: Final = 256
"""The helper met an earlier helper of this play in a small play of a stranger."""
PAIRED: Final = 512
"""The device had been used by another account."""
KNOWN: Final = 1024
"""The account has helped somebody within the window."""
DROPPED: Final = 128
"""Held, refused or voided: it counts as evidence, not as help."""


class Watch(msgspec.Struct, kw_only=True, gc=False):
    """One play as detection sees it: 24 bytes an assist, and four for each other play that a helper has helped in."""

    play: str
    beneficiary: Key
    opened_s: int
    marks: bytearray = msgspec.field(default_factory=bytearray)
    rows: bytearray = msgspec.field(default_factory=bytearray)
    others: bytearray = msgspec.field(default_factory=bytearray)
    """Numbers of other plays in which helpers of this one helped as well, once for each helper and play."""
    young: int = 0
    moved: int = 0
    uncalled: int = 0
    busy: int = 0
    returned: int = 0
    dropped: int = 0
    paired: int = 0
    """Assists from a device that others had helped with."""
    known: int = 0
    links: int = 0
    """Other small plays, of people who are strangers here, in which two helpers or more of this one met."""
    linked: int = 0
    """Assists by helpers who had met one before them in such a play."""

    @property
    def assists(self) -> int:
        """How many assists have been seen, whatever became of them."""
        return len(self.rows) // ROW_BYTES


class Book(msgspec.Struct, kw_only=True):
    """Everything that detection remembers: bounded by the window, the plays that are open, and stated capacities."""

    watches: dict[int, Watch] = {}
    numbers: dict[str, int] = {}
    """Play -> its number among all plays."""
    next_number: int = 1
    helpings: Table = msgspec.field(default_factory=lambda: Table(row_bytes=10, window_h=WINDOW_H))
    """Helper -> hour, number of the play, two bytes of the device, two of the network; one for each assist."""
    devices: Table = msgspec.field(default_factory=lambda: Table(row_bytes=9, window_h=WINDOW_H))
    """Device -> hour, key of the account seen with it last, how many accounts were (255 and more are 255)."""
    networks: Table = msgspec.field(default_factory=lambda: Table(row_bytes=10, window_h=WINDOW_H))
    """Network -> hour, assists, plays."""
    clusters: Clusters = msgspec.field(default_factory=Clusters)
    usual: Usual = msgspec.field(default_factory=Usual)
