"""The rule for an intake that was lost: an operator's recorded act, without which no other stream is decided from."""

from events.market import MarketRestoredEvent
from events.market_decisions import MarketRestored
from events.reasons import Reason
from events.subjects import OPERATOR
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn


def restore(turn: Turn, event: MarketRestoredEvent) -> None:
    """Note that the intake is another stream from here on."""
    data = event.data
    if turn.publisher != OPERATOR:
        raise Refusal(Reason.PUBLISHER_NOT_ALLOWED)
    # It follows the last message that was decided, at the head of a message of its own: nothing came between.
    follows = turn.state.decided[0] == data.through and (turn.seq, turn.index) == (data.through + 1, 0)
    if not follows or data.previous == data.intake:
        raise Refusal(Reason.RESTORE_MISMATCH)
    turn.emit(
        MarketRestored(
            previous=data.previous,
            intake=data.intake,
            through=data.through,
            lost_events=data.lost_events,
            actor=data.actor,
            reason=data.reason,
            ticket=data.ticket,
        )
    )
