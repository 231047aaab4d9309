"""What detection remembers: plays with their assists, who helped whom, devices, networks, and what is usual."""

from sys import byteorder
from typing import Final

import msgspec

from services.matcher.domain.standing.clusters import Clusters
from services.matcher.domain.standing.flags import DROPPED
from services.matcher.domain.standing.packed import KEY_BYTES, Key, Table
from services.matcher.domain.standing.usual import Usual

WINDOW_H: Final = 7 * 24
MARKS_BYTES: Final = 12
"""Of one assist in `Watch.marks`: six of its device's key, six of its network's."""
ROW_BYTES: Final = 8
"""Of one assist in `Watch.rows`: six of the helper's key, two of flags."""
TIME_BYTES: Final = 4
OTHER_BYTES: Final = 4


class Watch(msgspec.Struct, kw_only=True, gc=False):
    """One play as detection sees it: 24 bytes an assist, and four for each other play that a helper has helped in."""

    play: str
    beneficiary: Key
    opened_s: int
    times: bytearray = msgspec.field(default_factory=bytearray)
    """The second of each assist, in the byte order of the machine, so that the C library can search them."""
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
        return len(self.times) >> 2

    def helper_at(self, place: int) -> Key:
        """Return who gave the assist at `place`."""
        return bytes(self.rows[place * ROW_BYTES : place * ROW_BYTES + KEY_BYTES])

    def second_at(self, place: int) -> int:
        """Return when the assist at `place` was given."""
        return int.from_bytes(self.times[place * TIME_BYTES : place * TIME_BYTES + TIME_BYTES], byteorder)

    def flags_at(self, place: int) -> int:
        """Return the flags of the assist at `place`."""
        return int.from_bytes(self.rows[place * ROW_BYTES + KEY_BYTES : place * ROW_BYTES + ROW_BYTES])

    def drop(self, place: int) -> None:
        """Count the assist at `place` as help no more."""
        self._set_flags(place, self.flags_at(place) | DROPPED)
        self.dropped += 1

    def restore(self, place: int) -> None:
        """Count the assist at `place` as help after all."""
        self._set_flags(place, self.flags_at(place) & ~DROPPED)
        self.dropped -= 1

    def _set_flags(self, place: int, flags: int) -> None:
        self.rows[place * ROW_BYTES + KEY_BYTES : place * ROW_BYTES + ROW_BYTES] = flags.to_bytes(2)


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
