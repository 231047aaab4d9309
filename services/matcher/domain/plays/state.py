"""What the matcher knows of plays: one struct a play, and bytes for what there are millions of."""

from typing import Final

import msgspec

from services.matcher.domain.fifo import Fifo
from services.matcher.domain.plays.hashed import Table
from services.matcher.domain.plays.names import Names

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
    width: int = 1
    """Bytes a place in `places`: a status, and what its form keeps."""
    places: bytearray = msgspec.field(default_factory=bytearray)
    keys: Table = msgspec.field(default_factory=Table)
    """Place by key of helper and of assist."""
    names: Names | None = None
    """Members with tickets."""
    digest: bytes = b""
    """Of the list of participants, where there is one."""
    drawn: int = 0
    """Prizes drawn so far at its closing, of `to_draw`."""
    to_draw: int = 0

    def assist_status(self, place: int) -> int:
        """Return what became of the assist at `place`."""
        return self.places[place * self.width] & STATUS

    def is_new(self, place: int) -> bool:
        """Tell whether the helper at `place` was a new member."""
        return self.places[place * self.width] & NEW != 0

    def set_assist_status(self, place: int, status: int) -> None:
        """Set what became of the assist at `place`."""
        self.places[place * self.width] = self.places[place * self.width] & NEW | status

    def add_place(self, status: int) -> int:
        """Add an assist; return its place."""
        self.places.append(status)
        self.places += bytes(self.width - 1)
        self.given += 1
        return self.given - 1


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
    """The day in the market's time zone that `by_helper` counts; it never goes back."""
    week: str = ""
    """The ISO week that `by_pair` counts."""
    by_helper: Table = msgspec.field(default_factory=Table)
    """Key of a helper -> assists on `day`, held ones included."""
    by_pair: Table = msgspec.field(default_factory=Table)
    """Key of helper and helped -> assists in `week`, held ones included."""
