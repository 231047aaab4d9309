"""Deadlines of disputes: an answer or a resolution that is overdue is told of, and a resolution becomes final."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from events import dispute_decisions as dd
from services.matcher.domain.alarms import Alarm, AlarmRule

if TYPE_CHECKING:
    from services.matcher.domain.state import State
    from services.matcher.domain.turn import Turn

DISPUTE: Final = "dispute"
"""The kind of these alarms."""


def alarms_of(state: "State") -> Iterator[Alarm]:
    """Yield the next deadline of each dispute that has one."""
    for dispute in state.disputes.known.values():
        following = dispute.next_deadline()
        if following is not None:
            yield Alarm(following[0], dispute.alarm_no, DISPUTE, dispute.dispute)


def _is_void(state: "State", alarm: Alarm) -> bool:
    dispute = state.disputes.known.get(alarm.key)
    return dispute is None or dispute.alarm_no != alarm.no


def _ring(turn: "Turn", alarm: Alarm) -> None:
    dispute = turn.state.disputes.known[alarm.key]
    following = dispute.next_deadline()
    assert following is not None and following[0] == alarm.at_ns, "an alarm that is not void is the next deadline"
    turn.seats_named += 1
    if following[1] == "appeal":
        turn.emit(dd.DisputeClosed(dispute=dispute.dispute, member=dispute.member, publisher=dispute.publisher))
        return
    turn.emit(
        dd.DisputeOverdue(
            dispute=dispute.dispute, stage=following[1], member=dispute.member, publisher=dispute.publisher
        )
    )


RULE: Final = AlarmRule(is_void=_is_void, size=lambda _turn, _alarm: 1, ring=_ring)
