"""What decisions about whole groups change."""

import heapq
from typing import Final

import msgspec

from events import decisions as d
from services.matcher.domain import state as s
from services.matcher.domain.holdings import take_stock, weigh
from services.matcher.domain.index import Index
from services.matcher.domain.moment import Moment
from services.matcher.domain.seat_changes import end_order
from services.matcher.domain.state import Group, Offer, State

_OPEN_TO_FILLED: Final = (1 << s.WEIGHT_BITS) - 1
"""What one unit of weight adds to a member's packed weights when it moves from open to filled groups."""


def group_opened(moment: Moment, decision: d.GroupOpened) -> None:
    """Add the group and its deadline."""
    state, tree = moment.state, moment.tree
    offer = state.offers[decision.offer]
    # Numbers only have to rise: that of a group is its entry's, so that its first order can share the integer.
    state.counter = max(state.counter + 1, s.pack_entry(*state.position))
    deadline, last = decision.deadline, tree.last_opened
    # Groups that open in one instant share one integer: a million of them would take 48 MB.
    if last is not None and last.deadline == deadline:
        deadline = last.deadline
    tree.last_opened = group = Group(
        group=decision.group,
        no=state.counter,
        offer=offer.offer,
        edition=decision.edition,
        deadline=deadline,
        leader=decision.order,
        pool=decision.pool,
    )
    state.groups[group.group] = group
    offer.editions[group.edition].groups += 1
    offer.open_groups += 1
    heapq.heappush(tree.deadlines, group)
    tree.due_by(group.deadline)


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
    if decision.page == 1:
        _end_seats(state, tree, group, s.GROUP_FILLED, now)
    _turn_page(state, tree, decision)


def group_unfilled(moment: Moment, decision: d.GroupExpired | d.GroupDissolved) -> None:
    """End the group and its seats unfilled with the first page; later pages only tell."""
    state, tree, now = moment.state, moment.tree, moment.now
    if decision.page == 1:
        status = s.EXPIRED if type(decision) is d.GroupExpired else s.DISSOLVED
        _end_seats(state, tree, state.groups[decision.group], status, now)
        if state.dissolving.peek() == decision.group:
            state.dissolving.drop()
    _turn_page(state, tree, decision)


def _end_seats(state: State, tree: Index, group: Group, status: int, now: int) -> None:
    offer = state.offers[group.offer]
    if status == s.GROUP_FILLED:
        _fill_seats(state, group, offer, now)
    else:
        for order_id in group.seats:
            order = state.orders[order_id]
            if offer.weights is not None:
                weigh(state, offer, order, -1)
            if offer.stock is not None:
                take_stock(offer.stock, order.sku, order.quantity)
            order.status = s.REFUNDED if order.payment is not None else s.LOST
            end_order(state, order, now)
    _close(state, tree, group, offer, status, now)


def _fill_seats(state: State, group: Group, offer: Offer, now: int) -> None:
    """End the seats of a group that fills: all of them confirmed, what they weigh moves from open to filled."""
    orders, weights, ends = state.orders, offer.weights, state.ended_orders.items
    by_units = offer.editions[group.edition].terms.count == "units"
    for order_id in group.seats:
        order = orders[order_id]
        assert order.status == s.CONFIRMED, "unpaid seats were released before"
        order.status = s.FILLED
        order.ended_at = now
        ends.append((now, order_id))
        if weights is not None:
            weights[order.member] += (order.quantity if by_units else 1) * _OPEN_TO_FILLED


def _close(state: State, tree: Index, group: Group, offer: Offer, status: int, now: int) -> None:
    group.status = status
    offer.open_groups -= 1
    state.ended_groups.items.append((now, group.group))
    tree.closed(group, offer)


def _turn_page(state: State, tree: Index, decision: d.Closing) -> None:
    if decision.page < decision.pages:
        state.closings[decision.group] = msgspec.structs.replace(decision, seats=[])
        tree.due_by(0)
    elif state.closings:
        state.closings.pop(decision.group, None)
