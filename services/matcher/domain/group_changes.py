"""What decisions about whole groups change."""

import heapq

import msgspec

from events import decisions as d
from events.fair import draw_seats
from services.matcher.domain import state as s
from services.matcher.domain.holdings import take_stock, weigh
from services.matcher.domain.index import Index
from services.matcher.domain.moment import Moment
from services.matcher.domain.seat_changes import end_order
from services.matcher.domain.state import Group, Offer, State


def group_opened(moment: Moment, decision: d.GroupOpened) -> None:
    """Add the group and its deadline."""
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


def group_merged(moment: Moment, decision: d.GroupMerged) -> None:
    """Move the donor's seats into the group that they fill."""
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


def group_filled(moment: Moment, decision: d.GroupFilled) -> None:
    """End the group and its seats as filled with the first page; later pages only tell."""
    state, tree, now = moment.state, moment.tree, moment.now
    group = state.groups[decision.group]
    if decision.page == 1 and decision.seed is None:
        _end_seats(state, tree, group, s.GROUP_FILLED, now)
    elif decision.page == 1:
        _end_drawn(state, tree, group, decision, now)
    _turn_page(state, decision)


def group_unfilled(moment: Moment, decision: d.GroupExpired | d.GroupDissolved) -> None:
    """End the group and its seats unfilled with the first page; later pages only tell."""
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
            take_stock(offer, order, 1)
        order.status = s.FILLED if filled else (s.REFUNDED if order.payment is not None else s.LOST)
        if filled and offer.weights is not None:
            weigh(state, offer, order, 1)
        end_order(state, order, now)
    _close(state, tree, group, offer, status, now)


def _end_drawn(state: State, tree: Index, group: Group, decision: d.GroupFilled, now: int) -> None:
    """End the seats of a filled group whose winners are drawn; who is not among them holds nothing of the offer."""
    offer, winners = state.offers[group.offer], s.terms_of(state, group).winners
    assert decision.seed is not None and winners is not None
    drawn = draw_seats(bytes.fromhex(decision.seed), group.seats, winners)
    for order_id in group.seats:
        order = state.orders[order_id]
        if offer.weights is not None:
            weigh(state, offer, order, -1)
        if order_id in drawn:
            order.status = s.FILLED
        else:
            take_stock(offer, order, 1)
            order.status = s.GONE if order.payment is None else s.REFUNDED
        if offer.weights is not None:
            weigh(state, offer, order, 1)
        end_order(state, order, now)
    _close(state, tree, group, offer, s.GROUP_FILLED, now)


def _close(state: State, tree: Index, group: Group, offer: Offer, status: int, now: int) -> None:
    group.status = status
    offer.open_groups -= 1
    state.ended_groups.push((now, group.group))
    tree.closed(group, offer)
    if state.standing.seats.devices:
        state.standing.seats.devices.pop(group.group, None)


def _turn_page(state: State, decision: d.Closing) -> None:
    if decision.page < decision.pages:
        state.closings[decision.group] = msgspec.structs.replace(decision, seats=[])
    else:
        state.closings.pop(decision.group, None)
