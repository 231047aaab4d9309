"""`ledger show`: the entries that concern a group, an order, a member, an offer or a play."""

from collections.abc import Iterator

import msgspec

from events.record import decode_entry_bytes
from events.times import format_time_ns
from services.ledger.history import END, FoundEntry, Until, check_until, entries_of, event_of
from services.ledger.lean import EntityKind
from services.ledger.store import LedgerStore
from services.ledger.words import decision_in_words, source_in_words


class ShownEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One entry as it is archived, and in words; `record` is the journal record that holds it."""

    entry: str
    record: int
    at: str
    at_ns: int
    publisher: str | None = None
    cause: str
    outcome: list[str]
    event: msgspec.Raw | None = None
    decisions: list[msgspec.Raw]


def show(store: LedgerStore, kind: EntityKind, name: str, until: Until = END) -> Iterator[ShownEntry]:
    """Yield the entries that concern an entity, in order; nothing when the ledger knows nothing of it.

    Raises BadQuestion for a name that cannot be one and NotFound for a position past the end.
    """
    check_until(store, until)
    return (shown(found) for found in entries_of(store, kind, name, until))


def shown(found: FoundEntry) -> ShownEntry:
    """Return an entry for showing."""
    entry, parts = found.entry, decode_entry_bytes(found.raw)
    event = event_of(found)
    return ShownEntry(
        entry=found.name,
        record=found.record,
        at=format_time_ns(entry.at),
        at_ns=entry.at,
        publisher=entry.publisher,
        cause=source_in_words(found, event),
        outcome=[decision_in_words(decision) for decision in entry.decisions],
        event=None if parts.event is None else msgspec.Raw(parts.event),
        decisions=parts.decisions,
    )
