"""What detection remembers: plays with their assists, who helped whom, devices, networks, and what is usual."""

from sys import byteorder
from typing import Final

import msgspec

from services.matcher.domain.standing.aging import Aging
from services.matcher.domain.standing.clusters import Clusters
from services.matcher.domain.standing.flags import DROPPED
from services.matcher.domain.standing.packed import KEY_BYTES, Key, Table
from services.matcher.domain.standing.usual import Usual

WINDOW_H: Final = 7 * 24
KEPT_H: Final = WINDOW_H + 3
"""Caps count what happened in a calendar week, which has 169 hours where a clock is put back."""
TIME_BYTES: Final = 4
ROW_BYTES: Final = TIME_BYTES + 3 * KEY_BYTES + 2
"""Of one assist in `Watch.rows`: its second, the keys of helper, device and network, and two bytes of flags."""
HELPER_AT: Final = TIME_BYTES
DEVICE_AT: Final = HELPER_AT + KEY_BYTES
NETWORK_AT: Final = DEVICE_AT + KEY_BYTES
FLAGS_AT: Final = NETWORK_AT + KEY_BYTES
_TIMES_A_ROW: Final = ROW_BYTES // TIME_BYTES
PLACE_BYTES: Final = 4
OTHER_BYTES: Final = 4
OTHERS_MAX_BYTES: Final = 8_192
"""Of the first 2,000 or so; a play with more is no small circle."""


class Rare(msgspec.Struct, kw_only=True, gc=False):
    """How many assists of a watch show what most assists show nothing of."""

    moved: int = 0
    busy: int = 0
    returned: int = 0
    dropped: int = 0
    paired: int = 0
    """Assists from a device that others had helped with."""
    links: int = 0
    """Other small plays, of people who are strangers here, in which two helpers or more of this one met."""
    linked: int = 0
    """Assists by helpers who had met one before them in such a play."""


_NOTHING_RARE: Final = Rare()


class Watch(msgspec.Struct, kw_only=True, gc=False):
    """Help for one member in one play: 24 bytes an assist, and eight for each other play of a helper."""

    play: str
    beneficiary: Key
    name: str | None = None
    """In a play that is everybody's, the play and whom it helps."""
    rows: bytearray = msgspec.field(default_factory=bytearray)
    """One for each assist, in the order of time; numbers in the byte order of the machine."""
    first_place: int = 0
    """Place in the play of its first assist; the others follow in the play of one member."""
    places: bytearray | None = None
    """In a play that is everybody's, the place of each assist: there only some of them help this member."""
    others: bytes = b""
    """Numbers of other plays in which helpers of this one help as well, once for each helper and play."""
    young: int = 0
    uncalled: int = 0
    known: int = 0
    spread: int = 0
    rare: Rare | None = None
    """Counts of what most plays show nothing of."""

    @property
    def odd(self) -> Rare:
        """Return `rare`, to be read."""
        return _NOTHING_RARE if self.rare is None else self.rare

    def rare_counts(self) -> Rare:
        """Return `rare`, to be added to."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    @property
    def assists(self) -> int:
        """How many assists have been seen, whatever became of them."""
        return len(self.rows) // ROW_BYTES

    def times(self) -> memoryview:
        """Return the second of each assist. While it is in use no assist can be added."""
        return memoryview(self.rows).cast("I")[::_TIMES_A_ROW]

    def helper_at(self, row: int) -> Key:
        """Return who gave the assist in a row."""
        return bytes(self.rows[row * ROW_BYTES + HELPER_AT : row * ROW_BYTES + DEVICE_AT])

    def device_at(self, row: int) -> Key:
        """Return the device of the assist in a row."""
        return bytes(self.rows[row * ROW_BYTES + DEVICE_AT : row * ROW_BYTES + NETWORK_AT])

    def network_at(self, row: int) -> Key:
        """Return the network of the assist in a row."""
        return bytes(self.rows[row * ROW_BYTES + NETWORK_AT : row * ROW_BYTES + FLAGS_AT])

    def place_at(self, row: int) -> int:
        """Return the place in the play of the assist in a row."""
        if self.places is None:
            return self.first_place + row
        return int.from_bytes(self.places[row * PLACE_BYTES : (row + 1) * PLACE_BYTES])

    def second_at(self, row: int) -> int:
        """Return when the assist in a row was given."""
        return int.from_bytes(self.rows[row * ROW_BYTES : row * ROW_BYTES + TIME_BYTES], byteorder)

    def flags_at(self, row: int) -> int:
        """Return the flags of the assist in a row."""
        return int.from_bytes(self.rows[row * ROW_BYTES + FLAGS_AT : (row + 1) * ROW_BYTES], byteorder)

    def row_of(self, place: int) -> int | None:
        """Return the row of the assist at `place` of the play, or None where it is not known."""
        if self.places is None:
            row = place - self.first_place
            return row if 0 <= row < self.assists else None
        wanted = place.to_bytes(PLACE_BYTES)
        at = self.places.find(wanted)
        while at >= 0 and at % PLACE_BYTES:
            at = self.places.find(wanted, at + 1)
        return None if at < 0 else at // PLACE_BYTES

    def set_dropped(self, row: int, *, dropped: bool) -> None:
        """Count the assist in a row as help no more, or after all."""
        flags = self.flags_at(row)
        if bool(flags & DROPPED) == dropped:
            return
        self.rare_counts().dropped += 1 if dropped else -1
        self.rows[row * ROW_BYTES + FLAGS_AT : (row + 1) * ROW_BYTES] = (flags ^ DROPPED).to_bytes(2, byteorder)


class Book(msgspec.Struct, kw_only=True):
    """Everything that detection remembers: bounded by the window, the plays that are open, and stated capacities."""

    watches: dict[int, Watch] = {}
    numbers: dict[str, int] = {}
    """Name of a watch in a play that is everybody's -> its number among all; any other play knows its own."""
    next_number: int = 1
    aging: Aging = msgspec.field(default_factory=Aging)
    """When it is looked at whether a watch has seen anything within the window."""
    helpings: Table = msgspec.field(default_factory=lambda: Table(row_bytes=11, window_h=KEPT_H))
    """Helper -> hour, mark of the day for caps, number of the watch, two bytes of the device, two of the network; one
    for each assist."""
    devices: Table = msgspec.field(default_factory=lambda: Table(row_bytes=9, window_h=WINDOW_H))
    """Device -> hour, key of the account seen with it last, how many accounts were (255 and more are 255)."""
    networks: Table = msgspec.field(default_factory=lambda: Table(row_bytes=10, window_h=WINDOW_H))
    """Network -> hour, assists, plays."""
    clusters: Clusters = msgspec.field(default_factory=Clusters)
    usual: Usual = msgspec.field(default_factory=Usual)
