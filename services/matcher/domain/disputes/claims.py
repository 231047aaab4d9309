"""Rules for a dispute's way up to its resolution, and for the appeal."""

from events import dispute_decisions as dd
from events.dispute import DisputeAnsweredEvent, DisputeAppealedEvent, DisputeEvidencedEvent, DisputeOpenedEvent
from events.limits import EVIDENCE_MAX
from events.reasons import Reason
from events.times import NS_PER_S
from services.matcher.domain.disputes.book import FINAL, OPEN, Dispute, claim_of, rules_of
from services.matcher.domain.disputes.subjects import find_subject
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn


def open_dispute(turn: Turn, event: DisputeOpenedEvent) -> None:
    """Let a member dispute something within the claim period."""
    data, disputes = event.data, turn.state.disputes
    rules = rules_of(turn.state.market)
    if data.dispute in disputes.known or claim_of(data.about, data.disputed, data.play, data.member) in disputes.claims:
        raise Refusal(Reason.DISPUTE_EXISTS)
    if len(disputes.known) >= rules.capacity:
        raise Refusal(Reason.CAPACITY)
    subject = find_subject(turn.state, data)
    if subject.since_ns is not None and turn.now >= subject.since_ns + rules.claim_s * NS_PER_S:
        raise Refusal(Reason.CLAIM_TOO_LATE)
    turn.emit(
        dd.DisputeOpened(
            dispute=data.dispute,
            about=data.about,
            disputed=data.disputed,
            play=subject.play,
            member=data.member,
            answer_until=turn.now + rules.answer_s * NS_PER_S,
            resolve_until=turn.now + rules.resolve_s * NS_PER_S,
            order=None if subject.order is None else subject.order.order,
            group=subject.group,
            offer=subject.offer,
            publisher=subject.publisher,
            incident=data.incident,
        )
    )


def answer(turn: Turn, event: DisputeAnsweredEvent) -> None:
    """Take an answer while there is time for one."""
    data = event.data
    dispute = open_one(turn.state, data.dispute)
    if turn.now >= dispute.answer_until:
        raise Refusal(Reason.ANSWER_TOO_LATE)
    turn.emit(
        dd.DisputeAnswered(
            dispute=dispute.dispute, party=data.party, member=dispute.member, publisher=dispute.publisher
        )
    )


def hand_in(turn: Turn, event: DisputeEvidencedEvent) -> None:
    """Take a commitment to a piece of evidence."""
    data = event.data
    dispute = open_one(turn.state, data.dispute)
    if data.evidence in dispute.evidence:
        raise Refusal(Reason.EVIDENCE_KNOWN)
    if len(dispute.evidence) >= EVIDENCE_MAX:
        raise Refusal(Reason.CAPACITY)
    turn.emit(
        dd.DisputeEvidenced(
            dispute=dispute.dispute,
            party=data.party,
            evidence=data.evidence,
            number=len(dispute.evidence) + 1,
            member=dispute.member,
            publisher=dispute.publisher,
        )
    )


def appeal(turn: Turn, event: DisputeAppealedEvent) -> None:
    """Open a resolved dispute again, once."""
    data = event.data
    dispute = known_one(turn.state, data.dispute)
    if dispute.status == OPEN:
        raise Refusal(Reason.DISPUTE_NOT_OVER)
    if dispute.appealed:
        raise Refusal(Reason.APPEALED_BEFORE)
    if dispute.status == FINAL:
        raise Refusal(Reason.APPEAL_TOO_LATE)
    turn.emit(
        dd.DisputeAppealed(
            dispute=dispute.dispute,
            party=data.party,
            resolve_until=turn.now + rules_of(turn.state.market).resolve_s * NS_PER_S,
            member=dispute.member,
            publisher=dispute.publisher,
        )
    )


def known_one(state: State, dispute_id: str) -> Dispute:
    """Return a dispute. Raises Refusal when it is not known."""
    dispute = state.disputes.known.get(dispute_id)
    if dispute is None:
        raise Refusal(Reason.DISPUTE_UNKNOWN)
    return dispute


def open_one(state: State, dispute_id: str) -> Dispute:
    """Return a dispute that waits for its resolution. Raises Refusal when it is not known, or is over."""
    dispute = known_one(state, dispute_id)
    if dispute.status != OPEN:
        raise Refusal(Reason.DISPUTE_OVER)
    return dispute
