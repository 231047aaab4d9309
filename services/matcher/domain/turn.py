"""One entry in the making: rules check, then emit decisions, each of which changes the state at once.

A rule never touches the state itself. It reads, refuses by raising `Refusal` before it emits anything, and emits;
`evolve.apply` is the only thing that changes state, here and at recovery, so that a replay of the emitted
decisions leads to the same state by construction.
"""

from events import decisions as d
from events.registry import AnyEvent
from services.matcher.domain import evolve
from services.matcher.domain.index import Index
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import State


class Turn(Moment):
    """A moment with the decisions made so far for one entry."""

    __slots__ = ("decisions", "index", "publisher", "seats_named", "seq")

    def __init__(
        self, state: State, tree: Index, now: int, seq: int, index: int, publisher: str, event: AnyEvent | None
    ) -> None:
        """Start an entry at accepted time `now` (ns) for `event`, or for timer work."""
        # Set here and not by the base class: a call less for each entry.
        self.state = state
        self.tree = tree
        self.now = now
        self.event = event
        self.seq = seq
        self.index = index
        self.publisher = publisher
        self.decisions: list[d.AnyDecision] = []
        self.seats_named = 0

    def emit(self, decision: d.AnyDecision) -> None:
        """Decide: apply `decision` to the state and keep it for the entry."""
        evolve.apply(self, decision)
        self.decisions.append(decision)
