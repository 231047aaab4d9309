"""What the state forgets, and when: a little after each entry, so that no entry pays for many."""

from typing import Final

from events.market import MarketConfigured
from events.times import NS_PER_S
from services.matcher.domain import state as s
from services.matcher.domain.holdings import weigh
from services.matcher.domain.index import Index
from services.matcher.domain.state import State

AT_ONCE: Final = 2
"""How much of each kind is forgotten after an entry: more than an entry adds."""


class Forgetting:
    """Forgets what its time has passed for; knows until when there is nothing to look at."""

    def __init__(self, state: State, tree: Index) -> None:
        """Watch over `state` and its index."""
        self._state = state
        self._tree = tree
        self.nothing_until = 0
        """Accepted time in ns up to which there is nothing to forget."""

    def reconfigured(self) -> None:
        """Look again: other times may hold from now on."""
        self.nothing_until = 0

    def after_entry(self, now: int) -> None:
        """Forget, at `now` (ns), at most two identities, orders, groups, settled refunds and plays."""
        if now <= self.nothing_until or self._state.market is None:
            return
        market = self._state.market
        identity_ns, order_ns = identity_memory_ns(market), order_memory_ns(market)
        _forget_identities(self._tree, now - identity_ns)
        _forget_orders(self._state, now - order_ns)
        _forget_groups(self._state, now - order_ns)
        _forget_refunds(self._state, self._tree, now - order_ns)
        _forget_plays(self._state, now - order_ns)
        ends = _next_ends(self._state, self._tree, order_ns, identity_ns)
        self.nothing_until = min([now + min(order_ns, identity_ns), *ends])


def identity_memory_ns(market: MarketConfigured) -> int:
    """Return how long an identity is remembered, in ns: as long as its event could be sent again."""
    return (market.replay_window_s + market.future_slack_s) * NS_PER_S


def order_memory_ns(market: MarketConfigured) -> int:
    """Return how long after its end an order is remembered, in ns."""
    # A repeated event with other bytes would else meet a forgotten order, and owe back what was honoured.
    return max(market.order_memory_s * NS_PER_S, identity_memory_ns(market))


def may_be_forgotten(market: MarketConfigured, claimed_at: int, now: int) -> bool:
    """Tell whether an order told of at `claimed_at` (ns) may have been decided and forgotten by `now` (ns)."""
    # Whenever it was accepted, that was no earlier.
    return claimed_at - market.future_slack_s * NS_PER_S < now - order_memory_ns(market)


def _next_ends(state: State, tree: Index, order_ns: int, identity_ns: int) -> list[int]:
    ends = [
        first[0] + order_ns
        for queue in (state.ended_orders, state.ended_groups, state.settled_refunds, state.plays.ended)
        if (first := queue.peek()) is not None
    ]
    oldest_ns = tree.identities.oldest_at_ns()
    return ends if oldest_ns is None else [*ends, oldest_ns + identity_ns]


def _forget_identities(tree: Index, accepted_before: int) -> None:
    for _ in range(AT_ONCE):
        oldest_ns = tree.identities.oldest_at_ns()
        if oldest_ns is None or oldest_ns >= accepted_before:
            return
        tree.identities.forget_oldest()


def _forget_orders(state: State, ended_before: int) -> None:
    forgotten = 0
    while forgotten < AT_ONCE and (first := state.ended_orders.peek()) is not None and first[0] < ended_before:
        order = state.orders.get(state.ended_orders.take())
        # A seat taken again after its end makes the note of that end void.
        if order is None or order.ended_at != first[0]:
            continue
        offer = state.offers[state.groups[order.group].offer]
        if offer.weights is not None and order.status == s.FILLED:
            weigh(state, offer, order, -1)
        del state.orders[order.order]
        forgotten += 1


def _forget_groups(state: State, ended_before: int) -> None:
    for _ in range(AT_ONCE):
        first = state.ended_groups.peek()
        if first is None or first[0] >= ended_before:
            return
        order_end = state.ended_orders.peek()
        if order_end is not None and order_end[0] <= first[0]:
            return  # its orders are forgotten first: they read their terms from it
        state.ended_groups.drop()
        group = state.groups.pop(first[1])
        offer = state.offers[group.offer]
        edition = offer.editions[group.edition]
        edition.groups -= 1
        if edition.groups == 0 and group.edition != offer.edition:
            del offer.editions[group.edition]


def _forget_refunds(state: State, tree: Index, settled_before: int) -> None:
    for _ in range(AT_ONCE):
        first = state.settled_refunds.peek()
        if first is None or first[0] >= settled_before:
            return
        state.settled_refunds.drop()
        tree.refund_forgotten(state.refunds.pop(first[1]).order)


def _forget_plays(state: State, ended_before: int) -> None:
    for _ in range(AT_ONCE):
        first = state.plays.ended.peek()
        if first is None or first[0] >= ended_before:
            return
        state.plays.ended.drop()
        state.plays.assists -= state.plays.plays.pop(first[1]).given
