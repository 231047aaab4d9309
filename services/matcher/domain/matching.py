"""Choosing a group for an order, and merging groups that would fail alone (RULES.md sections 5 and 7)."""

from itertools import islice
from typing import Final

from events import decisions as d
from events.limits import MATCH_GROUPS_LOOKED_AT, MERGE_CANDIDATES, MERGE_SEARCH_STEPS
from services.matcher.domain import closing
from services.matcher.domain.index import Index, keeps_apart, sits_in
from services.matcher.domain.state import Group, Offer, State
from services.matcher.domain.terms import Terms
from services.matcher.domain.turn import Turn

_NONE: Final[tuple[()]] = ()


def choose(state: State, tree: Index, offer: Offer, pool: str | None, member: str, quantity: int) -> Group | None:
    """Return the open group of `offer` and `pool` that suits a stranger best, or None.

    Groups with room are looked at by earliest deadline, then opening order; with `nearest_full`
    by fewest missing first.
    """
    ranks = tree.rooms.get((offer.offer, pool))
    if ranks is None:
        return None
    is_free = member not in state.blocks
    weights = offer.weights
    # Who holds nothing of the offer sits in none of its groups: of a limited one that is known without their seats.
    may_sit = weights is None or member in weights
    left = MATCH_GROUPS_LOOKED_AT
    for rank in ranks if len(ranks) == 1 else sorted(ranks):
        for group in ranks[rank]:
            # What is filed has room for one more; only orders that weigh more have to be compared.
            if (
                (quantity == 1 or _fits(offer, group, quantity))
                and not (may_sit and sits_in(state, tree, group, member))
                and (is_free or not keeps_apart(state, group, member))
            ):
                return group
            left -= 1
            if not left:
                return None
    return None


def _fits(offer: Offer, group: Group, quantity: int) -> bool:
    terms = offer.editions[group.edition].terms
    return group.taken + terms.weight(quantity) <= terms.max_size


def merge(turn: Turn, short: Group, donors: list[Group]) -> None:
    """Move the seats of `donors` into `short`, which they fill."""
    for donor in donors:
        turn.emit(d.GroupMerged(group=donor.group, into=short.group, seats=len(donor.seats)))
    closing.fill(turn, short, "merge")


def find_donors(state: State, tree: Index, short: Group, terms: Terms) -> list[Group]:
    """Return the donors that fill `short` exactly, the earliest set by (deadline, opening order), or none."""
    if terms.merge == "never" or terms.strangers == "never" or short.unmerging or not short.confirmed:
        return []
    candidates = _candidates(state, tree, short)
    return _Search(state, candidates).fill(terms.size - short.confirmed)


def _candidates(state: State, tree: Index, short: Group) -> list[Group]:
    mergeable = tree.mergeable.get((short.offer, short.edition, short.pool), _NONE)
    others = [group for group in islice(mergeable, MERGE_CANDIDATES + 1) if group is not short]
    return [group for group in others[:MERGE_CANDIDATES] if _compatible(state, short, group)]


def _compatible(state: State, one: Group, other: Group) -> bool:
    """Tell whether no member sits in both groups and nobody in one keeps apart from somebody in the other."""
    members = {state.orders[order].member: None for order in one.seats}
    for order in other.seats:
        member = state.orders[order].member
        if member in members:
            return False
        apart = state.blocks.get(member)
        if apart and any(blocked in members for blocked in apart):
            return False
    return True


class _Search:
    """Depth-first search for the lexicographically earliest donors whose weights sum to what is missing."""

    def __init__(self, state: State, candidates: list[Group]) -> None:
        self.state = state
        self.candidates = candidates
        self.steps_left = MERGE_SEARCH_STEPS
        # reachable[i] has bit w set when some of candidates[i:] sum to w: exact for the sum alone, so a branch
        # that is cut could not have led to donors.
        self.reachable = [1] * (len(candidates) + 1)
        for i in range(len(candidates) - 1, -1, -1):
            self.reachable[i] = self.reachable[i + 1] | self.reachable[i + 1] << candidates[i].taken

    def fill(self, missing: int) -> list[Group]:
        """Return the donors for `missing`, or none."""
        return self._extend([], 0, missing) or []

    def _extend(self, chosen: list[Group], start: int, missing: int) -> list[Group] | None:
        if missing == 0:
            return chosen
        for i in range(start, len(self.candidates)):
            if not self.reachable[i] >> missing & 1:
                return None
            candidate = self.candidates[i]
            if candidate.taken > missing or not self.reachable[i + 1] >> (missing - candidate.taken) & 1:
                continue
            self.steps_left -= 1
            if self.steps_left < 0:
                return None
            if all(_compatible(self.state, other, candidate) for other in chosen):
                found = self._extend([*chosen, candidate], i + 1, missing - candidate.taken)
                if found is not None:
                    return found
        return None
