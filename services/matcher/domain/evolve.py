"""What each decision does to the state; the only code that changes it, when deciding and when recovering."""

import heapq
from collections.abc import Callable
from typing import Any, Final

import msgspec

from events import decisions as d
from events.market import MarketConfiguredEvent
from events.member import MemberBlockedEvent
from events.offer import (
    OfferChangedEvent,
    OfferPublishedEvent,
    OfferStockedEvent,
    OfferTerms,
    OfferWithdrawnEvent,
)
from events.order import OrderChangedEvent, OrderTerms
from events.registry import AnyEvent
from events.times import NS_PER_S
from services.matcher.domain import state as s
from services.matcher.domain.index import Index
from services.matcher.domain.state import Group, Offer, Order, State
from services.matcher.domain.terms import overlay, resolve


class Moment:
    """A state, and the moment at which it changes: accepted time in ns, and the event, if it is not timer work."""

    __slots__ = ("event", "now", "state", "tree")

    def __init__(self, state: State, tree: Index, now: int, event: AnyEvent | None) -> None:
        """Take the state and its index as they are."""
        self.state = state
        self.tree = tree
        self.now = now
        self.event = event


def apply(moment: Moment, decision: d.AnyDecision) -> None:
    """Change the state as `decision` says, which was made at `moment`."""
    change = _CHANGES.get(type(decision))
    if change is not None:
        change(moment, decision)


# Market, offers, members


def _market_set(moment: Moment, _: d.MarketSet) -> None:
    state, event = moment.state, moment.event
    assert isinstance(event, MarketConfiguredEvent)
    state.market = event.data


def _offer_listed(moment: Moment, decision: d.OfferListed) -> None:
    state, tree, event = moment.state, moment.tree, moment.event
    if isinstance(event, OfferPublishedEvent):
        _publish(state, event)
        return
    offer = state.offers[decision.offer]
    if isinstance(event, OfferChangedEvent):
        _change(state, tree, offer, event)
    elif isinstance(event, OfferStockedEvent):
        assert offer.stock is not None
        sku = event.data.sku or s.ONE_STOCK
        offer.stock[sku] = offer.stock.get(sku, 0) + event.data.delta
    else:
        assert isinstance(event, OfferWithdrawnEvent)
        offer.withdrawn = True
        if event.data.open_groups == "dissolve" and offer.open_groups:
            for group in state.groups.values():
                if group.offer == offer.offer and group.status == s.OPEN:
                    state.dissolving.push(group.group)


def _publish(state: State, event: OfferPublishedEvent) -> None:
    assert state.market is not None
    data = event.data
    explicit = _terms_only(data)
    terms = resolve(overlay(state.market.offer_defaults, explicit))
    stock = dict(data.skus) if data.skus is not None else None
    if data.stock is not None:
        stock = {s.ONE_STOCK: data.stock}
    limited = terms.limit_at_once is not None or terms.limit_total is not None
    state.offers[data.offer] = Offer(
        offer=data.offer,
        explicit=explicit,
        edition=1,
        terms=terms,
        editions={1: s.Edition(terms)},
        stock=stock,
        weights={} if limited else None,
    )


def _change(state: State, tree: Index, offer: Offer, event: OfferChangedEvent) -> None:
    assert state.market is not None
    old = offer.terms
    offer.explicit = overlay(offer.explicit, event.data)
    terms = resolve(overlay(state.market.offer_defaults, offer.explicit))
    last = offer.edition
    offer.edition += 1
    offer.terms = terms
    offer.editions[offer.edition] = s.Edition(terms)
    if offer.editions[last].groups == 0:
        del offer.editions[last]
    if offer.weights is None and (terms.limit_at_once is not None or terms.limit_total is not None):
        offer.weights = {}
        for order in state.orders.values():
            if state.groups[order.group].offer == offer.offer:
                weigh(state, offer, order, 1)
    if old.match != terms.match:
        tree.refile_offer(state, offer)


def _terms_only(data: OfferTerms) -> OfferTerms:
    return OfferTerms(**{name: getattr(data, name) for name in OfferTerms.__struct_fields__})


def _member_noted(moment: Moment, _: d.MemberNoted) -> None:
    state, event = moment.state, moment.event
    assert isinstance(event, MemberBlockedEvent)
    data = event.data
    for one, other, side in ((data.member, data.other, s.BLOCKS), (data.other, data.member, s.IS_BLOCKED)):
        apart = state.blocks.setdefault(one, {})
        sides = apart.get(other, 0)
        sides = sides & ~side if data.lifted else sides | side
        if sides:
            apart[other] = sides
        else:
            apart.pop(other, None)
        if not apart:
            del state.blocks[one]


# Groups and seats


