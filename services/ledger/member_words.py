"""Decisions about members' choices and invitations in words that an operator can read out."""

from collections.abc import Iterator
from typing import Final

from events import member_decisions as m
from events.money import amount
from events.reason_sentences import sentence
from events.times import format_time_ns

MemberDecision = m.MemberChose | m.MemberReminded | m.InvitationAllowed | m.InvitationRefused

_ABOUT: Final = {
    "registration": "registration",
    "consent": "a consent",
    "withdrawal": "a withdrawal of consent",
    "preferences": "preferences",
    "pool": "a pool to keep away from",
    "limits": "own limits",
}
_LIMITED: Final = {"groups": "groups joined", "assists": "assists given", "spending": "spending"}


def member_decision_in_words(decision: MemberDecision) -> str:
    """Return what was decided, in one sentence."""
    if isinstance(decision, m.MemberChose):
        return f"member {decision.member} chose ({_ABOUT[decision.about]}); now: {choices_in_words(decision.choices)}"
    if isinstance(decision, m.MemberReminded):
        whose = "the own limit" if decision.set_by == "member" else "the market's limit"
        used, most = _amount(decision.used, decision.currency), _amount(decision.most, decision.currency)
        return (
            f"member {decision.member} is to be reminded: {used} of {most}, {whose} on {_LIMITED[decision.limit]} "
            f"in the week until {format_time_ns(decision.week_ends)}"
        )
    return _invitation_in_words(decision)


def choices_in_words(choices: m.Choices) -> str:
    """Return all that a member chose, in short."""
    said = [
        f"registered since {format_time_ns(choices.registered_at)}" if choices.registered_at is not None else "",
        *_consents_in_words(choices.consents or ()),
        _listed("wants only", choices.purposes),
        _listed("wants to hear only of", choices.kinds),
        _listed("wants only what is labelled", choices.labels or None),
        f"language {choices.language}" if choices.language is not None else "",
        f"time zone {choices.timezone}" if choices.timezone is not None else "",
        f"quiet from {choices.quiet.begins} to {choices.quiet.ends}" if choices.quiet is not None else "",
        _listed("keeps away from pools", choices.pools_blocked or None),
        *(_limit_in_words(limit) for limit in choices.limits or ()),
    ]
    return "; ".join(filter(None, said)) or "nothing"


def _invitation_in_words(decision: m.InvitationAllowed | m.InvitationRefused) -> str:
    what = f"invitation {decision.invitation} of {decision.invitee} by {decision.inviter}, by {decision.channel},"
    if isinstance(decision, m.InvitationRefused):
        detail = f" ({decision.detail})" if decision.detail else ""
        return f"{what} is refused, {decision.reason}: {sentence(decision.reason)}{detail}{_consequence(decision)}"
    named = {"group": decision.group, "play": decision.play, "pool": decision.pool}
    to = ", ".join(f"{kind} {name}" for kind, name in named.items() if name is not None)
    under = "a standing consent" if decision.grant is None else f"one-time grant {decision.grant}"
    return f"{what} to {to} is allowed under {under} until {format_time_ns(decision.useful_until)}"


def _consequence(decision: m.InvitationRefused) -> str:
    if decision.consequence == "warned":
        return f"; the inviter is warned after {decision.refusals} refusals"
    if decision.consequence == "limited" and decision.until is not None:
        until = format_time_ns(decision.until)
        return f"; after {decision.refusals} refusals the inviter may not invite until {until}"
    return ""


def _consents_in_words(consents: tuple[m.Consent, ...]) -> Iterator[str]:
    denied: dict[str, list[str]] = {}
    for consent in consents:
        left = consent.granted - consent.lapsed
        if consent.standing:
            yield f"agrees to {consent.purpose} by {consent.channel}"
        elif left:
            times = f"{left} more times" if left > 1 else "once more"
            yield f"agrees to {consent.purpose} by {consent.channel} {times}"
        else:
            denied.setdefault(consent.purpose, []).append(consent.channel)
    for purpose, channels in denied.items():
        yield f"does not agree to {purpose} by {', '.join(channels)}"


def _limit_in_words(limit: m.SelfLimit) -> str:
    most = "no limit" if limit.most is None else f"at most {_amount(limit.most, limit.currency)}"
    words = f"{_LIMITED[limit.name]} a week: {most}"
    if limit.changes_at is None:
        return words
    then = "no limit" if limit.then_most is None else _amount(limit.then_most, limit.currency)
    return f"{words}, from {format_time_ns(limit.changes_at)} {then}"


def _listed(words: str, names: tuple[str, ...] | None) -> str:
    return "" if names is None else f"{words} {', '.join(names) or 'nothing'}"


def _amount(number: int, currency: str | None) -> str:
    return str(number) if currency is None else amount(number, currency)
