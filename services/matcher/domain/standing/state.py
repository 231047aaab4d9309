"""What the matcher knows of standing: detection's book, the ladder, and doubts that are still to be told."""

import msgspec

from services.matcher.domain.standing.book import Book
from services.matcher.domain.standing.groups import Seats
from services.matcher.domain.standing.ladder import Ledge


class Doubt(msgspec.Struct, gc=False, array_like=True):
    """A counted assist that is not to count any more."""

    play: str
    place: int
    score: int
    reasons: list[str]


class Doubts(msgspec.Struct, gc=False):
    """Doubts that one assist cast: `because` is its entry, packed; `no` numbers their alarm."""

    no: int
    at_ns: int
    because: int
    doubts: list[Doubt]


class Standing(msgspec.Struct, kw_only=True):
    """Everything about standing."""

    book: Book = msgspec.field(default_factory=Book)
    ledge: Ledge = msgspec.field(default_factory=Ledge)
    seats: Seats = msgspec.field(default_factory=Seats)
    doubts: dict[str, Doubts] = {}
    """By the number of their alarm: told at once, an entry after the assist that cast them."""