def _group_opened(moment: Moment, decision: d.GroupOpened) -> None:
    state, tree = moment.state, moment.tree
    offer = state.offers[decision.offer]
    state.counter += 1
    group = Group(
        group=decision.group,
        no=state.counter,
        offer=offer.offer,
        edition=decision.edition,
        deadline=decision.deadline,
        leader=decision.order,
        pool=decision.pool,
    )
    state.groups[group.group] = group
    offer.editions[group.edition].groups += 1
    offer.open_groups += 1
    heapq.heappush(tree.deadlines, group)


def _seat_held(moment: Moment, decision: d.SeatHeld) -> None:
    state, tree, event = moment.state, moment.tree, moment.event
    order = state.orders.get(decision.order)
    if order is not None and order.status == s.HELD:
        _restate(state, tree, order, decision, event)
        return
    assert order is None, "only a new order is held"
    order = _new_order(state, decision, event)
    state.counter += 1
    order.hold_until = decision.hold_until
    order.hold_no = state.counter
    order.status = s.HELD
    group = state.groups[order.group]
    grace_s = s.terms_of(state, group).grace_s
    heapq.heappush(tree.holds, (order.hold_until + grace_s * NS_PER_S, order.hold_no, order))
    _sit(state, tree, order, group)


def _seat_confirmed(moment: Moment, decision: d.SeatConfirmed) -> None:
    state, tree, event = moment.state, moment.tree, moment.event
    order = state.orders.get(decision.order)
    if order is not None and order.status == s.CONFIRMED:
        _restate(state, tree, order, decision, event)
        return
    if order is not None and order.status == s.HELD:
        _pay(order, decision)
        group = state.groups[order.group]
        group.confirmed += s.terms_of(state, group).weight(order.quantity)
        tree.file(group, state.offers[group.offer])
        return
    if order is None:
        order = _new_order(state, decision, event)
    else:
        _move_back_in(state, order, decision)
    _pay(order, decision)
    _sit(state, tree, order, state.groups[order.group])


def _pay(order: Order, decision: d.SeatConfirmed) -> None:
    order.status = s.CONFIRMED
    order.hold_until = order.hold_no = 0
    if decision.payment is not None:
        order.payment = decision.payment
        order.paid_minor = decision.payable_minor


def _new_order(state: State, decision: d.SeatHeld | d.SeatConfirmed, event: AnyEvent | None) -> Order:
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
    return order


def _move_back_in(state: State, order: Order, decision: d.SeatConfirmed) -> None:
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
    _stock(offer, order, -1)
    if offer.weights is not None:
        _add_weight(offer, order.member, weight)
    tree.seat_added(group, order.member, state)
    tree.file(group, offer)


def _restate(
    state: State,
    tree: Index,
    order: Order,
    decision: d.SeatHeld | d.SeatConfirmed,
    event: AnyEvent | None,
) -> None:
    assert isinstance(event, OrderChangedEvent)
    group = state.groups[order.group]
    offer = state.offers[group.offer]
    terms = s.terms_of(state, group)
    _stock(offer, order, 1)
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
    _stock(offer, order, -1)
    if offer.weights is not None:
        weigh(state, offer, order, 1)
    tree.file(group, offer)


def _or(changed: bool | None, now: bool) -> bool:
    return now if changed is None else changed


def _seat_released(moment: Moment, decision: d.SeatReleased) -> None:
    state, tree, now = moment.state, moment.tree, moment.now
    order = state.orders[decision.order]
    group = state.groups[order.group]
    offer = state.offers[group.offer]
    if offer.weights is not None:
        weigh(state, offer, order, -1)
    _stock(offer, order, 1)
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
        _end_order(state, order, now)


def _stand_up(state: State, order: Order, group: Group) -> None:
    weight = s.terms_of(state, group).weight(order.quantity)
    group.seats = tuple(o for o in group.seats if o != order.order)
    group.taken -= weight
    if order.status == s.CONFIRMED:
        group.confirmed -= weight
    group.reserved -= not order.strangers
    group.unmerging -= not order.merge
    assert group.taken >= group.confirmed >= 0


def _end_order(state: State, order: Order, now: int) -> None:
    order.hold_until = order.hold_no = 0
    order.ended_at = now
    state.ended_orders.push((now, order.order))


def _group_merged(moment: Moment, decision: d.GroupMerged) -> None:
    state, tree, now = moment.state, moment.tree, moment.now
    donor, into = state.groups[decision.group], state.groups[decision.into]
    offer = state.offers[donor.offer]
    for order_id in donor.seats:
        state.orders[order_id].group = into.group
    into.seats += donor.seats
    into.taken += donor.taken
    into.confirmed += donor.confirmed
    into.reserved += donor.reserved
    into.unmerging += donor.unmerging
    donor.seats = ()
    donor.taken = donor.confirmed = donor.reserved = donor.unmerging = 0
    _close(state, tree, donor, offer, s.MERGED, now)
    tree.members.pop(into.group, None)
    tree.file(into, offer)


