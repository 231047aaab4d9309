"""What decisions about seats change."""

import heapq

from events import decisions as d
from events.order import OrderChangedEvent, OrderTerms
from events.times import NS_PER_S
from services.matcher.domain import state as s
from services.matcher.domain.holdings import add_weight, take_stock, weigh
from services.matcher.domain.index import Index
from services.matcher.domain.members import weeks
from services.matcher.domain.moment import Moment
from services.matcher.domain.standing.seat_signs import seat_lost, seat_signalled
from services.matcher.domain.state import Group, Order, State


def seat_held(moment: Moment, decision: d.SeatHeld) -> None:
    """Seat an order that has yet to pay, a new one or one that came back, or restate one that changed."""
    state, tree = moment.state, moment.tree
    order = state.orders.get(decision.order)
    if order is not None and order.status == s.HELD:
        _restate(moment, order, decision)
        return
    is_new = order is None
    if order is None:
        order = _new_order(moment, decision)
    else:
        _move_back_in(state, order, decision)
        # What it paid before has been owed back: it pays anew.
        order.payment, order.paid_minor = None, 0
    state.counter += 1
    order.hold_until = decision.hold_until
    order.hold_no = state.counter
    order.status = s.HELD
    group = state.groups[order.group]
    grace_s = s.terms_of(state, group).grace_s
    heapq.heappush(tree.holds, (order.hold_until + grace_s * NS_PER_S, order.hold_no, order))
    _sit(state, tree, order, group)
    if state.members.watching:
        weeks.seat_taken(moment, order, is_new=is_new)


def seat_confirmed(moment: Moment, decision: d.SeatConfirmed) -> None:
    """Seat an order for good: a new one, one that has paid, one that came back, or one that changed."""
    state, tree = moment.state, moment.tree
    if state.standing.seats.unpaid:
        state.standing.seats.unpaid.pop(decision.member, None)
    order = state.orders.get(decision.order)
    if order is not None and order.status == s.CONFIRMED:
        _restate(moment, order, decision)
        return
    if order is not None and order.status == s.HELD:
        _pay(order, decision)
        group = state.groups[order.group]
        group.confirmed += s.terms_of(state, group).weight(order.quantity)
        tree.file(group, state.offers[group.offer])
        return
    is_new = order is None
    if order is None:
        order = _new_order(moment, decision)
    else:
        _move_back_in(state, order, decision)
    _pay(order, decision)
    _sit(state, tree, order, state.groups[order.group])
    if state.members.watching:
        weeks.seat_taken(moment, order, is_new=is_new)


def _pay(order: Order, decision: d.SeatConfirmed) -> None:
    order.status = s.CONFIRMED
    order.hold_until = order.hold_no = 0
    if decision.payment is not None:
        order.payment = decision.payment
        order.paid_minor = decision.payable_minor


def _new_order(moment: Moment, decision: d.SeatHeld | d.SeatConfirmed) -> Order:
    state, event = moment.state, moment.event
    assert event is not None
    data = event.data
    assert isinstance(data, OrderTerms)
    group = state.groups[decision.group]
    order = Order(
        order=data.order,
        member=data.member,
        publisher=decision.publisher,
        group=group.group,
        status=s.CONFIRMED,
        entry=s.pack_entry(*state.position),
        quantity=data.quantity,
        sku=data.sku,
        strangers=data.strangers,
        merge=data.merge,
        leads=group.leader == data.order,
        prepaid=isinstance(decision, d.SeatConfirmed),
        payable_minor=decision.payable_minor,
    )
    state.orders[order.order] = order
    if data.signals is not None and data.signals.device is not None:
        seat_signalled(moment, group.group, order.member, data.signals.device)
    return order


def _move_back_in(state: State, order: Order, decision: d.SeatHeld | d.SeatConfirmed) -> None:
    group = state.groups[decision.group]
    order.group = group.group
    order.leads = group.leader == order.order
    order.payable_minor = decision.payable_minor
    order.ended_at = 0


def _sit(state: State, tree: Index, order: Order, group: Group) -> None:
    offer = state.offers[group.offer]
    weight = offer.editions[group.edition].terms.weight(order.quantity)
    group.seats = (*group.seats, order.order)
    group.taken += weight
    if order.status == s.CONFIRMED:
        group.confirmed += weight
    group.reserved += not order.strangers
    group.unmerging += not order.merge
    take_stock(offer, order, -1)
    if offer.weights is not None:
        add_weight(offer, order.member, weight)
    tree.seat_added(group, order.member, state)
    tree.file(group, offer)


def _restate(moment: Moment, order: Order, decision: d.SeatHeld | d.SeatConfirmed) -> None:
    state, tree, event = moment.state, moment.tree, moment.event
    assert isinstance(event, OrderChangedEvent)
    group = state.groups[order.group]
    offer = state.offers[group.offer]
    terms = s.terms_of(state, group)
    take_stock(offer, order, 1)
    if offer.weights is not None:
        weigh(state, offer, order, -1)
    more = terms.weight(decision.quantity) - terms.weight(order.quantity)
    group.taken += more
    if order.status == s.CONFIRMED:
        group.confirmed += more
    group.reserved += order.strangers - (strangers := _or(event.data.strangers, order.strangers))
    group.unmerging += order.merge - (merge := _or(event.data.merge, order.merge))
    order.strangers, order.merge = strangers, merge
    order.quantity, order.sku, order.payable_minor = decision.quantity, decision.sku, decision.payable_minor
    take_stock(offer, order, -1)
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
    take_stock(offer, order, 1)
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
    group.seats = tuple(o for o in group.seats if o != order.order)
    group.taken -= weight
    if order.status == s.CONFIRMED:
        group.confirmed -= weight
    group.reserved -= not order.strangers
    group.unmerging -= not order.merge
    assert group.taken >= group.confirmed >= 0


def end_order(state: State, order: Order, now: int) -> None:
    """Note when an order left its open group, or its group closed: from then on it will be forgotten."""
    order.hold_until = order.hold_no = 0
    order.ended_at = now
    state.ended_orders.push((now, order.order))
