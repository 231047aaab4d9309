"""A record as the ledger needs it to check and index it: positions, times, and who and what is named.

Everything else is skipped while decoding, and no kind of event or decision has to be known: a ledger that is
older than the matcher still archives and finds what the matcher wrote.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from events.record import RECORD_FORMAT, Through, entry_id
from events.undecodable import UNDECODABLE
from services.ledger.faults import LedgerBroken

EntityKind = Literal["group", "order", "member", "offer", "play", "dispute"]
"""What entries can be found by."""

Entity = tuple[EntityKind, str]
EntryPosition = tuple[int, int, int]
"""(sequence in the intake, index in the batch, part)."""


_Fields = tuple[Callable[[Any], Any], ...]


def _fields(*names: str) -> _Fields:
    return tuple(map(attrgetter, names))


class LeanSeat(msgspec.Struct, gc=False):
    """Whose seat it is."""

    order: Any = None
    member: Any = None


class LeanDecision(msgspec.Struct, gc=False):
    """Whom and what a decision names; a field of an unknown kind may hold something else than an id."""

    group: Any = None
    into: Any = None
    order: Any = None
    promoted: Any = None
    member: Any = None
    inviter: Any = None
    invitee: Any = None
    offer: Any = None
    play: Any = None
    dispute: Any = None
    seats: list[LeanSeat] | int = []
    """The seats that a closing names; a merge only counts them."""


class LeanData(msgspec.Struct, gc=False):
    """Whom and what an event's payload names."""

    group: Any = None
    order: Any = None
    member: Any = None
    via: Any = None
    other: Any = None
    inviter: Any = None
    invitee: Any = None
    offer: Any = None
    play: Any = None
    dispute: Any = None


class LeanEvent(msgspec.Struct, gc=False):
    """An event, only its payload."""

    data: LeanData | None = None


class LeanEntry(msgspec.Struct, gc=False):
    """An entry, only its position, its accepted time and what it names."""

    seq: int
    index: int
    part: int
    at: int
    decisions: list[LeanDecision]
    event: LeanEvent | None = None

    @property
    def position(self) -> EntryPosition:
        """The entry's position."""
        return self.seq, self.index, self.part


class LeanRecord(msgspec.Struct, gc=False):
    """A record with lean entries."""

    v: int
    market: str
    prev: str
    intake: str
    through: Through
    entries: list[LeanEntry]


_NAMES: Final[dict[EntityKind, tuple[_Fields, _Fields, _Fields]]] = {
    "group": (_fields("group", "into"), _fields("group"), ()),
    "order": (_fields("order", "promoted"), _fields("order"), _fields("order")),
    "member": (
        _fields("member", "inviter", "invitee"),
        _fields("member", "via", "other", "inviter", "invitee"),
        _fields("member"),
    ),
    "offer": (_fields("offer"), _fields("offer"), ()),
    "play": (_fields("play"), _fields("play"), ()),
    "dispute": (_fields("dispute"), _fields("dispute"), ()),
}
"""Which fields of decisions, of events and of seats hold names of each kind."""

_record_decoder: Final = msgspec.json.Decoder(LeanRecord)
_entry_decoder: Final = msgspec.json.Decoder(LeanEntry)


def decode_lean_record(body: bytes, place: str) -> LeanRecord:
    """Return the record in `body`. Raises LedgerBroken at `place` when there is none that can be kept."""
    try:
        record = _record_decoder.decode(body)
    except UNDECODABLE as error:
        raise LedgerBroken(place, f"this is no record: {error}") from None
    if record.v != RECORD_FORMAT:
        raise LedgerBroken(place, f"record format {record.v} is not known here, only {RECORD_FORMAT}")
    if not record.entries:
        raise LedgerBroken(place, "a record without entries")
    return record


def decode_lean_entry(raw: bytes | msgspec.Raw) -> LeanEntry:
    """Return the entry in `raw`. Raises LedgerBroken when there is none."""
    try:
        return _entry_decoder.decode(raw)
    except UNDECODABLE as error:
        raise LedgerBroken("an entry", f"it cannot be read: {error}") from None


def entities_of(entries: Sequence[LeanEntry]) -> Iterator[Entity]:
    """Yield every group, order, member, offer, play and dispute that the entries name, each once."""
    return ((kind, name) for kind, names in names_of(entries).items() for name in names)


def names_of(entries: Sequence[LeanEntry]) -> dict[EntityKind, set[str]]:
    """Return the same by kind."""
    decisions = [decision for entry in entries for decision in entry.decisions]
    data = [entry.event.data for entry in entries if entry.event is not None and entry.event.data is not None]
    seats = [seat for decision in decisions if isinstance(decision.seats, list) for seat in decision.seats]
    named: dict[EntityKind, set[str]] = {}
    for kind, (of_decisions, of_data, of_seats) in _NAMES.items():
        columns = [map(field, decisions) for field in of_decisions]
        columns += [map(field, data) for field in of_data]
        columns += [map(field, seats) for field in of_seats]
        named[kind] = _distinct(chain.from_iterable(columns))
    return named


def _distinct(names: Iterator[Any]) -> set[str]:
    """Return the texts among `names`; what is absent is None, and a kind to come may put anything there."""
    found: set[Any] = set()
    while True:
        try:
            found.update(names)
        except TypeError:  # what cannot be hashed is no text; `names` goes on after it
            continue
        found.discard(None)
        return found if set(map(type, found)) <= {str} else {name for name in found if isinstance(name, str)}


def name_of(position: EntryPosition) -> str:
    """Return the name of an entry, `seq.index.part`."""
    return entry_id(*position)