def _group_filled(moment: Moment, decision: d.GroupFilled) -> None:
    state, tree, now = moment.state, moment.tree, moment.now
    group = state.groups[decision.group]
    if decision.page == 1:
        _end_seats(state, tree, group, s.GROUP_FILLED, now)
    _turn_page(state, decision)


def _group_unfilled(moment: Moment, decision: d.GroupExpired | d.GroupDissolved) -> None:
    state, tree, now = moment.state, moment.tree, moment.now
    if decision.page == 1:
        status = s.EXPIRED if type(decision) is d.GroupExpired else s.DISSOLVED
        _end_seats(state, tree, state.groups[decision.group], status, now)
        if state.dissolving.peek() == decision.group:
            state.dissolving.drop()
    _turn_page(state, decision)


def _end_seats(state: State, tree: Index, group: Group, status: int, now: int) -> None:
    offer = state.offers[group.offer]
    filled = status == s.GROUP_FILLED
    for order_id in group.seats:
        order = state.orders[order_id]
        if offer.weights is not None:
            weigh(state, offer, order, -1)
        if not filled:
            _stock(offer, order, 1)
        order.status = s.FILLED if filled else (s.REFUNDED if order.payment is not None else s.LOST)
        if filled and offer.weights is not None:
            weigh(state, offer, order, 1)
        _end_order(state, order, now)
    _close(state, tree, group, offer, status, now)


def _close(state: State, tree: Index, group: Group, offer: Offer, status: int, now: int) -> None:
    group.status = status
    offer.open_groups -= 1
    state.ended_groups.push((now, group.group))
    tree.closed(group, offer)


def _turn_page(state: State, decision: d.Closing) -> None:
    if decision.page < decision.pages:
        state.closings[decision.group] = msgspec.structs.replace(decision, seats=[])
    else:
        state.closings.pop(decision.group, None)


# Stock, weights, money


def _stock(offer: Offer, order: Order, sign: int) -> None:
    if offer.stock is None:
        return
    key = order.sku or s.ONE_STOCK
    offer.stock[key] = left = offer.stock[key] + sign * order.quantity
    assert left >= 0, "stock is never negative"


def weigh(state: State, offer: Offer, order: Order, sign: int) -> None:
    """Count an order in, or out of, what its member holds of the offer."""
    if order.status not in (s.HELD, s.CONFIRMED, s.FILLED):
        return
    assert offer.weights is not None
    terms = s.terms_of(state, state.groups[order.group])
    shift = s.WEIGHT_BITS if order.status == s.FILLED else 0
    _add_weight(offer, order.member, sign * terms.weight(order.quantity) << shift)


def _add_weight(offer: Offer, member: str, weight: int) -> None:
    assert offer.weights is not None
    held = offer.weights.get(member, 0) + weight
    assert held >= 0, "nobody holds less than nothing"
    if held:
        offer.weights[member] = held
    else:
        del offer.weights[member]


def _refund_due(moment: Moment, decision: d.RefundDue) -> None:
    state = moment.state
    assert decision.refund not in state.refunds, "a debt is one debt"
    moment.tree.refund_due(decision.order)
    state.refunds[decision.refund] = s.Refund(
        order=decision.order, amount_minor=decision.amount_minor, currency=decision.currency
    )
    order = state.orders.get(decision.order)
    if order is not None and order.payment == decision.payment:
        order.paid_minor -= decision.amount_minor
        assert order.paid_minor >= 0, "nobody gets back more than they paid"


def _refund_closed(moment: Moment, decision: d.RefundClosed) -> None:
    state, now = moment.state, moment.now
    if decision.status == "settled":
        state.refunds[decision.refund].settled = True
        state.settled_refunds.push((now, decision.refund))


_CHANGES: Final[dict[type, Callable[[Moment, Any], None]]] = {
    d.MarketSet: _market_set,
    d.OfferListed: _offer_listed,
    d.MemberNoted: _member_noted,
    d.GroupOpened: _group_opened,
    d.SeatHeld: _seat_held,
    d.SeatConfirmed: _seat_confirmed,
    d.SeatReleased: _seat_released,
    d.GroupMerged: _group_merged,
    d.GroupFilled: _group_filled,
    d.GroupExpired: _group_unfilled,
    d.GroupDissolved: _group_unfilled,
    d.RefundDue: _refund_due,
    d.RefundClosed: _refund_closed,
}
