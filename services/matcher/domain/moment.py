"""A state at the moment at which it changes."""

from events.registry import AnyEvent
from services.matcher.domain.index import Index
from services.matcher.domain.state import Group, Offer, State
from services.matcher.domain.terms import Terms


class Moment:
    """A state, and the moment at which it changes: accepted time in ns, and the event, if it is not timer work.

    `place` is where the order of the event is about to sit down, its group and its terms, as long as the rules
    have them at hand: looking them up again costs 0.2 µs, and whether the order is known 0.1. Recovery has none.
    """

    __slots__ = ("event", "now", "place", "state", "tree")

    def __init__(self, state: State, tree: Index, now: int, event: AnyEvent | None) -> None:
        """Begin a moment without a place."""
        self.state = state
        self.tree = tree
        self.now = now
        self.event = event
        self.place: tuple[Offer, Group, Terms] | None = None
