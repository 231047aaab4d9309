"""A state at the moment at which it changes."""

from events.registry import AnyEvent
from services.matcher.domain.index import Index
from services.matcher.domain.state import State


class Moment:
    """A state, and the moment at which it changes: accepted time in ns, and the event, if it is not timer work."""

    __slots__ = ("event", "now", "state", "tree")

    def __init__(self, state: State, tree: Index, now: int, event: AnyEvent | None) -> None:
        """Take the state and its index as they are."""
        self.state = state
        self.tree = tree
        self.now = now
        self.event = event
