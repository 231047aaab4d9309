"""The rule for a resolution: who may decide, whether somebody else must agree, and what it brings about."""

from typing import Final

from events import dispute_decisions as dd
from events.dispute import DisputeResolved, DisputeResolvedEvent
from events.reasons import Reason
from events.times import NS_PER_S
from services.matcher.domain.disputes.book import Dispute, Proposal, rules_of
from services.matcher.domain.disputes.claims import open_one
from services.matcher.domain.disputes.remedies import plan_remedy
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

_KIND_OF_ACT: Final = {"assist_voided": "void", "member_reinstated": "reinstate"}


def resolve(turn: Turn, event: DisputeResolvedEvent) -> None:
    """Resolve a dispute, or propose how where a second person must agree."""
    data = event.data
    dispute = open_one(turn.state, data.dispute)
    if dispute.awaits_answer and turn.now < dispute.answer_until:
        raise Refusal(Reason.ANSWER_AWAITED)
    if data.actor in dispute.resolved_by:
        raise Refusal(Reason.SAME_ACTOR)
    if data.verdict == "rejected" and data.remedy.kind != "none":
        raise Refusal(Reason.REMEDY_UNSUITED)
    # Everything is checked before anything is decided: what follows the resolution cannot fail any more.
    bring_about = plan_remedy(turn, dispute, data)
    if not _needs_second(turn.state, dispute, data):
        _emit_resolved(turn, dispute, data, data.actor, None)
    elif dispute.proposal is None or not _is_same(dispute.proposal, data):
        _emit_proposed(turn, dispute, data)
        return
    elif dispute.proposal.actor == data.actor:
        raise Refusal(Reason.SAME_ACTOR)
    else:
        _emit_resolved(turn, dispute, data, dispute.proposal.actor, data.actor)
    bring_about()


def _needs_second(state: State, dispute: Dispute, data: DisputeResolved) -> bool:
    wanted = rules_of(state.market).second_approver
    if not wanted:
        return False
    return _KIND_OF_ACT.get(data.remedy.kind) in wanted or (dispute.incident is not None and "bulk" in wanted)


def _is_same(proposal: Proposal, data: DisputeResolved) -> bool:
    return (proposal.verdict, proposal.remedy) == (data.verdict, data.remedy)


def _emit_proposed(turn: Turn, dispute: Dispute, data: DisputeResolved) -> None:
    turn.emit(
        dd.DisputeProposed(
            dispute=dispute.dispute,
            verdict=data.verdict,
            remedy=data.remedy,
            actor=data.actor,
            member=dispute.member,
            publisher=dispute.publisher,
        )
    )


def _emit_resolved(turn: Turn, dispute: Dispute, data: DisputeResolved, actor: str, second: str | None) -> None:
    turn.emit(
        dd.DisputeResolved(
            dispute=dispute.dispute,
            verdict=data.verdict,
            remedy=data.remedy,
            actor=actor,
            second=second,
            appeal_until=turn.now + rules_of(turn.state.market).appeal_s * NS_PER_S,
            order=data.remedy.order or dispute.order,
            member=dispute.member,
            publisher=dispute.publisher,
        )
    )
