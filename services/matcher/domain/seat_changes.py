"""What decisions about seats change."""

import heapq
from sys import intern
from typing import Any

from events import decisions as d
from events.order import OrderChangedEvent, OrderTerms
from events.times import NS_PER_S
from services.matcher.domain import state as s
from services.matcher.domain.holdings import take_stock, weigh
from services.matcher.domain.index import MEMBERS_INDEXED_FROM, TAKES_STRANGERS
from services.matcher.domain.members import weeks
from services.matcher.domain.moment import Moment
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.standing.seat_signs import seat_lost, seat_signalled
from services.matcher.domain.state import Group, Order, State


def seat_held(moment: Moment, decision: d.SeatHeld) -> None:
    """Seat an order that has yet to pay, a new one or one that came back, or restate one that changed."""
    state, tree = moment.state, moment.tree
    known = None if moment.place is not None else state.orders.get(decision.order)
    if known is not None and known.status == s.HELD:
        _restate(moment, known, decision)
        return
    # One that came back pays anew: what it paid before has been owed back.
    order = _seat(moment, decision, known, s.HELD, None)
    state.counter += 1
    order.ends_at = decision.hold_until
    state.holds[order.order] = state.counter
    ends_at = order.ends_at + s.terms_of(state, state.groups[order.group]).grace_s * NS_PER_S
    heapq.heappush(tree.holds, (ends_at, state.counter, order))
    tree.due_by(ends_at)
    if state.members.watching:
        weeks.seat_taken(moment, order, is_new=known is None)


def seat_confirmed(moment: Moment, decision: d.SeatConfirmed) -> None:
    """Seat an order for good: a new one, one that has paid, one that came back, or one that changed."""
    state, tree = moment.state, moment.tree
    if state.standing.seats.unpaid:
        state.standing.seats.unpaid.pop(decision.member, None)
    order = None if moment.place is not None else state.orders.get(decision.order)
    if order is None or order.status not in (s.HELD, s.CONFIRMED):
        seated = _seat(moment, decision, order, s.CONFIRMED, decision.payment)
        if state.members.watching:
            weeks.seat_taken(moment, seated, is_new=order is None)
        return
    if order.status == s.CONFIRMED:
        _restate(moment, order, decision)
        return
    group = state.groups[order.group]
    group.confirmed += s.terms_of(state, group).weight(order.quantity)
    order.status = s.CONFIRMED
    order.ends_at = 0
    del state.holds[order.order]
    if decision.payment is not None:
        order.paid_with = decision.payment.encode()
        order.paid_minor = decision.payable_minor
    tree.file(group, state.offers[group.offer])


def _seat(
    moment: Moment, decision: d.SeatHeld | d.SeatConfirmed, lost: Order | None, status: int, payment: str | None
) -> Order:
    """Give the event's order the seat that it asked for, or one to a `lost` order that came back.

    One function with a local name for everything: nearly every event ends here.
    """
    state, tree = moment.state, moment.tree
    # A lost order has the terms that it asked for under the same names.
    asked: OrderTerms = moment.event.data if lost is None else lost  # type: ignore[union-attr, assignment]
    place = moment.place
    if place is None:
        group = state.groups[decision.group]
        offer = state.offers[group.offer]
        terms = offer.editions[group.edition].terms
    else:
        offer, group, terms = place
    order_id, member, quantity, sku = asked.order, asked.member, asked.quantity, asked.sku
    strangers, merge = asked.strangers, asked.merge
    # Untyped, so that compiled code too hands on the very integers that are there: a new one takes 32 bytes.
    terms_as_they_are: Any = terms
    group_as_it_is: Any = group
    decided: Any = decision
    payable_minor, unit_minor = decided.payable_minor, terms_as_they_are.group_minor
    if payable_minor is not unit_minor and payable_minor == unit_minor:
        payable_minor = unit_minor
    leads = group.leader == order_id
    if leads:
        order_id = group.leader  # where both are read anew, from a journal, one text is enough: 64 bytes
    if lost is not None:
        order = _move_back_in(lost, group, payable_minor, status, payment)
    else:
        seq, index, part = state.position
        entry = pack_entry(seq, index, part)
        state.orders[order_id] = order = Order(
            order=order_id,
            member=member,
            publisher=intern(decision.publisher),
            group=group.group,
            status=status,
            entry=group_as_it_is.no if group.no == entry else entry,
            # `marks_of`, a call less
            marks=quantity << 4 | (status == s.CONFIRMED) << 3 | leads << 2 | merge << 1 | strangers,
            sku=sku,
            payable_minor=payable_minor,
            paid_with=None if payment is None else payment.encode(),
            paid_minor=0 if payment is None else payable_minor,
        )
    weight = quantity if terms.count == "units" else 1
    sitting = group.sitting
    if sitting is None:
        group.sitting = order_id
    elif isinstance(sitting, str):  # as the property `seats` does it, without its calls
        group.sitting = sitting, order_id
    else:
        group.sitting = sitting + (order_id,)  # noqa: RUF005  # compiled, to unpack it makes a list of it first
    group.taken = taken = group.taken + weight
    if status == s.CONFIRMED:
        group.confirmed += weight
    if not strangers:
        group.reserved += 1
    if not merge:
        group.unmerging += 1
    stock = offer.stock
    if stock is not None:  # `take_stock`, a call less
        variant = s.ONE_STOCK if sku is None else sku
        stock[variant] = left = stock[variant] - quantity
        assert left >= 0, "stock is never negative"
    weights = offer.weights
    if weights is not None:
        weights[member] = weights.get(member, 0) + weight
    if taken > MEMBERS_INDEXED_FROM or tree.members:
        tree.seat_added(group, member, state)
    # Where strangers match by deadline and the group cannot merge, one more seat moves it nowhere.
    if group.filed != TAKES_STRANGERS or merge or not strangers or taken >= terms.max_size:
        tree.file(group, offer)
    if lost is None and (signals := moment.event.data.signals) is not None and signals.device is not None:  # type: ignore[union-attr]
        seat_signalled(moment, group.group, member, signals.device)
    return order


