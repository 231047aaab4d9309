"""`ledger verify`: reads everything again and says where the first thing is that is not as it must be."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from events.decode import decode_archived
from events.record import BadRecord, decode_entry, decode_record, hash_bytes
from events.undecodable import UNDECODABLE
from services.ledger.archive import StoredRecord
from services.ledger.chain import Tip, place_of_record, tip_after
from services.ledger.ends import check_tracking
from services.ledger.faults import LedgerBroken, LedgerUnavailable
from services.ledger.lean import LeanRecord, decode_lean_record, name_of
from services.ledger.postings import PAIR_BYTES, RECORD_BYTES, RECORD_MAX, pairs_of, split_page
from services.ledger.recorders import Summary
from services.ledger.runs import Run
from services.ledger.store import LedgerStore
from services.ledger.tree import has_tree
from services.ledger.verify_notices import NoticeReport, check_notices
from services.ledger.verify_tables import check_pages, check_strangers
from services.ledger.verify_tree import LogKeys, TreeCheck, TreeReport

_SUMMARY_PAGE: Final = 512
_NOTHING: Final = RECORD_MAX
_BEFORE_ALL: Final = -(2**62)

Progress = Callable[[int, int], None]
"""Takes how many entries have been read and how many there are."""


class Fault(msgspec.Struct, frozen=True):
    """The first thing that is wrong, and where."""

    place: str
    sentence: str


class VerifyReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a verification read, and the first fault if there is one."""

    market: str
    journal: str
    records: int
    entries: int
    last_record: int | None = None
    last_hash: str | None = None
    last_entry: str | None = None
    tree: TreeReport | None = None
    notices: NoticeReport | None = None
    fault: Fault | None = None

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing was wrong."""
        return self.fault is None


def verify(store: LedgerStore, progress: Progress | None = None, keys: LogKeys | None = None) -> VerifyReport:
    """Read every record, every entry and the whole index, a few MiB at a time, and report the first fault.

    Checked are: hashes and chain, positions without gaps, times, that every event and decision can be read, and that
    summaries, index and tracking say of the records what is in them; with `keys` also that the tree is the one over
    what is archived, that its root was signed, and the chain over the notices.
    """
    walk = _Walk(store, progress, keys)
    report = VerifyReport(market=store.market, journal=store.identity, records=0, entries=0)
    try:
        walk.run()
    except LedgerBroken as broken:
        report.fault = Fault(broken.place, broken.sentence)
    except (TypeError, ValueError, AttributeError) as error:
        # A database may hold a text where a number belongs, and then nothing fits.
        after = place_of_record(walk.tip.seq) if walk.tip is not None else "the beginning"
        report.fault = Fault(f"after {after}", f"something is stored that is of another kind: {error}")
    except LedgerUnavailable as unavailable:
        report.fault = Fault("the database", str(unavailable))
    report.records, report.tree, report.notices = walk.records, walk.tree, walk.notices
    if walk.tip is not None:
        report.entries = walk.tip.entries
        report.last_record = walk.tip.seq
        report.last_hash = walk.tip.hash
        report.last_entry = name_of(walk.tip.position)
    return report


class _Walk:
    """One pass over the archive with the summaries and the index alongside."""

    def __init__(self, store: LedgerStore, progress: Progress | None, keys: LogKeys | None) -> None:
        self._store = store
        self._progress = progress
        self._summaries = _all_summaries(store)
        self.records = 0
        self.tip: Tip | None = None
        self.tree: TreeReport | None = None
        self.notices: NoticeReport | None = None
        self._tree_check = TreeCheck(store, keys) if keys is not None and has_tree(store) else None
        self._market_key = keys.maker.market_key if keys is not None else None
        self._end = 0
        self._total = 0
        self._merged_from = _NOTHING

    def run(self) -> None:
        """Walk. Raises LedgerBroken at the first fault."""
        self._end = check_tracking(self._store)
        if self._tree_check is not None:
            self._tree_check.check_key()
        self._total = self._count_entries()
        check_strangers(self._store)
        if self._market_key is not None and self._tree_check is not None:
            self.notices = check_notices(self._store, self._market_key)
        runs = _checked_runs(self._store.runs())
        run = next(runs, None)
        pairs: list[bytes] = []
        begins = True
        for record in self._store.records(_BEFORE_ALL):
            if record.seq > self._end:
                break
            lean = self._check_record(record)
            if self._tree_check is not None:
                self._tree_check.add(record.seq, record.body)
            if run is None or (record.seq != run.first_record if begins else record.seq < run.first_record):
                raise LedgerBroken(place_of_record(record.seq), "the index does not cover it, or not from there on")
            begins = False
            pairs += pairs_of(record.seq, lean.entries)
            if record.seq == run.last_record:
                self._check_run(run, pairs)
                pairs, run = [], next(runs, None)
                begins = True
        if pairs and run is not None:
            self._merged_from = min(self._merged_from, run.first_record)
        self._check_end(run)
        self._check_merged()
        check_pages(self._store)
        if self._tree_check is not None:
            self.tree = self._tree_check.finish()

    def _count_entries(self) -> int:
        rows = self._store.query("SELECT max(first_leaf + entries) FROM @records")
        return int(rows[0][0] or 0)

    def _check_record(self, record: StoredRecord) -> LeanRecord:
        place = place_of_record(record.seq)
        known = next(self._summaries, None)
        if known is None or known.record > record.seq:
            raise LedgerBroken(place, "it is archived, but the index knows nothing of it")
        if known.record < record.seq:
            raise LedgerBroken(place_of_record(known.record), "the index knows it, but it is not in the archive")
        own_hash = hash_bytes(record.body)
        if own_hash != known.hash.hex():
            raise LedgerBroken(
                place, f"its bytes have the hash {own_hash[:16]}, but it was archived as {known.hash.hex()[:16]}"
            )
        before = self.tip.entries if self.tip is not None else 0
        tip, lean = tip_after(self.tip, self._store.market, record.seq, own_hash, record.body)
        _check_readable(record.body, place)
        expected = Summary(
            record.seq,
            known.hash,
            len(record.body),
            before,
            len(lean.entries),
            *lean.entries[0].position,
            tip.at_ns,
        )
        if known != expected:
            raise LedgerBroken(place, "what the index says of its size, place or time is not what is in it")
        self.tip, self.records = tip, self.records + 1
        if self._progress is not None:
            self._progress(tip.entries, max(self._total, tip.entries))
        return lean

    def _check_run(self, run: Run, pairs: list[bytes]) -> None:
        """Compare a run with the pairs that its records give, unless it has been merged meanwhile."""
        pairs.sort()
        # A page is filed under its first pair.
        rows = list(self._store.page_rows(run))
        found = [pair for _, body in rows for pair in split_page(body)]
        is_filed = all(first == body[:PAIR_BYTES] for first, body in rows)
        if found == pairs and run.pairs == len(pairs) and is_filed:
            return
        if not self._store.has_run(run):
            self._merged_from = min(self._merged_from, run.first_record)
            return
        wrong = sorted(set(found) ^ set(pairs))
        record = _record_of(wrong[0]) if wrong else run.first_record
        raise LedgerBroken(
            place_of_record(record),
            f"the index of records {run.first_record} to {run.last_record} does not name what is in them",
        )

    def _check_merged(self) -> None:
        """Check what was merged while the ledger was being read, until nothing is merged meanwhile."""
        while self._merged_from <= self._end:
            begin, self._merged_from = self._merged_from, _NOTHING
            runs = self._store.runs()
            newest = check_tracking(self._store)
            if runs and runs[-1].last_record > newest:
                raise LedgerBroken(place_of_record(newest), f"the index covers records up to {runs[-1].last_record}")
            for run in runs:
                if run.last_record >= begin and run.first_record <= self._end:
                    self._check_run(run, self._pairs_between(run.first_record, run.last_record))

    def _pairs_between(self, first: int, last: int) -> list[bytes]:
        pairs: list[bytes] = []
        for record in self._store.records(first - 1):
            if record.seq > last:
                break
            lean = decode_lean_record(record.body, place_of_record(record.seq))
            pairs += pairs_of(record.seq, lean.entries)
        return pairs

    def _check_end(self, run: Run | None) -> None:
        missing = next(self._summaries, None)
        if missing is not None and missing.record <= self._end:
            raise LedgerBroken(place_of_record(missing.record), "the index knows it, but it is not in the archive")
        if run is not None and run.last_record <= self._end:
            raise LedgerBroken(place_of_record(run.last_record), "the index covers it, but it is not in the archive")


def _all_summaries(store: LedgerStore) -> Iterator[Summary]:
    after = _BEFORE_ALL
    while page := store.summaries(after, _SUMMARY_PAGE):
        yield from page
        after = page[-1].record


def _checked_runs(runs: list[Run]) -> Iterator[Run]:
    """Yield the runs. Raises LedgerBroken where two of them cover the same record."""
    last_record = -1
    for run in runs:
        if not last_record < run.first_record <= run.last_record:
            raise LedgerBroken(place_of_record(run.first_record), "the index covers it twice or not in order")
        last_record = run.last_record
        yield run


def _check_readable(body: bytes, place: str) -> None:
    """Check that every entry can be read in full, decisions and event."""
    try:
        record = decode_record(body)
    except BadRecord as error:
        raise LedgerBroken(place, str(error)) from None
    for number, raw in enumerate(record.entries):
        try:
            entry = decode_entry(raw)
            if entry.event is not None:
                decode_archived(entry.event)
        except (*UNDECODABLE, BadRecord) as error:
            raise LedgerBroken(place, f"its entry {number} cannot be read: {error}") from None


def _record_of(pair: bytes) -> int:
    assert len(pair) <= PAIR_BYTES, "pages are cut into pairs"
    return int.from_bytes(pair[-RECORD_BYTES:], "big")
