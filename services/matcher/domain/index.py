"""Indexes over a state: derived from it, kept in step by `evolve`, built anew after a snapshot is read."""

import heapq
from typing import Final

from events.times import NS_PER_S
from services.matcher.domain.alarms import SOURCES, Alarm
from services.matcher.domain.facts import UTC_ONLY, Zones
from services.matcher.domain.identity_log import Identities
from services.matcher.domain.plays.giving import Giving
from services.matcher.domain.plays.index import PlayIndex
from services.matcher.domain.queues import Queue, file_in, take_out
from services.matcher.domain.state import HELD, OPEN, Group, Offer, Order, Pool, State, terms_of

MEMBERS_INDEXED_FROM: Final = 8
"""Seats above which a group's members are looked up instead of searched."""
# How a group is filed, in one integer: its rank, counted from 1, and whether it may be merged. 0 is nowhere.
_MAY_MERGE: Final = 1
_RANK_SHIFT: Final = 1
_NOWHERE: Final = -1
TAKES_STRANGERS: Final = 0 + 1 << _RANK_SHIFT
"""It is filed where the offer matches by deadline, and cannot merge: as nearly every open group."""


class Index:
    """Deadlines, ends of holds, groups with room, groups that may merge, members of large groups."""

    def __init__(self, state: State, plays: PlayIndex, zones: Zones = UTC_ONLY) -> None:
        """Build the indexes of `state`."""
        self.plays = plays
        self.identities = Identities(state.identities)
        self.zones = zones
        """Here, so that rules and changes have them without an argument through the way of every order."""
        self.deadlines: list[Group] = []
        """Heap of groups; those that are over are dropped when they come up."""
        self.holds: list[tuple[int, int, Order]] = []
        """Heap of (end of the hold with its grace, number of the hold, order); void ones likewise."""
        self.alarms: list[Alarm] = []
        """Heap of what other families have to do; void ones likewise."""
        self.rooms: dict[Pool, dict[int, Queue]] = {}
        """Groups that take strangers and have room, by rank: the number of missing seats where the offer matches
        `nearest_full`, else 0."""
        self.mergeable: dict[tuple[str, int, str | None], Queue] = {}
        self.members: dict[str, dict[str, None]] = {}
        self.refunds: dict[str, int] = {}
        """Order -> how many refunds it has: asked first, since a refund's id costs a hash."""
        self.last_opened: Group | None = None
        self.due_from = 0
        """Nothing is due before this moment, in ns; whatever makes work for an earlier one lowers it."""
        self.giving: Giving | None = None
        """The assist that is being decided, so that nothing of it need be looked up again to remember it."""
        self._build(state)

    def _build(self, state: State) -> None:
        for group in state.groups.values():
            group.filed = 0
        # In their order, so that each is filed at the end of its queues.
        self.deadlines = sorted(group for group in state.groups.values() if group.status == OPEN)
        for group in self.deadlines:
            self.file(group, state.offers[group.offer])
            if len(group.seats) > MEMBERS_INDEXED_FROM:
                self.members[group.group] = {state.orders[o].member: None for o in group.seats}
        for order in state.orders.values():
            if order.status == HELD:
                grace_s = terms_of(state, state.groups[order.group]).grace_s
                self.holds.append((order.hold_until + grace_s * NS_PER_S, state.holds[order.order], order))
        for refund in state.refunds.values():
            self.refund_due(refund.order)
        self.alarms.extend(alarm for source in SOURCES for alarm in source(state))
        heapq.heapify(self.holds)
        heapq.heapify(self.alarms)

    def file(self, group: Group, offer: Offer) -> None:
        """Put `group` where matching and merging look for it, or take it away, as its seats now stand."""
        rank, may_merge = _NOWHERE, False
        if group.status == OPEN:
            terms = offer.editions[group.edition].terms
            taken = group.taken
            if taken < terms.max_size and not group.reserved and terms.strangers == "allowed":
                rank = terms.max_size - taken if offer.terms.match == "nearest_full" else 0
            may_merge = not group.unmerging and 0 < taken == group.confirmed and terms.merge == "allowed"
        was, group.filed = group.filed, rank + 1 << _RANK_SHIFT | may_merge
        if rank + 1 != was >> _RANK_SHIFT:
            self._rank(group, (was >> _RANK_SHIFT) - 1, rank)
        if may_merge != was & _MAY_MERGE:
            place = group.offer, group.edition, group.pool
            if may_merge:
                file_in(self.mergeable, place, group)
            else:
                take_out(self.mergeable, place, group)

    def _rank(self, group: Group, was: int, rank: int) -> None:
        pool = group.offer, group.pool
        ranks = self.rooms.get(pool)
        if ranks is None:
            ranks = self.rooms[pool] = {}
        if was != _NOWHERE:
            take_out(ranks, was, group)
        if rank != _NOWHERE:
            file_in(ranks, rank, group)
        elif not ranks:
            del self.rooms[pool]

    def refile_offer(self, state: State, offer: Offer) -> None:
        """File the open groups of `offer` anew after its way of matching changed."""
        for group in state.groups.values():
            if group.offer == offer.offer and group.status == OPEN:
                self.file(group, offer)

    def seat_added(self, group: Group, member: str, state: State) -> None:
        """Note `member` among the members of a group that has grown large."""
        known = self.members.get(group.group)
        if known is not None:  # also when the group has shrunk since: what is asked must be complete
            known[member] = None
        elif len(group.seats) > MEMBERS_INDEXED_FROM:
            self.members[group.group] = {state.orders[o].member: None for o in group.seats}

    def seat_removed(self, group: Group, member: str) -> None:
        """Forget `member` among the members of a large group."""
        known = self.members.get(group.group)
        if known is not None:
            known.pop(member, None)

    def set_alarm(self, alarm: Alarm) -> None:
        """Have `alarm` ring at its time."""
        heapq.heappush(self.alarms, alarm)
        self.due_by(alarm.at_ns)

    def due_by(self, at_ns: int) -> None:
        """Note that something is due at `at_ns`; 0 for what is due at once."""
        if at_ns < self.due_from:
            self.due_from = at_ns

    def refund_due(self, order: str) -> None:
        """Count a refund of `order`."""
        self.refunds[order] = self.refunds.get(order, 0) + 1

    def refund_forgotten(self, order: str) -> None:
        """Count a refund of `order` no more."""
        left = self.refunds[order] - 1
        if left:
            self.refunds[order] = left
        else:
            del self.refunds[order]

    def closed(self, group: Group, offer: Offer) -> None:
        """Forget a group that is over."""
        self.file(group, offer)
        if self.members:
            self.members.pop(group.group, None)


def sits_in(state: State, index: Index, group: Group, member: str) -> bool:
    """Tell whether `member` has a seat in `group`."""
    if index.members and (known := index.members.get(group.group)) is not None:
        return member in known
    orders, sitting = state.orders, group.sitting
    if sitting is None or isinstance(sitting, str):
        return sitting is not None and orders[sitting].member == member
    # A loop, not any(...): half the time, and this is asked for every group that an order might get into.
    for order in sitting:  # noqa: SIM110
        if orders[order].member == member:
            return True
    return False


def keeps_apart(state: State, group: Group, member: str) -> bool:
    """Tell whether somebody in `group` blocked, or is blocked by, `member`."""
    apart = state.blocks.get(member)
    if not apart:
        return False
    return any(state.orders[order].member in apart for order in group.seats)
