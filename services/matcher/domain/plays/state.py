"""What the matcher knows of plays: one struct a play, and bytes for what there are millions of."""

from typing import Final

import msgspec

from events.limits import PLAY_HELPERS_MAX
from services.matcher.domain.fifo import Fifo
from services.matcher.domain.plays.hashed import KEY_BYTES, NOTHING, Key, Table
from services.matcher.domain.plays.names import Names
from services.matcher.domain.rows import append

OPEN: Final = 1
CLOSED: Final = 2

# Kinds of alarms.
ENDS: Final = "play.ends"
DRAWS: Final = "play.draws"

# What became of an assist, the first byte of each place; NEW is added to it for a new member.
COUNTED: Final = 1
HELD: Final = 2
REFUSED: Final = 3
VOIDED: Final = 4
NEW: Final = 8
STATUS: Final = 7
"""Takes NEW away."""
KEYS_BYTES: Final = 2 * KEY_BYTES
"""The keys of helper and assist end each row."""
INDEXED_FROM: Final = 64
"""So many assists are searched as quickly as a table of their keys; it would take as much room as they do."""


class Play(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One play. An assist's place, from 0, is its position less one."""

    play: str
    form: str
    publisher: str
    ends_ns: int
    no: int
    """Numbers its alarm: from the state's counter, so that no two are alike."""
    opened: int
    """The packed position of the event that opened it: its seed is made from it."""
    helper_limit: int
    rules: bytes
    """Its common rules and its form's terms as JSON; the index keeps them decoded, once for all that are alike."""
    member: str | None = None
    offer: str | None = None
    status: int = OPEN
    counted: int = 0
    """Assists that count now."""
    number: int = 0
    """What its form counts: what can still be cut, tickets, steps towards the next reward."""
    given: int = 0
    """Assists that no rule refused: the next one's place."""
    width: int = 1 + KEYS_BYTES
    """Bytes of a row: a status, what its form keeps, the key of the helper, the key of the assist."""
    rows: bytearray = msgspec.field(default_factory=bytearray)
    """One for each place."""
    index: Table | None = None
    """Place by key of helper and of assist, where there are many."""
    watch: int = 0
    """Number of what is remembered of the help that its member gets in it."""
    names: Names | None = None
    """Members with tickets."""
    digest: bytes = b""
    """Of the list of participants, where there is one."""
    drawn: int = 0
    """Prizes drawn so far at its closing, of `to_draw`."""
    to_draw: int = 0

    def helpers_left(self, helpers: int) -> int | None:
        """Return how many more may help after `helpers` of them; None where the play sets no limit of its own."""
        return None if self.helper_limit == PLAY_HELPERS_MAX else max(0, self.helper_limit - helpers)

    def assist_status(self, place: int) -> int:
        """Return what became of the assist at `place`."""
        return self.rows[place * self.width] & STATUS

    def is_new(self, place: int) -> bool:
        """Tell whether the helper at `place` was a new member."""
        return self.rows[place * self.width] & NEW != 0

    def set_assist_status(self, place: int, status: int) -> None:
        """Set what became of the assist at `place`."""
        self.rows[place * self.width] = self.rows[place * self.width] & NEW | status

    def place_of(self, key: Key) -> int:
        """Return the place of the helper, or of the assist, with this key; NOTHING where there is none."""
        if self.index is not None:
            return self.index.get(key)
        rows, width = self.rows, self.width
        at = rows.rfind(key)
        while at >= 0 and at % width not in (width - KEYS_BYTES, width - KEY_BYTES):
            at = rows.rfind(key, 0, at + KEY_BYTES - 1)
        return NOTHING if at < 0 else at // width

    def add_place(self, status: int, helper: Key, assist: Key) -> None:
        """Add an assist at the next place."""
        place = self.given
        append(self.rows, bytes((status,)) + bytes(self.width - 1 - KEYS_BYTES) + helper + assist)
        self.given = place + 1
        if self.index is not None:
            self.index.insert(helper, place)
            self.index.insert(assist, place)
        elif place == INDEXED_FROM:
            self.index = self._indexed()

    def _indexed(self) -> Table:
        table, rows = Table(), self.rows
        for at in range(0, len(rows), self.width):
            keys_at, end = at + self.width - KEYS_BYTES, at + self.width
            table.insert(bytes(rows[keys_at : keys_at + KEY_BYTES]), at // self.width)
            table.insert(bytes(rows[keys_at + KEY_BYTES : end]), at // self.width)
        return table


class Plays(msgspec.Struct, kw_only=True):
    """Everything about plays."""

    plays: dict[str, Play] = {}
    by_offer: dict[str, list[str]] = {}
    """Offer -> open plays to which its filled groups give tickets."""
    ended: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    """(when, play), to be forgotten in that order."""
    assists: int = 0
    """How many are remembered."""
    day: str = ""
    """The day in the market's time zone of the last assist that counts for caps; it never goes back."""
    week: str = ""
    """The ISO week that `by_pair` counts."""
    by_pair: Table = msgspec.field(default_factory=Table)
    """Key of helper and helped -> assists in `week`, held ones included: of those alone whose play belongs to somebody
    else than whom they help. All others are counted from what is remembered of the helper (`caps.py`)."""
