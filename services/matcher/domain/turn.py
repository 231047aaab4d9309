"""One entry in the making: rules check, then emit decisions, each of which changes the state at once.

A rule never touches the state itself. It reads, refuses by raising `Refusal` before it emits anything, and emits;
`evolve.apply` is the only thing that changes state, here and at recovery, so that a replay of the emitted
decisions leads to the same state by construction.
"""

from events import decisions as d
from events.registry import AnyEvent
from services.matcher.domain.evolve import change_of
from services.matcher.domain.index import Index
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import State


class Turn(Moment):
    """A moment with the decisions made so far for one entry, for `event` or for timer work."""

    __slots__ = ("decisions", "index", "publisher", "seats_named", "seq")

    def __init__(
        self, state: State, tree: Index, now: int, event: AnyEvent | None, seq: int, index: int, publisher: str
    ) -> None:
        """Begin an entry at (`seq`, `index`) without decisions."""
        self.state = state  # as a moment does, a call less
        self.tree = tree
        self.now = now
        self.event = event
        self.place = None
        self.seq = seq
        self.index = index
        self.publisher = publisher
        self.decisions: list[d.AnyDecision] = []
        self.seats_named = 0

    def emit(self, decision: d.AnyDecision) -> None:
        """Decide: apply `decision` to the state and keep it for the entry."""
        change = change_of(type(decision))  # `evolve.apply`, a call less
        if change is not None:
            change(self, decision)
        self.decisions.append(decision)
