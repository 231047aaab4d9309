"""One entry in the making: rules check, then emit decisions, each of which changes the state at once.

A rule never touches the state itself. It reads, refuses by raising `Refusal` before it emits anything, and emits;
`evolve.apply` is the only thing that changes state, here and at recovery, so that a replay of the emitted
decisions leads to the same state by construction.
"""

import msgspec

from events import decisions as d
from services.matcher.domain.evolve import change_of
from services.matcher.domain.moment import Moment


class Turn(Moment, gc=False):
    """A moment with the decisions made so far for one entry, for `event` or for timer work."""

    seq: int = 0
    index: int = 0
    publisher: str = ""
    decisions: list[d.AnyDecision] = msgspec.field(default_factory=list)
    seats_named: int = 0

    def emit(self, decision: d.AnyDecision) -> None:
        """Decide: apply `decision` to the state and keep it for the entry."""
        change = change_of(type(decision))  # `evolve.apply`, a call less
        if change is not None:
            change(self, decision)
        self.decisions.append(decision)
