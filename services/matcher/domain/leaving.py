"""Rules for leaving: withdrawal, cancellation, customer service, and changing an order (RULES.md section 6)."""

from typing import Literal

from events import decisions as d
from events.group import GroupCompletedEvent, GroupDissolvedEvent
from events.limits import GROUP_MAX_SEATS
from events.order import OrderCancelledEvent, OrderChangedEvent, OrderReleasedEvent, OrderWithdrawnEvent
from events.reasons import Reason
from services.matcher.domain import closing, prices, seating
from services.matcher.domain import state as s
from services.matcher.domain.members import limits
from services.matcher.domain.money import refund_order
from services.matcher.domain.seat_decisions import Goods, confirmed, held
from services.matcher.domain.state import Group, Order, State
from services.matcher.domain.terms import Refusal, Terms
from services.matcher.domain.turn import Turn

Cause = Literal["hold_ended", "withdrawn", "cancelled", "released", "late_payment"]


def withdraw(turn: Turn, event: OrderWithdrawnEvent) -> None:
    """Let a member leave an open group, as far as the offer allows."""
    order = _known(turn.state, event.data.order)
    group = turn.state.groups[order.group]
    if order.status not in (s.HELD, s.CONFIRMED):
        raise Refusal(Reason.ORDER_OVER)
    _leave_as_allowed(turn, order, group, "withdrawn")


def cancel(turn: Turn, event: OrderCancelledEvent) -> None:
    """Cancel an order: as a withdrawal while its group is open, with a refund after it filled."""
    order = _known(turn.state, event.data.order)
    group = turn.state.groups[order.group]
    if order.status == s.FILLED:
        _leave_filled(turn, order, group, "cancelled", None)
    elif order.status in (s.HELD, s.CONFIRMED):
        _leave_as_allowed(turn, order, group, "cancelled")
    else:
        raise Refusal(Reason.ORDER_OVER)


def release_by_service(turn: Turn, event: OrderReleasedEvent) -> None:
    """Let customer service take an order out of its group, whatever the offer allows its members."""
    data = event.data
    order = _known(turn.state, data.order)
    group = turn.state.groups[order.group]
    act = (data.actor, data.reason, data.ticket)
    if order.status == s.FILLED:
        _leave_filled(turn, order, group, "released", act)
    elif order.status in (s.HELD, s.CONFIRMED):
        release(turn, order, group, "released", act, may_promote=True)
    else:
        raise Refusal(Reason.ORDER_OVER)


def _known(state: State, order_id: str) -> Order:
    order = state.orders.get(order_id)
    if order is None:
        raise Refusal(Reason.ORDER_UNKNOWN)
    return order


def _leave_as_allowed(turn: Turn, order: Order, group: Group, cause: Cause) -> None:
    terms = s.terms_of(turn.state, group)
    has_paid = order.status == s.CONFIRMED and order.payment is not None
    if terms.withdraw == "never" or (terms.withdraw == "until_paid" and has_paid):
        raise Refusal(Reason.WITHDRAWAL_NOT_ALLOWED)
    leads_others = group.leader == order.order and len(group.seats) > 1
    if leads_others and terms.leader_leaves == "forbid":
        raise Refusal(Reason.LEADER_MAY_NOT_LEAVE)
    release(turn, order, group, cause)


def release(
    turn: Turn,
    order: Order,
    group: Group,
    cause: Cause,
    act: closing.Act | None = None,
    *,
    may_promote: bool = False,
) -> None:
    """Free the seat of `order` in an open group, owe back what it paid, and see to the leadership.

    `may_promote`: where the leader may not leave of its own accord, somebody is promoted.
    """
    leads = group.leader == order.order
    others = [o for o in group.seats if o != order.order]
    leader_leaves = s.terms_of(turn.state, group).leader_leaves
    promotes = leader_leaves == "promote" or (may_promote and leader_leaves == "forbid")
    _emit_released(turn, order, group, cause, act, others[0] if leads and others and promotes else None)
    refund_order(turn, order, cause, group)
    if not others:
        closing.dissolve(turn, group, "empty")
    elif leads and not promotes:
        closing.dissolve(turn, group, "leader_left")


