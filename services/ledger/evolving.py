"""The matcher's state as of an entry or a time, by applying the archived entries."""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.record import decode_record
from events.undecodable import UNDECODABLE
from services.ledger.chain import place_of_record
from services.ledger.faults import LedgerBroken
from services.ledger.history import Until
from services.ledger.lean import EntryPosition, name_of
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones


class _Place(msgspec.Struct, gc=False):
    """Where and when an entry stands, and no more of it."""

    seq: int
    index: int
    part: int
    at: int

    @property
    def position(self) -> EntryPosition:
        return self.seq, self.index, self.part


class _Places(msgspec.Struct, gc=False):
    """The places of a record's entries."""

    entries: list[_Place]


_places: Final = msgspec.json.Decoder(_Places)


class ArchivedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry's place, its bytes, and the record that it stands in."""

    position: EntryPosition
    at_ns: int
    raw: bytes
    record: int


def entries_after(store: LedgerStore, after_record: int = 0) -> Iterator[ArchivedEntry]:
    """Yield entries in order, a few MiB of them at a time."""
    for record in store.records(after_record):
        try:
            places = _places.decode(record.body).entries
            raws = decode_record(record.body).entries
        except (*UNDECODABLE, ValueError) as error:
            raise LedgerBroken(place_of_record(record.seq), f"it cannot be read: {error}; run `verify`") from None
        for place, raw in zip(places, raws, strict=True):
            yield ArchivedEntry(place.position, place.at, bytes(raw), record.seq)


def cannot_apply(position: EntryPosition, error: Exception) -> LedgerBroken:
    """Return what is wrong with an entry that does not follow from those before it."""
    what = f"{type(error).__name__}: {str(error)[:200] or 'no more is known'}"
    return LedgerBroken(
        f"entry {name_of(position)}", f"it cannot follow what is archived before it ({what}): run `verify`"
    )


def is_within(entry: ArchivedEntry, until: Until) -> bool:
    """Tell whether an entry belongs to what `until` says."""
    if until.position is not None:
        return entry.position <= until.position
    return until.at_ns is None or entry.at_ns <= until.at_ns


class Evolving:
    """An engine that follows an archive as far as it is told to, and never back."""

    def __init__(self, store: LedgerStore, zones: Zones, progress: Progress | None = None) -> None:
        # Applying entries takes no secrets, but days end by the time zones.
        self.engine = Engine(store.market, Facts(market_key=bytes(32)), zones)
        self._entries = entries_after(store)
        self._next = next(self._entries, None)
        self._total = store.tip.entries if store.tip is not None else 0
        self._progress = progress
        self.applied = 0

    def _apply(self, entry: ArchivedEntry) -> None:
        try:
            self.engine.evolve(entry.raw)
        # Whatever a history that was tampered with makes of the state, it is a finding and no traceback.
        except Exception as error:
            raise cannot_apply(entry.position, error) from error

    def to(self, until: Until) -> Iterator[ArchivedEntry]:
        """Apply the entries up to and including `until`; yield each after it has been applied."""
        while self._next is not None and is_within(self._next, until):
            applied = self._next
            self._apply(applied)
            self.applied += 1
            if self._progress is not None and self.applied % 1_000 == 0:
                self._progress(self.applied, self._total)
            self._next = next(self._entries, None)
            yield applied
