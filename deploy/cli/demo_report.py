"""What the demo's day came to, counted from the ledger's archive and nothing else."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from events import decisions as d
from events.decode import decode_archived
from events.order import OrderJoinedEvent, OrderPaidEvent, OrderPostedEvent, OrderTerms
from events.outcomes import results_of
from events.record import Entry

FRIENDS: Final = "among friends"
STRANGERS: Final = "strangers took the missing seats"
MERGING: Final = "short groups merged"
WAYS: Final = (FRIENDS, STRANGERS, MERGING)


@dataclass(slots=True)
class Report:
    """A market's day. Amounts are in minor units; `orders` of a way sit in groups that were filled in that way."""

    launches: int = 0
    entries: int = 0
    seated: set[str] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    dissolved: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    results: int = 0
    paid_minor: int = 0
    honoured_minor: int = 0
    due_minor: int = 0
    settled_minor: int = 0
    stories: dict[str, str] = field(default_factory=dict)
    """A member for each story worth telling: `filled`, `refused`, `refunded`."""

    @property
    def filled(self) -> int:
        """Groups that were filled, in whatever way."""
        return self.groups.total()

    @property
    def money_adds_up(self) -> bool:
        """Whether every payment was honoured or is owed back, to the last 分."""
        return self.paid_minor == self.honoured_minor + self.due_minor


@dataclass(slots=True)
class _Seat:
    """An order's way into its group, and what it is worth there."""

    by_stranger: bool
    price_minor: int = 0
    filled: bool = False


class Counting:
    """Counts entries one after another; `report` holds what came of those so far."""

    def __init__(self) -> None:
        self.report = Report()
        self._seats: dict[str, _Seat] = {}
        self._payments: set[tuple[str, str]] = set()
        self._refunded: set[str] = set()
        self._way_of: dict[str, str] = {}

    def count(self, entries: Iterable[Entry]) -> Report:
        """Count every entry and return the report."""
        for entry in entries:
            self._count(entry)
        return self.report

    def _count(self, entry: Entry) -> None:
        report = self.report
        report.entries += 1
        report.results += sum(1 for _ in results_of(entry))
        event: Any = None if entry.event is None else decode_archived(bytes(entry.event))
        if event is not None and not isinstance(entry.decisions[0], d.Duplicate):
            self._count_event(event, entry)
        for decision in entry.decisions:
            self._count_decision(decision, event)

    def _count_event(self, event: Any, entry: Entry) -> None:
        if isinstance(event, OrderPostedEvent):
            self.report.launches += 1
        if isinstance(event, OrderPostedEvent | OrderJoinedEvent):
            opened = any(isinstance(decision, d.GroupOpened) for decision in entry.decisions)
            named = isinstance(event, OrderJoinedEvent) and event.data.group is not None
            self._seats.setdefault(event.data.order, _Seat(by_stranger=not (opened or named)))
            if event.data.payment is not None:
                paid = event.data.payment
                self._count_payment(event.data.order, paid.payment, paid.amount_minor)
        elif isinstance(event, OrderPaidEvent):
            self._count_payment(event.data.order, event.data.payment, event.data.amount_minor)

    def _count_payment(self, order: str, payment: str, amount_minor: int) -> None:
        if (order, payment) not in self._payments:
            self._payments.add((order, payment))
            self.report.paid_minor += amount_minor

    def _count_decision(self, decision: d.AnyDecision, event: Any) -> None:
        report = self.report
        match decision:
            case d.SeatHeld() | d.SeatConfirmed():
                report.seated.add(decision.order)
            case d.GroupFilled():
                self._count_filled(decision)
            case d.GroupExpired() if decision.page == 1:
                report.expired += 1
            case d.GroupDissolved() if decision.page == 1:
                report.dissolved += 1
            case d.SeatReleased():
                self._take_back(decision.order)
            case d.RefundDue():
                report.due_minor += decision.amount_minor
                self._refunded.add(decision.order)
                if decision.cause == "expired" and decision.member is not None:
                    report.stories.setdefault("refunded", decision.member)
            case d.RefundClosed() if decision.status == "settled":
                report.settled_minor += decision.amount_minor
            case d.Refused():
                report.refusals[decision.reason] += 1
                if event is not None and isinstance(event.data, OrderTerms):
                    report.stories.setdefault("refused", event.data.member)
            case d.Duplicate():
                report.duplicates += 1
            case _:
                pass

    def _count_filled(self, filled: d.GroupFilled) -> None:
        """Say in which way a group was filled by its first page of seats; groups here are smaller than a page."""
        way = FRIENDS
        for ref in filled.seats:
            seat = self._seats[ref.order]
            seat.price_minor, seat.filled = ref.price_minor, True
            self.report.honoured_minor += ref.price_minor
            if seat.by_stranger:
                way = STRANGERS
        if filled.cause == "merge":
            way = MERGING
        way = self._way_of.setdefault(filled.group, way)
        self.report.groups[way] += filled.page == 1
        self.report.orders[way] += len(filled.seats)
        if way != FRIENDS and filled.seats:
            self.report.stories.setdefault("filled", filled.seats[0].member)

    def _take_back(self, order: str) -> None:
        """Note that a seat was given up; after its group was filled its price is no longer honoured."""
        seat = self._seats.get(order)
        if seat is not None and seat.filled:
            self.report.honoured_minor -= seat.price_minor
            seat.filled = False


def percentile_ms(seconds: list[float], percent: float) -> float:
    """Return a percentile of durations in milliseconds; 0 when there are none."""
    if not seconds:
        return 0.0
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000
