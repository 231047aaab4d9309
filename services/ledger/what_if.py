"""`ledger what-if`: the same market without one input, or with it at another time, decided apart; and the difference.

Nothing is written. Every other input comes as it came and when it came, so what is shown follows from the one alone.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from events.reasons import Reason
from events.record import BadRecord, EntryBytes, decode_entry, decode_entry_bytes
from services.ledger.differences import Change, Differences, picture
from services.ledger.evolving import ArchivedEntry, Evolving, cannot_apply
from services.ledger.faults import BadQuestion
from services.ledger.history import Until, entry_at
from services.ledger.lean import EntryPosition, name_of
from services.ledger.redoing import tzdata_in
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones

LISTED_MAX: Final = 100
"""How many outcomes, and how much timer work, are listed; all are counted."""
_ASTRAY: Final = f'"reason":"{Reason.WRONG_FAMILY}"'.encode()


class ChangedOutcome(msgspec.Struct, kw_only=True):
    """An input whose outcome would be another: what was decided and what would be."""

    entry: str
    decided: list[msgspec.Raw]
    would_be: list[msgspec.Raw]


class WhatIf(msgspec.Struct, kw_only=True):
    """What would be otherwise: outcomes of other inputs, work by deadlines, and in the end the state.

    `internal_changes` counts parts of the state that only serve the program and would be otherwise.
    """

    entry: str
    at_ns: int | None
    inputs_decided: int
    outcomes_changed: int
    outcomes: list[ChangedOutcome]
    due_only_as_it_was: list[msgspec.Raw]
    due_only_as_it_would_be: list[msgspec.Raw]
    changes: list[Change]
    changes_counted: int
    internal_changes: int


def what_if(
    store: LedgerStore,
    position: EntryPosition,
    facts: Facts,
    zones: Zones,
    at_ns: int | None = None,
    progress: Progress | None = None,
) -> WhatIf:
    """Decide everything again without the input of the entry at `position`, or with it accepted at `at_ns`.

    Raises NotFound when there is no such entry, BadQuestion when it is no input that can be left out or moved.
    """
    target = _target(store, position)
    run = _Run(store, target, facts, zones, at_ns, progress)
    return run.result()


def _target(store: LedgerStore, position: EntryPosition) -> EntryBytes:
    """Return the entry of an input that is kept."""
    return _kept(decode_entry_bytes(entry_at(store, position).raw))


def _kept(entry: EntryBytes) -> EntryBytes:
    name = name_of((entry.seq, entry.index, entry.part))
    if entry.publisher is None:
        raise BadQuestion(f"entry {name} is work that was due by itself: name the entry of an event")
    if entry.event is None:
        raise BadQuestion(f"the event of entry {name} is not kept and changed nothing: there is nothing to leave out")
    return entry


class _Run:
    """Both courses of one market, side by side from where they part."""

    def __init__(
        self,
        store: LedgerStore,
        target: EntryBytes,
        facts: Facts,
        zones: Zones,
        at_ns: int | None,
        progress: Progress | None,
    ) -> None:
        self._store = store
        self._target = target
        self._place = (target.seq, target.index)
        self._at_ns = at_ns
        self._facts, self._zones = facts, zones
        self._evolving = Evolving(store, zones, progress)
        self._is_in = at_ns is None
        """Whether the moved input has been decided at its other time; one that is left out never will be."""
        self._due: Counter[bytes] = Counter()
        self._inputs = 0
        self._changed = 0
        self._listed: list[ChangedOutcome] = []

    def result(self) -> WhatIf:
        """Let both run to the end and compare."""
        apart = self._part()
        for entries in _by_input(self._rest()):
            self._input(apart, entries)
        if not self._is_in:
            self._move_in(apart)
        different = Differences(picture(self._evolving.engine.state), picture(apart.state))
        listed: list[Change] = []
        count = 0
        for count, change in enumerate(different, start=1):
            if count <= LISTED_MAX:
                listed.append(change)
        return WhatIf(
            entry=name_of((*self._place, self._target.part)),
            at_ns=self._at_ns,
            inputs_decided=self._inputs,
            outcomes_changed=self._changed,
            outcomes=self._listed,
            due_only_as_it_was=self._due_only(1),
            due_only_as_it_would_be=self._due_only(-1),
            changes=listed,
            changes_counted=count,
            internal_changes=different.internal,
        )

    def _part(self) -> Engine:
        """Apply what comes before both courses part, and return an engine for the other one."""
        last = self._parting()
        for _ in self._evolving.to(last):
            pass
        self._check_clock()
        snapshot = self._evolving.engine.snapshot()
        return Engine.restore(self._store.market, self._facts, snapshot, self._zones)

    def _parting(self) -> Until:
        """Return the last entry that both courses share: before the input, or before the time it is moved to."""
        before_input = (self._target.seq, self._target.index, -1)
        if self._at_ns is None or self._at_ns >= self._target.at:
            return Until(position=before_input)
        return Until(at_ns=self._at_ns)

    def _check_clock(self) -> None:
        market = self._evolving.engine.state.market
        if self._at_ns is not None and market is not None and market.clock == "event":
            raise BadQuestion(
                "in a market with `clock: event` an event comes when it says it does: it cannot be moved, "
                "only left out (--without)"
            )

    def _rest(self) -> Iterator[ArchivedEntry]:
        return self._evolving.to(Until())

    def _input(self, apart: Engine, entries: list[ArchivedEntry]) -> None:
        """Decide one input apart and compare."""
        if not self._is_in and self._at_ns is not None and entries[0].at_ns > self._at_ns:
            self._move_in(apart)
        decided = list(map(_bytes_of, entries))
        answer = next((each for each in decided if each.publisher is not None), None)
        for version in filter(None, (tzdata_in(entry.raw) for entry in entries)):
            apart.zones = msgspec.structs.replace(apart.zones, version=version)
        would_be = [] if answer is None or self._place == (answer.seq, answer.index) else _decide(apart, answer)
        for each in decided:
            if each.publisher is None:
                self._due.update(map(bytes, each.decisions))
        answered = self._take_due(would_be)
        self._inputs += 1
        if answer is not None:
            self._compare(answer, answered)

    def _move_in(self, apart: Engine) -> None:
        """Decide the moved input at its other time."""
        self._is_in = True
        assert self._at_ns is not None, "an input that is left out is not moved"
        moved = msgspec.structs.replace(self._target, at=self._at_ns)
        answered = self._take_due(list(map(decode_entry_bytes, apart.redo(moved))))
        self._compare(self._target, answered)

    def _take_due(self, would_be: list[EntryBytes]) -> EntryBytes | None:
        """Count the timer work among entries against what was done, and return the one that is not."""
        answered = None
        for each in would_be:
            if each.publisher is None:
                self._due.subtract(map(bytes, each.decisions))
            else:
                answered = each
        return answered

    def _compare(self, answer: EntryBytes, answered: EntryBytes | None) -> None:
        is_target = self._place == (answer.seq, answer.index)
        if answered is None and is_target and self._at_ns is not None:
            return
        decided = list(map(bytes, answer.decisions))
        would_be = [] if answered is None else list(map(bytes, answered.decisions))
        if decided == would_be:
            return
        self._changed += 1
        if len(self._listed) < LISTED_MAX:
            self._listed.append(
                ChangedOutcome(
                    entry=name_of((answer.seq, answer.index, answer.part)),
                    decided=list(map(msgspec.Raw, decided)),
                    would_be=list(map(msgspec.Raw, would_be)),
                )
            )

    def _due_only(self, sign: int) -> list[msgspec.Raw]:
        found = [decision for decision, count in self._due.items() if count * sign > 0]
        return list(map(msgspec.Raw, found[:LISTED_MAX]))


def _by_input(entries: Iterator[ArchivedEntry]) -> Iterator[list[ArchivedEntry]]:
    """Yield the entries of each input together."""
    together: list[ArchivedEntry] = []
    for entry in entries:
        if together and together[0].position[:2] != entry.position[:2]:
            yield together
            together = []
        together.append(entry)
    if together:
        yield together


def _bytes_of(entry: ArchivedEntry) -> EntryBytes:
    try:
        return decode_entry_bytes(entry.raw)
    except BadRecord as error:
        raise BadQuestion(f"entry {name_of(entry.position)} cannot be read: {error}; run `verify`") from None


def _decide(apart: Engine, answer: EntryBytes) -> list[EntryBytes]:
    try:
        if answer.event is not None:
            made = apart.redo(answer, is_astray=_ASTRAY in bytes(answer.decisions[0]))
        else:
            made = apart.retake(decode_entry(msgspec.json.encode(answer)))
    except Exception as error:
        raise cannot_apply((answer.seq, answer.index, answer.part), error) from error
    return list(map(decode_entry_bytes, made))
