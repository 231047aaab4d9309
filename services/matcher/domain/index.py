"""Indexes over a state: derived from it, kept in step by `evolve`, built anew after a snapshot is read."""

import heapq
from typing import Final, TypeVar

from sortedcontainers import SortedList

from events.assist import AssistGiven
from events.times import NS_PER_S
from services.matcher.domain.alarms import SOURCES, Alarm
from services.matcher.domain.facts import UTC_ONLY, Zones
from services.matcher.domain.plays.index import PlayIndex
from services.matcher.domain.standing.helping import Helping
from services.matcher.domain.standing.observing import Sight
from services.matcher.domain.state import HELD, NOWHERE, OPEN, Group, Offer, Order, Pool, State, terms_of

Seen = tuple[AssistGiven, Helping, Sight]
_MEMBERS_INDEXED_FROM: Final = 8
K = TypeVar("K")


class Index:
    """Deadlines, ends of holds, groups with room, groups that may merge, members of large groups."""

    def __init__(self, state: State, plays: PlayIndex, zones: Zones = UTC_ONLY) -> None:
        """Build the indexes of `state`."""
        self.plays = plays
        self.zones = zones
        """Here, so that rules and changes have them without an argument through the way of every order."""
        self.deadlines: list[Group] = []
        """Heap of groups; those that are over are dropped when they come up."""
        self.holds: list[tuple[int, int, Order]] = []
        """Heap of (end of the hold with its grace, number of the hold, order); void ones likewise."""
        self.alarms: list[Alarm] = []
        """Heap of what other families have to do; void ones likewise."""
        self.rooms: dict[Pool, dict[int, SortedList[Group]]] = {}
        """Groups that take strangers and have room, by rank: the number of missing seats where the offer matches
        `nearest_full`, else 0."""
        self.mergeable: dict[tuple[str, int, str | None], SortedList[Group]] = {}
        self.members: dict[str, dict[str, None]] = {}
        self.refunds: dict[str, int] = {}
        """Order -> how many refunds it has: asked first, since a refund's id costs a hash."""
        self.seen: Seen | None = None
        """What detection saw of the assist that is being decided, so that it need not look again to remember it."""
        self._build(state)

    def _build(self, state: State) -> None:
        for group in state.groups.values():
            group.rank, group.mergeable = NOWHERE, False
            if group.status == OPEN:
                self.deadlines.append(group)
                self.file(group, state.offers[group.offer])
                if len(group.seats) > _MEMBERS_INDEXED_FROM:
                    self.members[group.group] = {state.orders[o].member: None for o in group.seats}
        for order in state.orders.values():
            if order.status == HELD:
                grace_s = terms_of(state, state.groups[order.group]).grace_s
                self.holds.append((order.hold_until + grace_s * NS_PER_S, order.hold_no, order))
        for refund in state.refunds.values():
            self.refund_due(refund.order)
        self.alarms.extend(alarm for source in SOURCES for alarm in source(state))
        heapq.heapify(self.deadlines)
        heapq.heapify(self.holds)
        heapq.heapify(self.alarms)

    def file(self, group: Group, offer: Offer) -> None:
        """Put `group` where matching and merging look for it, or take it away, as its seats now stand."""
        terms = offer.editions[group.edition].terms
        rank, may_merge = NOWHERE, False
        if group.status == OPEN:
            missing = terms.max_size - group.taken
            if missing > 0 and group.reserved == 0 and terms.strangers == "allowed":
                rank = missing if offer.terms.match == "nearest_full" else 0
            may_merge = terms.merge == "allowed" and group.unmerging == 0 and 0 < group.taken == group.confirmed
        if rank != group.rank:
            self._rank(group, rank)
        if may_merge != group.mergeable:
            _move(self.mergeable, (group.offer, group.edition, group.pool), group, into=may_merge)
            group.mergeable = may_merge

    def _rank(self, group: Group, rank: int) -> None:
        pool = (group.offer, group.pool)
        ranks = self.rooms.setdefault(pool, {})
        if group.rank != NOWHERE:
            _move(ranks, group.rank, group, into=False)
        if rank != NOWHERE:
            _move(ranks, rank, group, into=True)
        if not ranks:
            del self.rooms[pool]
        group.rank = rank

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
        elif len(group.seats) > _MEMBERS_INDEXED_FROM:
            self.members[group.group] = {state.orders[o].member: None for o in group.seats}

    def seat_removed(self, group: Group, member: str) -> None:
        """Forget `member` among the members of a large group."""
        known = self.members.get(group.group)
        if known is not None:
            known.pop(member, None)

    def set_alarm(self, alarm: Alarm) -> None:
        """Have `alarm` ring at its time."""
        heapq.heappush(self.alarms, alarm)

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
        self.members.pop(group.group, None)


def _move(lists: dict[K, "SortedList[Group]"], place: K, group: Group, *, into: bool) -> None:
    found = lists.get(place)
    if into:
        if found is None:
            found = lists[place] = SortedList()
        found.add(group)
        return
    assert found is not None, "only what was filed is taken away"
    found.remove(group)
    if not found:
        del lists[place]


def sits_in(state: State, index: Index, group: Group, member: str) -> bool:
    """Tell whether `member` has a seat in `group`."""
    if index.members and (known := index.members.get(group.group)) is not None:
        return member in known
    orders = state.orders
    # A loop, not any(...): half the time, and this is asked for every group that an order might get into.
    for order in group.seats:  # noqa: SIM110
        if orders[order].member == member:
            return True
    return False


def keeps_apart(state: State, group: Group, member: str) -> bool:
    """Tell whether somebody in `group` blocked, or is blocked by, `member`."""
    apart = state.blocks.get(member)
    if not apart:
        return False
    return any(state.orders[order].member in apart for order in group.seats)
