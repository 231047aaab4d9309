"""Finding entries again: all of them in order, or those that concern one group, order, member or offer."""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.decode import decode_archived
from events.ids import are_ids, is_name
from events.record import BadRecord, Entry, decode_entry, decode_record, parse_entry_id
from events.registry import AnyEvent
from events.times import format_time_ns, parse_time_ns
from events.undecodable import UNDECODABLE
from services.ledger.chain import place_of_record
from services.ledger.faults import BadQuestion, LedgerBroken, NotFound
from services.ledger.lean import EntityKind, EntryPosition, decode_lean_entry, name_of
from services.ledger.names import entities_of
from services.ledger.store import LedgerStore


class Until(msgspec.Struct, frozen=True):
    """How far to read: up to and including an entry, or all that was accepted up to and including a time."""

    position: EntryPosition | None = None
    at_ns: int | None = None

    def includes(self, entry: Entry) -> bool:
        """Tell whether an entry belongs to it."""
        if self.position is not None and (entry.seq, entry.index, entry.part) > self.position:
            return False
        return self.at_ns is None or entry.at <= self.at_ns

    def describe(self) -> str:
        """Return it in words."""
        if self.position is not None:
            return f"entry {name_of(self.position)}"
        return format_time_ns(self.at_ns) if self.at_ns is not None else "now"


END: Final = Until()
"""Everything there is."""


class FoundEntry(msgspec.Struct, frozen=True):
    """An entry, its exact bytes, and the record that it stands in."""

    record: int
    raw: bytes
    entry: Entry

    @property
    def position(self) -> EntryPosition:
        """The entry's position."""
        return self.entry.seq, self.entry.index, self.entry.part

    @property
    def name(self) -> str:
        """The entry's name."""
        return name_of(self.position)


def event_of(found: FoundEntry) -> AnyEvent | None:
    """Return the event of an entry, None where it keeps none. Raises LedgerBroken when it cannot be read."""
    if found.entry.event is None:
        return None
    try:
        return decode_archived(bytes(found.entry.event))
    except UNDECODABLE as error:
        raise LedgerBroken(f"entry {found.name}", f"its event cannot be read: {error}; run `verify`") from None


def parse_until(text: str) -> Until:
    """Return what `--until` means: `SEQ`, `SEQ.INDEX`, `SEQ.INDEX.PART`, or an RFC 3339 time.

    Missing trailing parts of a position count as 0. Raises BadQuestion when it is neither.
    """
    try:
        return Until(position=parse_entry_id(text))
    except ValueError:
        pass
    try:
        return Until(at_ns=parse_time_ns(text))
    except ValueError:
        raise BadQuestion(
            f"{text[:60]!r} is neither a position (SEQ, SEQ.INDEX or SEQ.INDEX.PART, e.g. 120.0.1) nor a time "
            "(RFC 3339 with an offset, e.g. 2026-11-23T10:00:00Z)"
        ) from None


def check_until(store: LedgerStore, until: Until) -> None:
    """Raise NotFound when a position lies past the end of the ledger."""
    end = store.tip.position if store.tip is not None else (0, 0, 0)
    if until.position is not None and until.position > end:
        raise NotFound(f"position {name_of(until.position)} is past the end: the last entry is {name_of(end)}")


def check_name(kind: EntityKind, name: str) -> None:
    """Raise BadQuestion when no entity of that kind can have that name."""
    if not (is_name(name) if kind == "member" else are_ids(name) and "\n" not in name):
        raise BadQuestion(f"{name[:80]!r} cannot be a {kind}: expected 1 to 64 of A-Z a-z 0-9 . _ - (members: no dot)")


def scan(store: LedgerStore, after_record: int = 0) -> Iterator[FoundEntry]:
    """Yield every entry in order, reading a few MiB at a time."""
    for record in store.records(after_record):
        yield from entries_in(record.seq, record.body)


def entries_of(store: LedgerStore, kind: EntityKind, name: str, until: Until = END) -> Iterator[FoundEntry]:
    """Yield the entries that concern an entity, in order, reading only the records that the index names."""
    check_name(kind, name)
    needle = f'"{name}"'.encode()
    for seq in store.find(kind, name):
        for found in entries_in(seq, read_record(store, seq), needle):
            if not until.includes(found.entry):
                return
            if (kind, name) in entities_of([decode_lean_entry(found.raw)]):
                yield found


def entry_at(store: LedgerStore, position: EntryPosition) -> FoundEntry:
    """Return the entry at a position. Raises NotFound when there is none."""
    summary = store.record_at(position)
    if summary is not None:
        for found in entries_in(summary.record, read_record(store, summary.record)):
            if found.position == position:
                return found
    raise NotFound(f"there is no entry {name_of(position)} in the ledger of market {store.market}")


def read_record(store: LedgerStore, seq: int) -> bytes:
    """Return the bytes of a record that the index names. Raises LedgerBroken when it is not there."""
    record = store.record(seq)
    if record is None:
        raise LedgerBroken(place_of_record(seq), "the index names it, but it is not in the archive: run `verify`")
    return record.body


def entries_in(seq: int, body: bytes, needle: bytes | None = None) -> Iterator[FoundEntry]:
    """Yield the entries of a record, or only those whose bytes contain `needle`."""
    try:
        for element in decode_record(body).entries:
            raw = bytes(element)
            if needle is None or needle in raw:
                yield FoundEntry(seq, raw, decode_entry(raw))
    except BadRecord as error:
        raise LedgerBroken(place_of_record(seq), f"{error}: run `verify`") from None
