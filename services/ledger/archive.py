"""Reading the archive: records by sequence, by position, by the entities that they name; always a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import UUID, uuid5

import msgspec
from eventsourcing.persistence import PersistenceError

from services.ledger.application import LedgerApplication
from services.ledger.faults import LedgerUnavailable
from services.ledger.lean import EntityKind, EntryPosition
from services.ledger.postings import RECORD_MAX, entity_key, pair_of, records_in_page
from services.ledger.recorders import Row, Summary
from services.ledger.runs import Run
from services.ledger.sql_tiles import SqlTiles

PAGE_MAX_BYTES: Final = 8 * 1024 * 1024
PAGE_MAX_RECORDS: Final = 512
FOUND_PAGES: Final = 16
_NAMESPACE: Final = UUID("6b1d4a52-7c1e-5f6c-9a53-1f6e0f1b2a3c")
_SELECT_SUMMARY: Final = (
    "SELECT record, hash, size_bytes, first_leaf, entries, first_seq, first_index, first_part, last_at FROM @records"
)
_SELECT_RUN: Final = "SELECT run, first_record, last_record, pairs FROM @runs"


class StoredRecord(msgspec.Struct, frozen=True):
    """A record as it was archived."""

    seq: int
    body: bytes


def originator_of(market: str, identity: str) -> UUID:
    """Return the originator of the records of one journal stream; a recreated stream is another originator."""
    return uuid5(_NAMESPACE, f"{market}\n{identity}")


class Archive:
    """What has been archived of one journal; knows nothing of how it came there."""

    def __init__(self, application: LedgerApplication, market: str, identity: str) -> None:
        self.market = market
        self.identity = identity
        self.originator = originator_of(market, identity)
        self.originator_key = application.originator_key(self.originator)
        self._application = application
        self.tiles = SqlTiles(application.recorder_in_use)

    def query(self, statement: str, parameters: Row = ()) -> list[Row]:
        """Return the rows that a statement gives; tables are named `@records` and so on.

        Raises LedgerUnavailable when the database does not answer as it should.
        """
        try:
            return self._application.recorder_in_use.query(statement, parameters)
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger's database cannot be read: {error}") from None

    def summaries(self, after: int, limit: int) -> list[Summary]:
        """Return up to `limit` summaries of records after sequence `after`, ascending."""
        rows = self.query(f"{_SELECT_SUMMARY} WHERE record > ? ORDER BY record LIMIT ?", (after, limit))
        return [Summary(*row) for row in rows]

    def summary(self, seq: int) -> Summary | None:
        """Return the summary of a record, None when there is none of that sequence."""
        rows = self.query(f"{_SELECT_SUMMARY} WHERE record = ?", (seq,))
        return Summary(*rows[0]) if rows else None

    def record(self, seq: int) -> StoredRecord | None:
        """Return the record of that sequence, None when there is none."""
        rows = self.query(
            "SELECT state FROM @events WHERE originator_id = ? AND originator_version = ?", (self.originator_key, seq)
        )
        return StoredRecord(seq, as_bytes(rows[0][0])) if rows else None

    def records(self, after: int = 0) -> Iterator[StoredRecord]:
        """Yield every record after sequence `after`, ascending, reading at most some MiB at a time."""
        while True:
            sizes = self.query(
                "SELECT originator_version, length(state) FROM @events WHERE originator_id = ? "
                "AND originator_version > ? ORDER BY originator_version LIMIT ?",
                (self.originator_key, after, PAGE_MAX_RECORDS),
            )
            if not sizes:
                return
            last = _last_within(sizes, PAGE_MAX_BYTES)
            rows = self.query(
                "SELECT originator_version, state FROM @events WHERE originator_id = ? "
                "AND originator_version > ? AND originator_version <= ? ORDER BY originator_version",
                (self.originator_key, after, last),
            )
            yield from (StoredRecord(seq, as_bytes(state)) for seq, state in rows)
            after = last

    def runs(self) -> list[Run]:
        """Return the runs of the index, by the records that they cover."""
        return [Run(*row) for row in self.query(f"{_SELECT_RUN} ORDER BY last_record")]

    def has_run(self, run: Run) -> bool:
        """Tell whether a run is still there, not merged into another."""
        return bool(self.query("SELECT 1 FROM @runs WHERE run = ?", (run.run,)))

    def pages_of(self, run: Run) -> Iterator[bytes]:
        """Yield the bodies of a run's pages, ascending."""
        yield from (body for _, body in self.page_rows(run))

    def page_rows(self, run: Run) -> Iterator[tuple[bytes, bytes]]:
        """Yield (the pair that it is filed under, body) of a run's pages, ascending."""
        after = b""
        while True:
            rows = self.query(
                "SELECT first_pair, body FROM @pages WHERE run = ? AND first_pair > ? ORDER BY first_pair LIMIT ?",
                (run.run, after, FOUND_PAGES),
            )
            if not rows:
                return
            yield from ((as_bytes(first), as_bytes(body)) for first, body in rows)
            after = as_bytes(rows[-1][0])

    def find(self, kind: EntityKind, name: str, after: int = 0) -> Iterator[int]:
        """Yield the sequences of the records after `after` that may name an entity, ascending.

        Nearly always they do; two names may share a key, so look before you believe. Runs that are merged
        meanwhile are found in what they were merged into.
        """
        key = entity_key(kind, name)
        while (run := self._run_after(after)) is not None:
            rows = self._pages_with(run, key, after)
            if not rows:
                continue
            found = [record for (body,) in rows if body for record in records_in_page(as_bytes(body), key, after)]
            yield from found
            after = found[-1] if found and len(rows) == FOUND_PAGES else run.last_record

    def _run_after(self, record: int) -> Run | None:
        """Return the run that covers the records after a sequence, None when nothing does."""
        rows = self.query(f"{_SELECT_RUN} WHERE last_record > ? ORDER BY last_record LIMIT 1", (record,))
        return Run(*rows[0]) if rows else None

    def _pages_with(self, run: Run, key: bytes, after: int) -> list[Row]:
        """Return the first pages of a run that may name a key: one empty row for none, no row when the run is gone."""
        low = pair_of(key, after + 1)
        # The page before the first that begins above `low` may hold it.
        return self.query(
            "SELECT p.body FROM @runs r LEFT JOIN @pages p ON p.run = r.run AND p.first_pair >= COALESCE("
            "(SELECT max(q.first_pair) FROM @pages q WHERE q.run = r.run AND q.first_pair <= ?), ?) "
            "AND p.first_pair <= ? WHERE r.run = ? ORDER BY p.first_pair LIMIT ?",
            (low, low, pair_of(key, RECORD_MAX), run.run, FOUND_PAGES),
        )

    def record_at(self, position: EntryPosition) -> Summary | None:
        """Return the summary of the record that holds a position or would: the last that begins at or before it."""
        return self._last_summary(lambda found: (found.first_seq, found.first_index, found.first_part) <= position)

    def record_of_leaf(self, leaf_index: int) -> Summary | None:
        """Return the summary of the record that holds the entry of that number, None when there is none."""
        found = self._last_summary(lambda summary: summary.first_leaf <= leaf_index)
        return found if found is not None and leaf_index < found.first_leaf + found.entries else None

    def record_before(self, at_ns: int) -> int:
        """Return the sequence of the last record all of which was accepted before `at_ns`, 0 for none."""
        found = self._last_summary(lambda summary: summary.last_at_ns < at_ns)
        return found.record if found is not None else 0

    def entries_archived(self) -> int:
        """Return how many entries the archive holds."""
        return int(self.query("SELECT max(first_leaf + entries) FROM @records")[0][0] or 0)

    def meta(self, name: str) -> str | None:
        """Return what the ledger notes of itself under a name, None when there is nothing."""
        rows = self.query("SELECT value FROM @meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def _last_summary(self, is_before: Callable[[Summary], bool]) -> Summary | None:
        """Return the last summary of which something is true that is true of all before it."""
        low, high = 0, int(self.query("SELECT max(record) FROM @records")[0][0] or 0)
        found: Summary | None = None
        while low < high:
            middle = (low + high + 1) // 2
            rows = self.query(f"{_SELECT_SUMMARY} WHERE record <= ? ORDER BY record DESC LIMIT 1", (middle,))
            summary = Summary(*rows[0]) if rows else None
            if summary is None:
                # The first record comes later: strays may lie before it.
                low = middle
            elif is_before(summary):
                found, low = summary, middle
            else:
                high = summary.record - 1
        return found


def _last_within(sizes: Sequence[Row], max_bytes: int) -> int:
    """Return the last sequence of those that together stay within `max_bytes`; the first in any case."""
    last: int = sizes[0][0]
    total = 0
    for seq, size_bytes in sizes:
        total += size_bytes
        if total > max_bytes:
            break
        last = seq
    return last


def as_bytes(value: object) -> bytes:
    """Return what a column of bytes holds; SQLite lets anybody put text or nothing there, which is no record either."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