def _leave_filled(turn: Turn, order: Order, group: Group, cause: Cause, act: closing.Act | None) -> None:
    _emit_released(turn, order, group, cause, act, None)
    refund_order(turn, order, cause, group)


def _emit_released(
    turn: Turn, order: Order, group: Group, cause: Cause, act: closing.Act | None, promoted: str | None
) -> None:
    actor, reason, ticket = act or (None, None, None)
    turn.seats_named += 1
    turn.emit(
        d.SeatReleased(
            group=group.group,
            order=order.order,
            member=order.member,
            cause=cause,
            publisher=order.publisher,
            promoted=promoted,
            actor=actor,
            reason=reason,
            ticket=ticket,
        )
    )


def change(turn: Turn, event: OrderChangedEvent) -> None:
    """Change an order that keeps its seat."""
    data = event.data
    order = _known(turn.state, data.order)
    if order.status not in (s.HELD, s.CONFIRMED):
        raise Refusal(Reason.ORDER_OVER)
    group = turn.state.groups[order.group]
    sku = order.sku if data.sku is None else data.sku
    quantity = order.quantity if data.quantity is None else data.quantity
    same_consent = data.strangers in (None, order.strangers) and data.merge in (None, order.merge)
    if same_consent and (sku, quantity) == (order.sku, order.quantity):
        raise Refusal(Reason.NOTHING_TO_CHANGE)
    terms = s.terms_of(turn.state, group)
    _check_change(turn.state, order, group, terms, sku, quantity)
    payable_minor = order.payable_minor
    if quantity != order.quantity:
        payable_minor = prices.payable_minor(terms, quantity, leads=order.leads)
        if turn.state.members.watching:
            limits.check_spending(turn, order.member, payable_minor - order.payable_minor, terms.currency)
    goods = Goods(sku, quantity)
    if order.status == s.HELD:
        turn.emit(held(order, group, terms, payable_minor, order.hold_until, goods))
    else:
        turn.emit(confirmed(order, group, terms, payable_minor, order.payment, goods))


def _check_change(state: State, order: Order, group: Group, terms: Terms, sku: str | None, quantity: int) -> None:
    offer = state.offers[group.offer]
    if sku != order.sku:
        seating.check_sku(offer, sku)
    more = terms.weight(quantity) - terms.weight(order.quantity)
    if quantity != order.quantity and order.status == s.CONFIRMED:
        raise Refusal(Reason.ALREADY_PAID)
    if terms.count == "units" and quantity > min(terms.max_size, GROUP_MAX_SEATS):
        raise Refusal(Reason.QUANTITY_TOO_LARGE)
    if group.taken + more > terms.max_size:
        raise Refusal(Reason.GROUP_FULL)
    if offer.stock is not None:
        given_back = order.quantity if sku == order.sku else 0
        if offer.stock[sku or s.ONE_STOCK] + given_back < quantity:
            raise Refusal(Reason.OUT_OF_STOCK)
    if more > 0:
        seating.check_limits(offer, terms, order.member, more)


def dissolve_by_service(turn: Turn, event: GroupDissolvedEvent) -> None:
    """Let customer service dissolve an open group."""
    data = event.data
    group = _open_group(turn.state, data.group)
    closing.dissolve(turn, group, "customer_service", (data.actor, data.reason, data.ticket))


def complete_by_service(turn: Turn, event: GroupCompletedEvent) -> None:
    """Let customer service fill an open group with the seats that it has confirmed."""
    data = event.data
    group = _open_group(turn.state, data.group)
    if not group.confirmed:
        raise Refusal(Reason.NOTHING_CONFIRMED)
    closing.release_unpaid(turn, group, GROUP_MAX_SEATS)
    closing.fill(turn, group, "completed", (data.actor, data.reason, data.ticket))


def _open_group(state: State, group_id: str) -> Group:
    group = state.groups.get(group_id)
    if group is None:
        raise Refusal(Reason.GROUP_UNKNOWN)
    if group.status != s.OPEN:
        raise Refusal(Reason.GROUP_OVER)
    return group
