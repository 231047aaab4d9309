"""Decisions and events in words that an operator can read out."""

from typing import Final, get_args

from events import decisions as d
from events import dispute_decisions as dd
from events import standing_decisions as st
from events.counted import counted
from events.dispute import Remedy
from events.envelope import Event
from events.money import amount
from events.play_decisions import ASSIST_DECISIONS, PLAY_DECISIONS
from events.reason_sentences import sentence
from events.record import Entry
from events.times import format_time_ns
from services.ledger.history import FoundEntry
from services.ledger.member_words import MemberDecision, member_decision_in_words
from services.ledger.play_words import play_decision_in_words
from services.ledger.standing_words import STANDING, standing_in_words

_Dispute = (
    dd.DisputeOpened
    | dd.DisputeAnswered
    | dd.DisputeEvidenced
    | dd.DisputeProposed
    | dd.DisputeResolved
    | dd.DisputeAppealed
    | dd.DisputeOverdue
    | dd.DisputeClosed
)
DISPUTED: Final = get_args(_Dispute)
_OF_CONDUCT: Final = (st.MemberWarned, st.MemberLimited, st.MemberBanned, st.AssistDoubted)
_CAUSES: Final = {
    "target": "it reached its target",
    "deadline": "its deadline came and enough were confirmed",
    "merge": "other groups merged into it",
    "completed": "customer service completed it",
    "customer_service": "customer service dissolved it",
    "leader_left": "its leader left",
    "empty": "its last seat was given up",
    "offer_withdrawn": "its offer was withdrawn",
}

_NAMED: Final = (
    *("play", "assist", "order", "invitation", "member", "inviter", "invitee", "other"),
    *("group", "pool", "offer", "refund", "dispute", "purpose", "channel"),
)


def event_in_words(event: Event, publisher: str | None) -> str:
    """Return what a publisher reported."""
    kind = str(event.__struct_config__.tag).removeprefix("groupbuy.").removesuffix(".v1")
    data = getattr(event, "data", None)
    named = [f"{n} {v}" for n in _NAMED if (v := getattr(data, n, None))]
    return f"{publisher or 'somebody'} reported {kind}{': ' if named else ''}{', '.join(named)} (event {event.id})"


def source_in_words(found: FoundEntry, event: Event | None) -> str:
    """Return what led to an entry: an event, an input that was not kept, or the clock."""
    entry = found.entry
    if event is not None:
        return event_in_words(event, entry.publisher)
    if entry.publisher is not None:
        return f"{entry.publisher} sent something that is not kept"
    return "it followed from what had been decided before" if followed_from_before(entry) else "time passed"


def followed_from_before(entry: Entry) -> bool:
    """Tell whether an entry without an event is about conduct, judged as soon as something speaks against it."""
    return entry.publisher is None and isinstance(entry.decisions[0], _OF_CONDUCT)


def decision_in_words(decision: d.AnyDecision) -> str:
    """Return what was decided, in one sentence."""
    if isinstance(decision, d.SeatHeld | d.SeatConfirmed | d.SeatReleased):
        return _seat_in_words(decision)
    if isinstance(decision, d.GroupFilled | d.GroupExpired | d.GroupDissolved):
        return _closing_in_words(decision)
    if isinstance(decision, d.RefundDue | d.RefundClosed):
        return _refund_in_words(decision)
    if isinstance(decision, d.Refused | d.Duplicate | d.Malformed):
        return _refusal_in_words(decision)
    if isinstance(decision, DISPUTED):
        return _dispute_in_words(decision)
    if isinstance(decision, MemberDecision):
        return member_decision_in_words(decision)
    if isinstance(decision, (*PLAY_DECISIONS, *ASSIST_DECISIONS)):
        return play_decision_in_words(decision)
    return _other_in_words(decision)


def _seat_in_words(decision: d.SeatHeld | d.SeatConfirmed | d.SeatReleased) -> str:
    whose = f"order {decision.order} of member {decision.member}"
    if isinstance(decision, d.SeatReleased):
        promoted = f"; order {decision.promoted} leads from now on" if decision.promoted else ""
        return f"{whose} leaves group {decision.group} ({decision.cause}){_by(decision)}{promoted}"
    what = f"{decision.quantity} x {decision.sku or decision.offer}"
    if isinstance(decision, d.SeatHeld):
        until = format_time_ns(decision.hold_until)
        return (
            f"{whose} holds a seat in group {decision.group} for {what} until {until}, "
            f"against {amount(decision.payable_minor, decision.currency)}"
        )
    paid = f", paid with {decision.payment}" if decision.payment else ""
    return (
        f"{whose} has a confirmed seat in group {decision.group} for {what} "
        f"at {amount(decision.payable_minor, decision.currency)}{paid}"
    )


