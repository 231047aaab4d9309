"""Decisions about plays and assists in words that an operator can read out."""

from typing import Final

from events import play_decisions as p
from events.counted import counted
from events.money import amount
from events.times import format_time_ns

PlayDecision = (
    p.PlayOpened
    | p.PlayClosed
    | p.PriceCut
    | p.PlayAdvanced
    | p.PlayTicketed
    | p.PlayWon
    | p.PlayCorrected
    | p.PlayClaimed
    | p.AssistCounted
    | p.AssistHeld
    | p.AssistRefused
    | p.AssistVoided
)

_CAUSES: Final = {
    "ended": "its time has come",
    "complete": "it has given all it can give",
    "bought": "the member buys",
    "early": "it was closed early",
    "cancelled": "it was cancelled",
}


def play_decision_in_words(decision: PlayDecision) -> str:
    """Return what was decided, in one sentence."""
    if isinstance(decision, p.AssistCounted | p.AssistHeld | p.AssistRefused | p.AssistVoided):
        return _assist_in_words(decision)
    if isinstance(decision, p.PlayOpened | p.PlayClosed):
        return _end_in_words(decision)
    if isinstance(decision, p.PlayCorrected | p.PlayClaimed):
        return _review_in_words(decision)
    return _progress_in_words(decision)


def _assist_in_words(decision: p.AssistCounted | p.AssistHeld | p.AssistRefused | p.AssistVoided) -> str:
    whose = f"assist {decision.assist} of member {decision.member} in play {decision.play}"
    if isinstance(decision, p.AssistCounted):
        new = ", a new member" if decision.new_member else ""
        more = "" if decision.helpers_left is None else f", {decision.helpers_left} more may come"
        return f"{whose} counts{new}: {counted(decision.helpers, 'helper')}{more}"
    if isinstance(decision, p.AssistVoided):
        by = f"by {decision.actor}, reason {decision.reason}, ticket {decision.ticket}"
        return f"{whose}, {decision.was} before, is void, {by}: {counted(decision.helpers, 'helper')}"
    why = f"score {decision.score}: {', '.join(decision.reasons)}"
    return f"{whose} is {'held for review' if isinstance(decision, p.AssistHeld) else 'refused'}, {why}"


def _end_in_words(decision: p.PlayOpened | p.PlayClosed) -> str:
    whose = f" of member {decision.member}" if decision.member is not None else ""
    what = f"{decision.form} {decision.play}{whose}"
    if isinstance(decision, p.PlayOpened):
        until = format_time_ns(decision.ends_at)
        return f"{what} is open until {until}{_price(decision)}; its seed has the SHA-256 {decision.seed_sha256}"
    by = f", by {decision.actor}, reason {decision.reason}, ticket {decision.ticket}" if decision.actor else ""
    order = f" with order {decision.order}" if decision.order else ""
    tickets = (
        f", {counted(decision.tickets, 'ticket')} of {counted(decision.entrants or 0, 'member')}, "
        f"{counted(decision.winners or 0, 'prize')} to draw"
        if decision.tickets is not None
        else ""
    )
    why = _CAUSES[decision.cause]
    told = f"{counted(decision.helpers, 'helper')}{_price(decision)}{tickets}"
    return f"{what} is closed: {why}{order}{by}; {told}; its seed is {decision.seed}"


def _review_in_words(decision: p.PlayCorrected | p.PlayClaimed) -> str:
    if isinstance(decision, p.PlayCorrected):
        revoked = f"; not unlocked any more: {', '.join(decision.revoked)}" if decision.revoked else ""
        tickets = f", {counted(decision.tickets, 'ticket')}" if decision.tickets is not None else ""
        reached = f", {decision.reached} reached" if decision.reached is not None else ""
        told = f"{counted(decision.helpers, 'helper')}{_price(decision)}{reached}{tickets}"
        return f"{decision.form} {decision.play} is recomputed: {told}{revoked}"
    gave = [
        f"{amount(decision.amount_minor, decision.currency or '')} off the price" if decision.amount_minor else "",
        counted(decision.tickets, "ticket") if decision.tickets else "",
        f"the prizes {', '.join(decision.prizes)}" if decision.prizes else "",
    ]
    what = ", ".join(filter(None, gave)) or "nothing that can be counted"
    whose = f" to member {decision.member}" if decision.member is not None else ""
    cause = "is void" if decision.cause == "voided_after_close" else "counts"
    return (
        f"a claim for the operator: assist {decision.assist} {cause} after {decision.form} {decision.play} had closed; "
        f"it gave {what}{whose}"
    )


def _progress_in_words(decision: p.PriceCut | p.PlayAdvanced | p.PlayTicketed | p.PlayWon) -> str:
    if isinstance(decision, p.PriceCut):
        cut, left = (amount(each, decision.currency) for each in (decision.cut_minor, decision.remaining_minor))
        told = f"{left} can still be cut, by {counted(decision.helpers_left, 'helper')}"
        return f"play {decision.play}: {cut} cut off{_price(decision)}; {told}"
    if isinstance(decision, p.PlayAdvanced):
        return f"play {decision.play} has come to {decision.reached}, {decision.missing} missing for the next reward"
    if isinstance(decision, p.PlayTicketed):
        whom = f"member {decision.member}" if decision.member else f"each seat named of group {decision.group}"
        return f"play {decision.play} gives {counted(decision.tickets, 'ticket')} to {whom}; {decision.total} in all"
    draw = f" in draw {decision.draw} of {decision.draws}" if decision.draw is not None else ""
    return f"member {decision.member} wins {decision.prize} in play {decision.play}{draw}"


def _price(decision: p.PlayOpened | p.PlayClosed | p.PlayCorrected | p.PriceCut) -> str:
    if decision.price_minor is None:
        return ""
    return f", price {amount(decision.price_minor, decision.currency or '')}"
