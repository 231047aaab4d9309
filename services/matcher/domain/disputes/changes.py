"""What decisions about disputes change."""

from collections.abc import Callable
from typing import Any, Final

from events import dispute_decisions as dd
from events.times import NS_PER_S
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.disputes.book import (
    FINAL,
    FORGOTTEN_AT_ONCE,
    OPEN,
    RESOLVED,
    Dispute,
    Disputes,
    Proposal,
    claim_of,
    rules_of,
)
from services.matcher.domain.disputes.deadlines import DISPUTE
from services.matcher.domain.moment import Moment


def _opened(moment: Moment, decision: dd.DisputeOpened) -> None:
    dispute = Dispute(
        dispute=decision.dispute,
        about=decision.about,
        disputed=decision.disputed,
        play=decision.play,
        member=decision.member,
        answer_until=decision.answer_until,
        resolve_until=decision.resolve_until,
        order=decision.order,
        publisher=decision.publisher,
        incident=decision.incident,
    )
    disputes = moment.state.disputes
    _forget(disputes, moment.now)
    disputes.known[dispute.dispute] = dispute
    disputes.claims[claim_of(dispute.about, dispute.disputed, dispute.play, dispute.member)] = dispute.dispute
    _set_alarm(moment, dispute)


def _answered(moment: Moment, decision: dd.DisputeAnswered) -> None:
    dispute = _known(moment, decision.dispute)
    if decision.party != "member":
        dispute.answered = True
        _set_alarm(moment, dispute)


def _evidenced(moment: Moment, decision: dd.DisputeEvidenced) -> None:
    dispute = _known(moment, decision.dispute)
    dispute.evidence = (*dispute.evidence, decision.evidence)
    assert len(dispute.evidence) == decision.number, "evidence is counted from 1"


def _proposed(moment: Moment, decision: dd.DisputeProposed) -> None:
    proposal = Proposal(verdict=decision.verdict, remedy=decision.remedy, actor=decision.actor)
    _known(moment, decision.dispute).proposal = proposal


def _resolved(moment: Moment, decision: dd.DisputeResolved) -> None:
    dispute = _known(moment, decision.dispute)
    dispute.status = RESOLVED
    dispute.proposal = None
    dispute.resolutions += 1
    dispute.resolved_by += (decision.actor,) if decision.second is None else (decision.actor, decision.second)
    dispute.appeal_until = decision.appeal_until
    _set_alarm(moment, dispute)


def _appealed(moment: Moment, decision: dd.DisputeAppealed) -> None:
    dispute = _known(moment, decision.dispute)
    assert not dispute.appealed, "a dispute is appealed once"
    dispute.status, dispute.appealed, dispute.answered = OPEN, True, True
    dispute.resolve_until, dispute.unresolved_told = decision.resolve_until, False
    _set_alarm(moment, dispute)


def _overdue(moment: Moment, decision: dd.DisputeOverdue) -> None:
    dispute = _known(moment, decision.dispute)
    if decision.stage == "answer":
        dispute.unanswered_told = True
    else:
        dispute.unresolved_told = True
    _set_alarm(moment, dispute)


def _closed(moment: Moment, decision: dd.DisputeClosed) -> None:
    dispute = _known(moment, decision.dispute)
    dispute.status = FINAL
    _set_alarm(moment, dispute)
    # By then the claim period of whatever it was about is over.
    forgotten_at = moment.now + rules_of(moment.state.market).claim_s * NS_PER_S
    moment.state.disputes.final.append((forgotten_at, dispute.dispute))


def _forget(disputes: Disputes, now: int) -> None:
    """Forget final disputes whose time is over, from the head."""
    due = [name for at, name in disputes.final[:FORGOTTEN_AT_ONCE] if at <= now]
    for name in due:
        dispute = disputes.known.pop(name)
        del disputes.claims[claim_of(dispute.about, dispute.disputed, dispute.play, dispute.member)]
    del disputes.final[: len(due)]


def _known(moment: Moment, dispute_id: str) -> Dispute:
    return moment.state.disputes.known[dispute_id]


def _set_alarm(moment: Moment, dispute: Dispute) -> None:
    """Have the dispute's next deadline ring; the alarm that was set before is void from now on."""
    following = dispute.next_deadline()
    if following is None:
        dispute.alarm_no = 0
        return
    moment.state.counter += 1
    dispute.alarm_no = moment.state.counter
    moment.tree.set_alarm(Alarm(following[0], dispute.alarm_no, DISPUTE, dispute.dispute))


CHANGES: Final[dict[type, Callable[[Moment, Any], None]]] = {
    dd.DisputeOpened: _opened,
    dd.DisputeAnswered: _answered,
    dd.DisputeEvidenced: _evidenced,
    dd.DisputeProposed: _proposed,
    dd.DisputeResolved: _resolved,
    dd.DisputeAppealed: _appealed,
    dd.DisputeOverdue: _overdue,
    dd.DisputeClosed: _closed,
}
"""What each decision of the family changes."""
