"""A record as the ledger needs it to check and index it: positions, times, and who and what is named.

Everything else is skipped while decoding, and no kind of event or decision has to be known: a ledger that is
older than the matcher still archives and finds what the matcher wrote.
"""

from typing import Any, Final, Literal

import msgspec

from events.record import RECORD_FORMAT, EntryBytes, Through, entry_id
from events.undecodable import UNDECODABLE
from services.ledger.faults import LedgerBroken

EntityKind = Literal["group", "order", "member", "offer", "play", "dispute"]
"""What entries can be found by."""

Entity = tuple[EntityKind, str]
EntryPosition = tuple[int, int, int]
"""(sequence in the intake, index in the batch, part)."""


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


class CommittedRecord(msgspec.Struct, gc=False):
    """A record as leaves are made of it: events and decisions stay the bytes they are."""

    rule: int
    entries: list[EntryBytes]


_record_decoder: Final = msgspec.json.Decoder(LeanRecord)
_entry_decoder: Final = msgspec.json.Decoder(LeanEntry)
decode_committed: Final = msgspec.json.Decoder(CommittedRecord).decode
"""Returns the record in some bytes for its leaves. Raises what UNDECODABLE names when there is none."""


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


def name_of(position: EntryPosition) -> str:
    """Return the name of an entry, `seq.index.part`."""
    return entry_id(*position)
