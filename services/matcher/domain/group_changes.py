"""What decisions about whole groups change."""

import heapq
from typing import Any, Final

import msgspec

from events import decisions as d
from events.fair import draw_seats
from services.matcher.domain import state as s
from services.matcher.domain.handed import Handed
from services.matcher.domain.holdings import take_stock, weigh
from services.matcher.domain.index import Index
from services.matcher.domain.members import weeks
from services.matcher.domain.moment import Moment
from services.matcher.domain.pages import seats_of
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.seat_changes import end_order
from services.matcher.domain.state import Group, Offer, State

_OPEN_TO_FILLED: Final = (1 << s.WEIGHT_BITS) - 1
"""What one unit of weight adds to a member's packed weights when it moves from open to filled groups."""
_NOBODY: Final[frozenset[str]] = frozenset()


def group_opened(moment: Moment, decision: d.GroupOpened) -> None:
    """Add the group and its deadline."""
    state, tree = moment.state, moment.tree
    offer = state.offers[decision.offer]
    # Numbers only have to rise: that of a group is its entry's, so that its first order can share the integer.
    seq, index, part = state.position
    state.counter = max(state.counter + 1, pack_entry(seq, index, part))
    # Groups that open in one instant share one integer: a million of them would take 48 MB. Untyped, since compiled
    # code would make a new one of it.
    last: Any = tree.last_opened
    deadline: Any = decision.deadline
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
    tree.due_by(decision.deadline)


def group_merged(moment: Moment, decision: d.GroupMerged) -> None:
    """Move the donor's seats into the group that they fill."""
    state, tree, now = moment.state, moment.tree, moment.now
    donor, into = state.groups[decision.group], state.groups[decision.into]
    offer = state.offers[donor.offer]
    for order_id in donor.seats:
        state.orders[order_id].group = into.group
    into.reseat(into.seats + donor.seats)
    into.taken += donor.taken
    into.confirmed += donor.confirmed
    into.reserved += donor.reserved
    into.unmerging += donor.unmerging
    donor.reseat(())
    donor.taken = donor.confirmed = donor.reserved = donor.unmerging = 0
    _close(state, tree, donor, offer, s.MERGED, now)
    tree.members.pop(into.group, None)
    tree.file(into, offer)


def group_filled(moment: Moment, decision: d.GroupFilled) -> None:
    """End the group and its seats as filled with the first page; later pages only tell."""
    state = moment.state
    group = state.groups[decision.group]
    if decision.page == 1:
        _end_seats(moment, group, s.GROUP_FILLED, lost=_not_drawn(state, group, decision))
    _turn_page(state, moment.tree, decision)


def group_unfilled(moment: Moment, decision: d.GroupExpired | d.GroupDissolved) -> None:
    """End the group and its seats unfilled with the first page; later pages only tell."""
    state = moment.state
    if decision.page == 1:
        status = s.EXPIRED if type(decision) is d.GroupExpired else s.DISSOLVED
        _end_seats(moment, state.groups[decision.group], status)
        if state.dissolving.peek() == decision.group:
            state.dissolving.drop()
    _turn_page(state, moment.tree, decision)


def _not_drawn(state: State, group: Group, decision: d.GroupFilled) -> frozenset[str]:
    """Return the orders that did not win in a group whose winners were drawn."""
    if decision.seed is None:
        return _NOBODY
    winners = s.terms_of(state, group).winners
    if winners is None:
        return _NOBODY
    return frozenset(group.seats) - draw_seats(bytes.fromhex(decision.seed), group.seats, winners)


def _end_seats(moment: Moment, group: Group, status: int, *, lost: frozenset[str] = _NOBODY) -> None:
    state, tree, now = moment.state, moment.tree, moment.now
    offer = state.offers[group.offer]
    if status == s.GROUP_FILLED and not lost:
        _fill_seats(state, group, offer)
        _close(state, tree, group, offer, status, now)
        return
    for order_id in group.seats:
        filled = status == s.GROUP_FILLED and order_id not in lost
        order = state.orders[order_id]
        if offer.weights is not None:
            weigh(state, offer, order, -1)
        if not filled:
            if offer.stock is not None:
                take_stock(offer.stock, order.sku, order.quantity)
            if state.members.watching:
                weeks.seat_lost(moment, order)
        unpaid = s.GONE if order_id in lost else s.LOST
        order.status = s.FILLED if filled else (s.REFUNDED if order.payment is not None else unpaid)
        if filled and offer.weights is not None:
            weigh(state, offer, order, 1)
        end_order(state, order, now)
    _close(state, tree, group, offer, status, now)


def _fill_seats(state: State, group: Group, offer: Offer) -> None:
    """End the seats of a group that fills: all of them confirmed, what they weigh moves from open to filled."""
    orders, weights, seats = state.orders, offer.weights, seats_of(group)
    by_units = offer.editions[group.edition].terms.count == "units"
    as_it_is: Any = state
    now: Handed = as_it_is.now  # one integer for all
    state.ended_orders.push((now, seats))
    for order_id in seats:
        order = orders[order_id]
        assert order.status == s.CONFIRMED, "unpaid seats were released before"
        order.status = s.FILLED
        order.ends_at = now
        if weights is not None:
            member = order.member
            moved = order.quantity * _OPEN_TO_FILLED if by_units else _OPEN_TO_FILLED
            weights[member] = weights[member] + moved


def _close(state: State, tree: Index, group: Group, offer: Offer, status: int, now: int) -> None:
    group.status = status
    offer.open_groups -= 1
    state.ended_groups.items.append((now, group.group))
    tree.closed(group, offer)
    if state.standing.seats.devices:
        state.standing.seats.devices.pop(group.group, None)


def _turn_page(state: State, tree: Index, decision: d.Closing) -> None:
    if decision.page < decision.pages:
        state.closings[decision.group] = msgspec.structs.replace(decision, seats=[])
        tree.due_by(0)
    elif state.closings:
        state.closings.pop(decision.group, None)
