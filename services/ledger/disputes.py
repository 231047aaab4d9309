"""`ledger disputes`: the queue by age and deadline, what is overdue, and which others are alike."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec

from events import decisions as d
from events import dispute_decisions as dd
from events.dispute import About, Remedy, Verdict
from services.ledger.faults import NotFound
from services.ledger.history import FoundEntry, entries_of, scan
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

_NEEDLE: Final = b'"dispute.'
_REPORT_EVERY: Final = 1_000

Status = Literal["open", "proposed", "appealed", "resolved", "closed"]


class DisputeState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One dispute as it stands; times in ns."""

    dispute: str
    about: About
    disputed: str
    member: str
    opened_at_ns: int
    opened_entry: str
    answer_until: int
    resolve_until: int
    order: str | None = None
    group: str | None = None
    offer: str | None = None
    publisher: str | None = None
    incident: str | None = None
    status: Status = "open"
    answered: bool = False
    evidence: int = 0
    verdict: Verdict | None = None
    remedy: Remedy | None = None
    appeal_until: int | None = None
    deadline_ns: int | None = None
    """The deadline that comes next."""
    overdue: list[str] = []
    """Deadlines that have passed: `answer`, `resolution`."""
    alike: list[str] = []
    """Why it is like the one that was asked about: the same offer, merchant or member."""

    @property
    def is_pending(self) -> bool:
        """Tell whether a resolution is awaited."""
        return self.status in ("open", "proposed", "appealed")

    @property
    def next_deadline(self) -> int | None:
        """The deadline that comes next, ns."""
        if self.status == "closed":
            return None
        if self.status == "resolved":
            return self.appeal_until
        if not self.answered and "answer" not in self.overdue and self.incident is None:
            return min(self.answer_until, self.resolve_until)
        return self.resolve_until


def dispute_queue(
    store: LedgerStore, *, overdue: bool = False, like: str | None = None, progress: Progress | None = None
) -> list[DisputeState]:
    """Return the disputes that await a resolution, those whose deadline comes first first.

    `overdue`: only those of which a deadline has passed. `like`: instead all disputes, closed ones too, that share
    offer, merchant or member with this one, the most alike first. Raises NotFound when there is no such dispute.
    """
    if like is not None:
        model = _one(store, like)
        return sorted(_alike(_all(store, progress), model), key=lambda state: (-len(state.alike), state.opened_at_ns))
    pending = (state for state in _all(store, progress, forget=lambda state: state.status == "closed"))
    wanted = [state for state in pending if state.is_pending and (state.overdue or not overdue)]
    return sorted(wanted, key=lambda state: (state.deadline_ns or 0, state.opened_at_ns))


def open_disputes_of(store: LedgerStore, member: str) -> list[str]:
    """Return the disputes of a member that are not final yet, from the index alone."""
    states: dict[str, DisputeState] = {}
    for found in entries_of(store, "member", member):
        fold(states, found)
    return [name for name, state in states.items() if state.member == member and state.status != "closed"]


def fold(states: dict[str, DisputeState], found: FoundEntry) -> None:
    """Add what an entry says of disputes."""
    for decision in found.entry.decisions:
        if isinstance(decision, dd.DisputeOpened):
            states[decision.dispute] = opened = _opened(found, decision)
            opened.deadline_ns = opened.next_deadline
            continue
        name = getattr(decision, "dispute", None)
        state = states.get(name) if isinstance(name, str) else None
        if state is not None:
            _change(state, decision)
            state.deadline_ns = state.next_deadline


def _opened(found: FoundEntry, decision: dd.DisputeOpened) -> DisputeState:
    return DisputeState(
        dispute=decision.dispute,
        about=decision.about,
        disputed=decision.disputed,
        member=decision.member,
        opened_at_ns=found.entry.at,
        opened_entry=found.name,
        answer_until=decision.answer_until,
        resolve_until=decision.resolve_until,
        order=decision.order,
        group=decision.group,
        offer=decision.offer,
        publisher=decision.publisher,
        incident=decision.incident,
    )


def _change(state: DisputeState, decision: d.AnyDecision) -> None:
    if isinstance(decision, dd.DisputeAnswered):
        state.answered = state.answered or decision.party != "member"
    elif isinstance(decision, dd.DisputeEvidenced):
        state.evidence = decision.number
    elif isinstance(decision, dd.DisputeProposed):
        state.status, state.verdict, state.remedy = "proposed", decision.verdict, decision.remedy
    elif isinstance(decision, dd.DisputeResolved):
        state.status, state.verdict, state.remedy = "resolved", decision.verdict, decision.remedy
        state.appeal_until = decision.appeal_until
    elif isinstance(decision, dd.DisputeAppealed):
        state.status, state.resolve_until, state.answered, state.overdue = "appealed", decision.resolve_until, True, []
    elif isinstance(decision, dd.DisputeOverdue):
        state.overdue = [*state.overdue, decision.stage]
    elif isinstance(decision, dd.DisputeClosed):
        state.status = "closed"


def _all(
    store: LedgerStore, progress: Progress | None, forget: Callable[[DisputeState], bool] = lambda _: False
) -> Iterator[DisputeState]:
    """Yield every dispute that is not to be forgotten; entries without one are passed over undecoded."""
    states: dict[str, DisputeState] = {}
    total = store.tip.entries if store.tip is not None else 0
    for done, found in enumerate(scan(store), 1):
        if progress is not None and done % _REPORT_EVERY == 0:
            progress(done, max(done, total))
        if _NEEDLE not in found.raw:
            continue
        fold(states, found)
        for decision in found.entry.decisions:
            name = getattr(decision, "dispute", None)
            if isinstance(name, str) and name in states and forget(states[name]):
                del states[name]
    yield from states.values()


def _one(store: LedgerStore, name: str) -> DisputeState:
    states: dict[str, DisputeState] = {}
    for found in entries_of(store, "dispute", name):
        fold(states, found)
    if name not in states:
        raise NotFound(f"the ledger knows no dispute {name}")
    return states[name]


def _alike(states: Iterable[DisputeState], model: DisputeState) -> Iterator[DisputeState]:
    for state in states:
        if state.dispute == model.dispute:
            continue
        state.alike = [
            what
            for what, field in (("offer", "offer"), ("merchant", "publisher"), ("member", "member"))
            if getattr(model, field) is not None and getattr(state, field) == getattr(model, field)
        ]
        if state.alike:
            yield state
