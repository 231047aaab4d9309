"""`ledger incident`: every group and payment that an outage or a mispriced offer touched, and remedies to publish.

Nothing is applied: the remedies are events in a file, which somebody reads and publishes, and where the market wants
it somebody else approves with a file of approvals. Each order gets a dispute of its own, opened by the platform.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events import decisions as d
from services.ledger.faults import BadQuestion
from services.ledger.history import FoundEntry, entries_in, entries_of
from services.ledger.store import LedgerStore

ORDERS_MAX: Final = 100_000
REASON: Final = "incident"


class TouchedOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An order that changed while the incident lasted, as it stands now; money in minor units."""

    order: str
    member: str
    offer: str
    group: str
    seat: str
    """held, confirmed, filled, or why it ended."""
    lost: str | None = None
    """Why it lost its seat while the incident lasted."""
    payment: str | None = None
    paid_minor: int = 0
    refunded_minor: int = 0
    currency: str | None = None
    remedy: str = "none"

    @property
    def kept_minor(self) -> int:
        """What it paid and was not refunded."""
        return self.paid_minor - self.refunded_minor


class IncidentReport(msgspec.Struct, kw_only=True):
    """What an incident touched."""

    incident: str
    from_ns: int
    to_ns: int
    offer: str | None
    groups: list[str]
    orders: list[TouchedOrder]


class IncidentQuestion(msgspec.Struct, kw_only=True, frozen=True):
    """From when (included) to when (not included) the incident lasted, and what is offered to those it touched.

    `refund_minor`: refund that much of each order that a filled group keeps money of, 0 for all that it keeps, None
    for nothing. An order that lost its seat by the clock while the incident lasted gets it back where its group is
    still open.
    """

    from_ns: int
    to_ns: int
    offer: str | None = None
    refund_minor: int | None = None


def find_incident(store: LedgerStore, question: IncidentQuestion) -> IncidentReport:
    """Return what was touched, in the order of first being touched. Raises BadQuestion when it is too much for one."""
    if question.to_ns <= question.from_ns:
        raise BadQuestion("--to must lie after --from")
    orders: dict[str, TouchedOrder] = {}
    groups: dict[str, None] = {}
    for found in _between(store, question):
        for decision in found.entry.decisions:
            _touch(orders, groups, decision, question.offer)
        if len(orders) > ORDERS_MAX:
            raise BadQuestion(f"more than {ORDERS_MAX} orders were touched: ask for a shorter time or one offer")
    still_open: dict[str, bool] = {}
    for order in [*orders.values()]:
        _bring_up_to_date(store, order)
        # What releases a seat or gives money back does not name the offer.
        if question.offer not in (None, order.offer):
            del orders[order.order]
            continue
        if order.group not in still_open:
            still_open[order.group] = _is_open(store, order.group)
        order.remedy = _remedy_for(order, question, group_is_open=still_open[order.group])
    return IncidentReport(
        incident=incident_id(question),
        from_ns=question.from_ns,
        to_ns=question.to_ns,
        offer=question.offer,
        groups=list(groups),
        orders=list(orders.values()),
    )


def remedies(
    report: IncidentReport, question: IncidentQuestion, actor: str, *, approve: bool
) -> Iterator[dict[str, Any]]:
    """Yield the events to publish: for each order a dispute and its resolution; with `approve` the resolution alone.

    Their ids follow from the incident, the order and the actor: published twice, they count once.
    """
    for order in report.orders:
        if order.remedy == "none":
            continue
        dispute = f"{report.incident}-{_short(order.order)}"
        if not approve:
            yield _event(
                "opened",
                f"{dispute}-opened",
                {
                    "dispute": dispute,
                    "about": "order",
                    "disputed": order.order,
                    "member": order.member,
                    "actor": actor,
                    "reason": REASON,
                    "incident": report.incident,
                },
            )
        remedy: dict[str, Any] = {"kind": order.remedy, "order": order.order}
        if order.remedy == "refund" and question.refund_minor:
            remedy["amount_minor"] = min(question.refund_minor, order.kept_minor)
        resolution = {"dispute": dispute, "verdict": "upheld", "remedy": remedy, "actor": actor, "reason": REASON}
        yield _event("resolved", f"{dispute}-{_short(actor)}", resolution)


