"""Rules for payments and the answers to refunds (RULES.md section 6)."""

from events import decisions as d
from events.order import OrderPaid, OrderPaidEvent
from events.reasons import Reason
from events.refund import RefundFailedEvent, RefundSettledEvent, refund_id
from services.matcher.domain import leaving, matching, prices, seating
from services.matcher.domain import state as s
from services.matcher.domain.index import keeps_apart, sits_in
from services.matcher.domain.members import limits
from services.matcher.domain.money import is_owed
from services.matcher.domain.seat_decisions import confirmed
from services.matcher.domain.state import Group, Offer, Order
from services.matcher.domain.terms import Refusal, Terms
from services.matcher.domain.turn import Turn


def pay(turn: Turn, event: OrderPaidEvent) -> None:
    """Confirm the seat that a payment is for, or owe the money back."""
    data = event.data
    if is_owed(turn, data.order, data.payment):
        raise Refusal(Reason.PAYMENT_KNOWN)
    order = turn.state.orders.get(data.order)
    if order is None:
        _owe_back(turn, data, None, "unknown_order")
        return
    if order.payment == data.payment:
        raise Refusal(Reason.PAYMENT_KNOWN)
    group = turn.state.groups[order.group]
    terms = s.terms_of(turn.state, group)
    wrong = _wrong(data, order, terms)
    if wrong is not None:
        _owe_back(turn, data, order, wrong)
    elif order.status == s.HELD and turn.now < order.hold_until:
        _confirm(turn, order, group, terms, data.payment)
    elif order.status == s.HELD:
        _pay_in_grace(turn, data, order, group, terms)
    elif order.status == s.LOST and terms.late_payment == "rejoin":
        _rejoin(turn, data, order, group)
    else:
        _owe_back(turn, data, order, "late_payment")


def _wrong(data: OrderPaid, order: Order, terms: Terms) -> str | None:
    if order.payment is not None:
        return "second_payment"
    if not terms.is_paid:
        return "no_payment_due"
    if data.currency != terms.currency:
        return "wrong_currency"
    if data.amount_minor != order.payable_minor:
        return "wrong_amount"
    return None


def _confirm(turn: Turn, order: Order, group: Group, terms: Terms, payment: str) -> None:
    turn.emit(confirmed(order, group, terms, order.payable_minor, payment))
    seating.fill_if_complete(turn, group, terms)


def _pay_in_grace(turn: Turn, data: OrderPaid, order: Order, group: Group, terms: Terms) -> None:
    if terms.late_payment == "rejoin":
        _confirm(turn, order, group, terms, data.payment)
        return
    _owe_back(turn, data, order, "late_payment")
    leaving.release(turn, order, group, "late_payment", may_promote=True)


def _rejoin(turn: Turn, data: OrderPaid, order: Order, old: Group) -> None:
    """Take a seat for a lost order that has been paid after all, or owe the money back."""
    try:
        offer = seating.open_offer(turn, old.offer, opens=False)
        seating.check_variant(offer, order.sku, order.quantity)
        group = _place(turn, offer, order, old)
        if group is None and offer.withdrawn:
            raise Refusal(Reason.OFFER_WITHDRAWN)
        terms = offer.terms if group is None else s.terms_of(turn.state, group)
        seating.check_limits(offer, terms, order.member, terms.weight(order.quantity))
        payable_minor = prices.payable_minor(terms, order.quantity, leads=group is None)
        if not terms.is_paid or (data.amount_minor, data.currency) != (payable_minor, terms.currency):
            raise Refusal(Reason.WRONG_AMOUNT)
        if turn.state.members.watching:
            limits.check_spending(turn, order.member, payable_minor, terms.currency)
    except Refusal:
        _owe_back(turn, data, order, "late_payment")
        return
    if group is None:
        group = seating.open_group(turn, offer, order.order, order.member, old.pool)
    turn.emit(confirmed(order, group, terms, payable_minor, data.payment))
    seating.fill_if_complete(turn, group, terms)


def _place(turn: Turn, offer: Offer, order: Order, old: Group) -> Group | None:
    """Return the group for a lost order: its old one, else one that takes strangers, else none."""
    terms = offer.editions[old.edition].terms
    fits = old.status == s.OPEN and old.taken + terms.weight(order.quantity) <= terms.max_size
    if (
        fits
        and not sits_in(turn.state, turn.tree, old, order.member)
        and not keeps_apart(turn.state, old, order.member)
    ):
        return old
    if not order.strangers:
        return None
    return matching.choose(turn.state, turn.tree, offer, old.pool, order.member, order.quantity)


def _owe_back(turn: Turn, data: OrderPaid, order: Order | None, cause: str) -> None:
    turn.emit(
        d.RefundDue(
            refund=refund_id(data.order, data.payment),
            order=data.order,
            payment=data.payment,
            amount_minor=data.amount_minor,
            currency=data.currency,
            cause=cause,  # type: ignore[arg-type]  # callers name a cause of the closed list
            publisher=turn.publisher if order is None else order.publisher,
            member=None if order is None else order.member,
            group=None if order is None else order.group,
        )
    )


def answer_refund(turn: Turn, event: RefundSettledEvent | RefundFailedEvent) -> None:
    """Take the payment backend's word on a refund."""
    refund = turn.state.refunds.get(event.data.refund)
    if refund is None:
        raise Refusal(Reason.REFUND_UNKNOWN)
    if refund.settled:
        raise Refusal(Reason.REFUND_SETTLED)
    turn.emit(
        d.RefundClosed(
            refund=event.data.refund,
            status="settled" if isinstance(event, RefundSettledEvent) else "failed",
            order=refund.order,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            publisher=refund.publisher,
            member=refund.member,
        )
    )
