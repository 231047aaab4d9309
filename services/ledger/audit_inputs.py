"""Whether every input has exactly one outcome, and every duplicate an original."""

import sqlite3
from typing import Final

from events import decisions as d
from events.market_decisions import MarketRestored
from events.record import Entry, Through, parse_entry_id
from services.ledger.audit_accounts import Check, CheckResult
from services.ledger.chain import place_of_record
from services.ledger.history import FoundEntry
from services.ledger.lean import EntryPosition, decode_lean_record, name_of
from services.ledger.recorders import Summary
from services.ledger.store import LedgerStore

_PAGE: Final = 1_000
_ANSWERS: Final = (d.Malformed, d.Refused, d.Duplicate)


class InputRecount:
    """Counts the outcomes of each input as the entries go by.

    An input's outcome is the one entry that names its publisher or holds its event; the others are timer work.
    """

    def __init__(self, checks: dict[Check, CheckResult], scratch: sqlite3.Connection) -> None:
        self._missing = checks[Check.NO_OUTCOME]
        self._twice = checks[Check.TWO_OUTCOMES]
        self._duplicates = checks[Check.DUPLICATES]
        self._scratch = scratch
        self._input: tuple[int, int] | None = None
        self._gap: tuple[str, str, int] | None = None
        """Inputs without outcomes before the one at hand: entry, sentence, how many."""
        self._answers = 0
        self._through: Through | None = None
        self.inputs = 0
        self.answered_at_ns = 0
        """Accepted time of the last input that has its outcome: what was due then has been done."""
        scratch.execute(
            "CREATE TABLE originals (seq INTEGER, idx INTEGER, part INTEGER, entry TEXT, "
            "PRIMARY KEY (seq, idx, part)) WITHOUT ROWID"
        )

    def record(self, through: Through) -> None:
        """Note what the record before said of the last message it covers."""
        self._through = through

    def entry(self, found: FoundEntry) -> None:
        """Count an entry."""
        entry = found.entry
        place = (entry.seq, entry.index)
        if place != self._input:
            self._leave(found)
            self._input, self._answers = place, 0
            self.inputs += 1
            self._missing.checked += 1
            self._twice.checked += 1
        if is_answer(found):
            self._settle_gap(entry)
            self._answers += 1
            self.answered_at_ns = entry.at
            if self._answers == 2:
                self._twice.fail(found.name, f"input {place[0]}.{place[1]} has a second outcome here")
        for decision in entry.decisions:
            if isinstance(decision, d.Duplicate):
                self._note_duplicate(found, decision)

    def _leave(self, found: FoundEntry) -> None:
        """Check the input that has just ended, and that the next one follows it."""
        entry = found.entry
        if self._input is None:
            if (entry.seq, entry.index) != (1, 0):
                self._missing.fail(
                    found.name, f"the inputs before {entry.seq}.{entry.index} have none", max(1, entry.seq - 1)
                )
            return
        seq, index = self._input
        if self._answers == 0:
            self._missing.fail(name_of((seq, index, 0)), f"input {seq}.{index} has timer work, but no outcome")
        events = self._through.events if self._through is not None and self._through.seq == seq else None
        if entry.seq == seq:
            gap = entry.index - index - 1
        else:
            gap = entry.seq - seq - 1 + entry.index + (events - index - 1 if events is not None else 0)
        self._settle_gap(None)
        if gap > 0:
            self._gap = found.name, f"between inputs {seq}.{index} and {entry.seq}.{entry.index} some have none", gap

    def _settle_gap(self, entry: Entry | None) -> None:
        """Note the inputs without outcomes, unless the next one is an operator's word that just these were lost."""
        if self._gap is None:
            return
        decision = entry.decisions[0] if entry is not None else None
        name, sentence, count = self._gap
        self._gap = None
        if not (isinstance(decision, MarketRestored) and decision.lost_events == count):
            self._missing.fail(name, sentence, count)

    def _note_duplicate(self, found: FoundEntry, decision: d.Duplicate) -> None:
        self._duplicates.checked += 1
        try:
            original = parse_entry_id(decision.of)
        except ValueError:
            self._duplicates.fail(found.name, f"it repeats {decision.of[:60]!r}, which is no entry's name")
            return
        if original >= found.position:
            self._duplicates.fail(found.name, f"it repeats {decision.of}, which does not come before it")
            return
        self._scratch.execute("INSERT OR IGNORE INTO originals VALUES (?, ?, ?, ?)", (*original, found.name))

    def check_originals(self, store: LedgerStore) -> None:
        """Look up every entry that a duplicate named, each record at most once."""
        self._settle_gap(None)
        after: EntryPosition = (-1, 0, 0)
        known: Summary | None = None
        positions: set[EntryPosition] = set()
        while rows := self._scratch.execute(
            "SELECT seq, idx, part, entry FROM originals WHERE (seq, idx, part) > (?, ?, ?) "
            "ORDER BY seq, idx, part LIMIT ?",
            (*after, _PAGE),
        ).fetchall():
            for seq, index, part, entry in rows:
                after = (seq, index, part)
                if after in positions:
                    continue
                summary = store.record_at(after)
                if summary is not None and summary != known:
                    known, positions = summary, _positions_in(store, summary)
                if after not in positions:
                    self._duplicates.fail(entry, f"it repeats {name_of(after)}, which does not exist")


def is_answer(found: FoundEntry) -> bool:
    """Tell whether an entry is the outcome of its input, not timer work."""
    entry = found.entry
    if not entry.decisions:
        return False
    answers = entry.publisher is not None or entry.event is not None
    return answers or any(isinstance(decision, _ANSWERS) for decision in entry.decisions)


def _positions_in(store: LedgerStore, summary: Summary) -> set[EntryPosition]:
    record = store.record(summary.record)
    if record is None:
        return set()
    lean = decode_lean_record(record.body, place_of_record(record.seq))
    return {entry.position for entry in lean.entries}
