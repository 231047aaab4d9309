"""Decisions and events in words that an operator can read out."""

from typing import Final

from events import decisions as d
from events.envelope import Event
from events.play_decisions import ASSIST_DECISIONS, PLAY_DECISIONS
from events.reasons import sentence
from events.times import format_time_ns
from services.ledger.history import FoundEntry
from services.ledger.member_words import MemberDecision, member_decision_in_words
from services.ledger.play_words import play_decision_in_words

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
    *("group", "pool", "offer", "refund", "purpose", "channel"),
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
    return "time passed"


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
    if isinstance(decision, MemberDecision):
        return member_decision_in_words(decision)
    if isinstance(decision, (*PLAY_DECISIONS, *ASSIST_DECISIONS)):
        return play_decision_in_words(decision)
    return _other_in_words(decision)


def money_in_words(amount_minor: int, currency: str) -> str:
    """Return an amount; minor units are said as such, since not every currency has two decimals."""
    return f"{amount_minor} {currency} (minor units)"


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
            f"against {money_in_words(decision.payable_minor, decision.currency)}"
        )
    paid = f", paid with {decision.payment}" if decision.payment else ""
    return (
        f"{whose} has a confirmed seat in group {decision.group} for {what} "
        f"at {money_in_words(decision.payable_minor, decision.currency)}{paid}"
    )


def _closing_in_words(decision: d.Closing) -> str:
    pages = f" (page {decision.page} of {decision.pages})" if decision.pages > 1 else ""
    orders = ", ".join(seat.order for seat in decision.seats) or "nobody"
    if isinstance(decision, d.GroupFilled):
        why = _CAUSES[decision.cause]
        return f"group {decision.group} is filled with {decision.size}: {why}{_by(decision)}; seats: {orders}{pages}"
    if isinstance(decision, d.GroupExpired):
        return f"group {decision.group} expired, {decision.missing} missing; seats: {orders}{pages}"
    why = _CAUSES[decision.cause]
    return f"group {decision.group} is dissolved: {why}{_by(decision)}; seats: {orders}{pages}"


def _refund_in_words(decision: d.RefundDue | d.RefundClosed) -> str:
    amount = money_in_words(decision.amount_minor, decision.currency)
    if isinstance(decision, d.RefundDue):
        return (
            f"refund {decision.refund} is due: {amount} of payment {decision.payment} "
            f"for order {decision.order} ({decision.cause})"
        )
    return f"refund {decision.refund} of order {decision.order}, {amount}, was {decision.status}"


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
        return f"group {decision.group} moves with its {decision.seats} seats into group {decision.into}"
    if isinstance(decision, d.OfferListed):
        stock = f", stock {decision.stock}" if decision.stock is not None else ""
        return f"offer {decision.offer} is {decision.status}, edition {decision.edition}{stock}"
    if isinstance(decision, d.MarketSet):
        return f"the market's configuration is in force, rule version {decision.rule_version}"
    if isinstance(decision, d.MemberNoted):
        return f"what was said of member {decision.member} is in force"
    return str(decision.__struct_config__.tag)


def _by(decision: d.SeatReleased | d.GroupFilled | d.GroupDissolved) -> str:
    """Return who did it, why and under which ticket, where customer service did it."""
    if decision.actor is None:
        return ""
    return f", by {decision.actor}, reason {decision.reason}, ticket {decision.ticket}"
