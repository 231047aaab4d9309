"""`ledger replay --check`: the whole archive decided again, in two processes where that is worth their start.

Deciding is one thing after another; but the state in the middle can be had for less than half of that, by applying the
entries before it. So one process decides the first part again, and another applies it and decides the rest. Where
the first ends, both must have come to the same state.
"""

from collections import Counter
from typing import Final

import msgspec

from services.ledger.faults import LedgerBroken, NotFound
from services.ledger.lean import EntryPosition, name_of
from services.ledger.redoing import Redone
from services.ledger.replay_part import Difference, Part, PartElsewhere, Place, Source, Task, redo_part
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

WORTH_TWO_ENTRIES: Final = 50_000
"""From so many entries on, a second process has been started sooner than it would be missed."""
FIRST_SHARE: Final = 0.64
"""Applying an entry costs 0.42 of deciding it again, so both end together when the first takes 1 / (2 - 0.42)."""


class ReplayReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was decided again. `as_recorded` counts inputs of which a part is not archived, by what it was.

    `not_checked` entries follow from secrets that were not at hand; then the check has not been done whole.
    """

    market: str
    first_entry: str | None
    last_entry: str | None
    records: int
    entries: int
    inputs: int
    evolved: int
    as_recorded: dict[str, int]
    not_checked: int
    first_not_checked: str | None = None
    rules: dict[int, int]
    tzdata: list[str]
    difference: Difference | None = None

    @property
    def is_same(self) -> bool:
        """Tell whether every entry was checked and none differs."""
        return self.difference is None and self.not_checked == 0


class Elsewhere(msgspec.Struct, frozen=True):
    """Where another process finds the ledger, and the module that it runs: one that calls `replay_part.answer`."""

    place: Place
    module: str


def replay_check(
    store: LedgerStore,
    source: Source,
    start: EntryPosition | None = None,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> ReplayReport:
    """Decide everything from `start` on again, or from the beginning, and compare it byte for byte.

    With `elsewhere` another process does a part of it, where there is enough of it.

    Raises NotFound when `start` lies past the end, LedgerBroken when the archive cannot be read. A ledger that grows
    meanwhile is checked up to where it ended.
    """
    end, entries = (store.tip.seq, store.tip.entries) if store.tip is not None else (0, 0)
    if start is not None and (store.tip is None or start > store.tip.position):
        last = name_of(store.tip.position) if store.tip is not None else "none"
        raise NotFound(f"position {name_of(start)} is past the end: the last entry is {last}")
    middle = _middle(store, start, entries) if entries >= WORTH_TWO_ENTRIES else None
    if elsewhere is None or middle is None:
        part = redo_part(store, source, start, None, end, progress)
    else:
        task = Task(elsewhere.place, source.facts, middle, end)
        with PartElsewhere(task, elsewhere.module) as other:
            part = _redo_both(store, source, start, task, other, progress)
    return _report(store, part, start)


def _middle(store: LedgerStore, start: EntryPosition | None, entries: int) -> EntryPosition | None:
    """Return the input at which the second part begins, None when there is nothing to divide."""
    begin = 0
    if start is not None:
        first = store.record_at(start)
        begin = first.first_leaf if first is not None else 0
    summary = store.record_of_leaf(begin + int((entries - begin) * FIRST_SHARE))
    if summary is None or (start is not None and (summary.first_seq, summary.first_index) <= start[:2]):
        return None
    return summary.first_seq, summary.first_index, 0


def _redo_both(
    store: LedgerStore,
    source: Source,
    start: EntryPosition | None,
    task: Task,
    other: PartElsewhere,
    progress: Progress | None,
) -> Part:
    first = redo_part(store, source, start, task.start, task.end, progress)
    if first.difference is not None:
        return first
    rest = other.result()
    _check_seam(first, rest, task.start)
    return Part(_sum(first.done, rest.done), rest.state_hash, rest.difference)


def _check_seam(first: Part, rest: Part, middle: EntryPosition) -> None:
    if rest.done.begun_with not in ("", first.state_hash):
        raise LedgerBroken(
            f"entry {name_of(middle)}",
            "deciding what stands before it leads to another state than applying it: this is a fault of the program, "
            "please report it; `--jobs 1` does without the second",
        )


def _sum(first: Redone, rest: Redone) -> Redone:
    as_recorded, rules = Counter(first.as_recorded), Counter(first.rules)
    as_recorded.update(rest.as_recorded)
    rules.update(rest.rules)
    return Redone(
        records=first.records + rest.records,
        entries=first.entries + rest.entries,
        inputs=first.inputs + rest.inputs,
        evolved=first.evolved,
        as_recorded=dict(as_recorded),
        not_checked=first.not_checked + rest.not_checked,
        first_not_checked=first.first_not_checked or rest.first_not_checked,
        rules=dict(rules),
        tzdata=list(dict.fromkeys(first.tzdata + rest.tzdata)),
    )


def _report(store: LedgerStore, part: Part, start: EntryPosition | None) -> ReplayReport:
    done = part.done
    first = None if done.entries == 0 else name_of((*start[:2], 0)) if start is not None else "1.0.0"
    return ReplayReport(
        market=store.market,
        first_entry=first,
        last_entry=name_of(store.tip.position) if store.tip is not None else None,
        records=done.records,
        entries=done.entries,
        inputs=done.inputs,
        evolved=done.evolved,
        as_recorded=done.as_recorded,
        not_checked=done.not_checked,
        first_not_checked=done.first_not_checked,
        rules=done.rules,
        tzdata=done.tzdata,
        difference=part.difference,
    )