def _closing_in_words(decision: d.Closing) -> str:
    pages = f" (page {decision.page} of {decision.pages})" if decision.pages > 1 else ""
    orders = ", ".join(seat.order for seat in decision.seats) or "nobody"
    if isinstance(decision, d.GroupFilled):
        why = _CAUSES[decision.cause]
        won = ", ".join(seat.order for seat in decision.seats if seat.won) or "nobody"
        drawn = "" if decision.seed is None else f"; drawn: {won}, by the seed {decision.seed}"
        told = f"{why}{_by(decision)}; seats: {orders}{drawn}{pages}"
        return f"group {decision.group} is filled with {decision.size}: {told}"
    if isinstance(decision, d.GroupExpired):
        return f"group {decision.group} expired, {decision.missing} missing; seats: {orders}{pages}"
    why = _CAUSES[decision.cause]
    return f"group {decision.group} is dissolved: {why}{_by(decision)}; seats: {orders}{pages}"


def _refund_in_words(decision: d.RefundDue | d.RefundClosed) -> str:
    much = amount(decision.amount_minor, decision.currency)
    if isinstance(decision, d.RefundDue):
        return (
            f"refund {decision.refund} is due: {much} of payment {decision.payment} "
            f"for order {decision.order} ({decision.cause})"
        )
    return f"refund {decision.refund} of order {decision.order}, {much}, was {decision.status}"


def remedy_in_words(remedy: Remedy) -> str:
    """Return what a resolution brings about."""
    if remedy.kind == "refund":
        much = "all that it still holds" if remedy.amount_minor is None else amount(remedy.amount_minor, "")
        return f"a refund of {much}{f' for order {remedy.order}' if remedy.order else ''}"
    if remedy.kind == "seat":
        return f"a seat again{f' for order {remedy.order}' if remedy.order else ''}"
    if remedy.kind == "assist_counted":
        return f"assist {remedy.assist} counts"
    if remedy.kind == "assist_voided":
        return f"assist {remedy.assist} is void"
    if remedy.kind == "member_reinstated":
        return f"member {remedy.member} is reinstated"
    return "nothing"


def _dispute_in_words(decision: _Dispute) -> str:
    which = f"dispute {decision.dispute}"
    if isinstance(decision, dd.DisputeOpened):
        until = f"{format_time_ns(decision.answer_until)}, resolution before {format_time_ns(decision.resolve_until)}"
        return f"{which} of member {decision.member} about {decision.about} {decision.disputed}: answer before {until}"
    if isinstance(decision, dd.DisputeAnswered):
        return f"{which} is answered by the {decision.party}"
    if isinstance(decision, dd.DisputeEvidenced):
        return f"{which}: evidence {decision.number} of the {decision.party}, committed to as {decision.evidence[:16]}"
    if isinstance(decision, dd.DisputeProposed):
        what = f"{decision.verdict}, {remedy_in_words(decision.remedy)}"
        return f"{which}: {decision.actor} proposes {what}; somebody else must agree"
    if isinstance(decision, dd.DisputeResolved):
        who = f"{decision.actor} and {decision.second}" if decision.second else decision.actor
        what = f"{decision.verdict} by {who}: {remedy_in_words(decision.remedy)}"
        return f"{which} is {what}; an appeal is open before {format_time_ns(decision.appeal_until)}"
    if isinstance(decision, dd.DisputeAppealed):
        until = format_time_ns(decision.resolve_until)
        return f"{which} is appealed by the {decision.party}: somebody else resolves it before {until}"
    if isinstance(decision, dd.DisputeOverdue):
        return f"{which}: the {decision.stage} is overdue"
    return f"{which} is closed: its resolution is final"


def _refusal_in_words(decision: d.Refused | d.Duplicate | d.Malformed) -> str:
    if isinstance(decision, d.Refused):
        detail = f" ({decision.detail})" if decision.detail else ""
        return f"refused, {decision.reason}: {sentence(decision.reason)}{detail}"
    if isinstance(decision, d.Malformed):
        return f"malformed, {decision.why}: {sentence(decision.why)}"
    reason = f", {decision.reason}" if decision.reason else ""
    return f"a repetition of entry {decision.of}, whose outcome was {decision.original}{reason}"


def _other_in_words(decision: d.AnyDecision) -> str:
    if isinstance(decision, d.GroupOpened):
        deadline = format_time_ns(decision.deadline)
        return (
            f"group {decision.group} is open for offer {decision.offer} until {deadline}; order {decision.order} leads"
        )
    if isinstance(decision, d.GroupMerged):
        return f"group {decision.group} moves with its {counted(decision.seats, 'seat')} into group {decision.into}"
    if isinstance(decision, d.OfferListed):
        stock = f", stock {decision.stock}" if decision.stock is not None else ""
        return f"offer {decision.offer} is {decision.status}, edition {decision.edition}{stock}"
    if isinstance(decision, d.MarketSet):
        return f"the market's configuration is in force, rule version {decision.rule_version}"
    if isinstance(decision, STANDING):
        return standing_in_words(decision)
    if isinstance(decision, d.MemberNoted):
        return f"what was said of member {decision.member} is in force"
    return str(decision.__struct_config__.tag)


def _by(decision: d.SeatReleased | d.GroupFilled | d.GroupDissolved) -> str:
    """Return who did it, why and under which ticket, where customer service did it."""
    if decision.actor is None:
        return ""
    return f", by {decision.actor}, reason {decision.reason}, ticket {decision.ticket}"