def incident_id(question: IncidentQuestion) -> str:
    """Return the name of an incident: the same question is the same incident."""
    text = f"{question.from_ns}\n{question.to_ns}\n{question.offer or ''}"
    return f"i-{_short(text)}"


def _event(verb: str, event_id: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"groupbuy.dispute.{verb}.v1", "id": event_id, "source": "/groupbuy/incident", "data": data}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _between(store: LedgerStore, question: IncidentQuestion) -> Iterator[FoundEntry]:
    for record in store.records(store.record_before(question.from_ns)):
        for found in entries_in(record.seq, record.body):
            if found.entry.at >= question.to_ns:
                return
            if found.entry.at >= question.from_ns:
                yield found


def _touch(
    orders: dict[str, TouchedOrder], groups: dict[str, None], decision: d.AnyDecision, offer: str | None
) -> None:
    """Note the orders and groups that a decision of the incident's time names."""
    if isinstance(decision, d.SeatHeld | d.SeatConfirmed):
        if offer in (None, decision.offer):
            groups[decision.group] = None
            orders.setdefault(decision.order, _order(decision.order, decision.member, decision.offer, decision.group))
    elif isinstance(decision, d.SeatReleased):
        known = orders.setdefault(decision.order, _order(decision.order, decision.member, "", decision.group))
        known.lost = decision.cause
    elif isinstance(decision, d.Closing) and offer in (None, decision.offer):
        groups[decision.group] = None
        for seat in decision.seats:
            orders.setdefault(seat.order, _order(seat.order, seat.member, decision.offer, decision.group))
    elif isinstance(decision, d.GroupOpened) and offer in (None, decision.offer):
        groups[decision.group] = None
    elif isinstance(decision, d.RefundDue) and decision.member is not None and decision.group is not None:
        orders.setdefault(decision.order, _order(decision.order, decision.member, "", decision.group))


def _order(order: str, member: str, offer: str, group: str) -> TouchedOrder:
    return TouchedOrder(order=order, member=member, offer=offer, group=group, seat="none")


def _bring_up_to_date(store: LedgerStore, order: TouchedOrder) -> None:
    """Follow an order from its first entry to its last."""
    for found in entries_of(store, "order", order.order):
        for decision in found.entry.decisions:
            _follow(order, decision)


def _follow(order: TouchedOrder, decision: d.AnyDecision) -> None:
    if isinstance(decision, d.Closing):
        seat = next((seat for seat in decision.seats if seat.order == order.order), None)
        if seat is not None:
            kind = str(decision.__struct_config__.tag).removeprefix("group.")
            order.seat, order.group, order.offer = kind, decision.group, decision.offer
        return
    if getattr(decision, "order", None) != order.order:
        return
    if isinstance(decision, d.SeatHeld):
        order.seat, order.group, order.offer = "held", decision.group, decision.offer
    elif isinstance(decision, d.SeatConfirmed):
        order.seat, order.group, order.offer = "confirmed", decision.group, decision.offer
        if decision.payment is not None and decision.payment != order.payment:
            order.payment, order.currency = decision.payment, decision.currency
            order.paid_minor, order.refunded_minor = decision.payable_minor, 0
    elif isinstance(decision, d.SeatReleased):
        order.seat = decision.cause
    elif isinstance(decision, d.RefundDue) and decision.payment == order.payment:
        order.refunded_minor += decision.amount_minor


def _is_open(store: LedgerStore, group: str) -> bool:
    ends = (d.GroupFilled, d.GroupExpired, d.GroupDissolved, d.GroupMerged)
    return not any(
        isinstance(decision, ends) and decision.group == group
        for found in entries_of(store, "group", group)
        for decision in found.entry.decisions
    )


def _remedy_for(order: TouchedOrder, question: IncidentQuestion, *, group_is_open: bool) -> str:
    if order.lost in ("hold_ended", "late_payment") and order.seat == order.lost and group_is_open:
        return "seat"
    if question.refund_minor is not None and order.seat == "filled" and order.kept_minor > 0:
        return "refund"
    return "none"