def _move_back_in(order: Order, group: Group, payable_minor: int, status: int, payment: str | None) -> Order:
    order.group, order.status, order.ends_at = group.group, status, 0
    order.marks = order.marks & ~s.LEADS | (s.LEADS if group.leader == order.order else 0)
    order.payable_minor = payable_minor
    order.paid_with, order.paid_minor = (None, 0) if payment is None else (payment.encode(), payable_minor)
    return order


def _restate(moment: Moment, order: Order, decision: d.SeatHeld | d.SeatConfirmed) -> None:
    state, tree, event = moment.state, moment.tree, moment.event
    assert isinstance(event, OrderChangedEvent)
    group = state.groups[order.group]
    offer = state.offers[group.offer]
    terms = s.terms_of(state, group)
    if offer.stock is not None:
        take_stock(offer.stock, order.sku, order.quantity)
    if offer.weights is not None:
        weigh(state, offer, order, -1)
    more = terms.weight(decision.quantity) - terms.weight(order.quantity)
    group.taken += more
    if order.status == s.CONFIRMED:
        group.confirmed += more
    group.reserved += order.strangers - (strangers := _or(event.data.strangers, order.strangers))
    group.unmerging += order.merge - (merge := _or(event.data.merge, order.merge))
    order.marks = s.marks_of(
        decision.quantity, strangers=strangers, merge=merge, leads=order.leads, prepaid=order.prepaid
    )
    order.sku, order.payable_minor = decision.sku, decision.payable_minor
    if offer.stock is not None:
        take_stock(offer.stock, order.sku, -order.quantity)
    if offer.weights is not None:
        weigh(state, offer, order, 1)
    tree.file(group, offer)
    if state.members.watching:
        weeks.order_changed(moment, order)


def _or(changed: bool | None, now: bool) -> bool:
    return now if changed is None else changed


def seat_released(moment: Moment, decision: d.SeatReleased) -> None:
    """Free the seat; in a filled group the seat stays told and only the order ends."""
    state, tree, now = moment.state, moment.tree, moment.now
    order = state.orders[decision.order]
    group = state.groups[order.group]
    offer = state.offers[group.offer]
    if offer.weights is not None:
        weigh(state, offer, order, -1)
    if offer.stock is not None:
        take_stock(offer.stock, order.sku, order.quantity)
    if state.members.watching:
        weeks.seat_lost(moment, order)
    was_seated = group.status == s.OPEN
    if was_seated:
        _stand_up(state, order, group)
        if decision.promoted is not None:
            group.leader = decision.promoted
        tree.seat_removed(group, order.member)
        tree.file(group, offer)
    order.status = s.LOST if decision.cause == "hold_ended" else s.GONE
    # A cancellation after the fill does not move the end: the group's own memory would end before the order's.
    if was_seated:
        end_order(state, order, now)
    if decision.cause == "hold_ended":
        seat_lost(moment, order.member)


def _stand_up(state: State, order: Order, group: Group) -> None:
    weight = s.terms_of(state, group).weight(order.quantity)
    group.reseat(tuple(o for o in group.seats if o != order.order))
    group.taken -= weight
    if order.status == s.CONFIRMED:
        group.confirmed -= weight
    group.reserved -= not order.strangers
    group.unmerging -= not order.merge
    assert group.taken >= group.confirmed >= 0


def end_order(state: State, order: Order, now: int) -> None:
    """Note when an order left its open group, or its group closed: from then on it will be forgotten."""
    state.holds.pop(order.order, None)
    order.ends_at = now
    state.ended_orders.items.append((now, order.order))
