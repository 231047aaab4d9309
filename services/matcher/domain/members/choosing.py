"""Rules for what members choose: consent, preferences, pools kept away from, own limits (RULES.md section 8.1)."""

from typing import Final, Literal

from msgspec.structs import replace

from events.limits import ONE_TIME_GRANTS_MAX, POOLS_BLOCKED_MAX
from events.member import (
    LimitName,
    MemberBlocked,
    MemberConsentedEvent,
    MemberLimitedSelf,
    MemberLimitedSelfEvent,
    MemberPreferredEvent,
    MemberRegisteredEvent,
    MemberWithdrewEvent,
)
from events.member_decisions import Choices, Consent, MemberChose, SelfLimit
from events.reasons import Reason
from events.times import NS_PER_S, parse_time_ns
from services.matcher.domain.members.choices import CHANNELS, PURPOSES, consent_to, with_consent
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

RAISED_AFTER_NS: Final = 86_400 * NS_PER_S
"""How long a limit that a member raised or removed still holds."""
SELF_LIMITS_MAX: Final = 8

_PREFERENCES: Final = ("language", "timezone", "quiet")
_LISTED: Final = ("purposes", "kinds", "labels")
_About = Literal["registration", "consent", "withdrawal", "preferences", "pool", "limits"]


def register(turn: Turn, event: MemberRegisteredEvent) -> None:
    """Note since when there is the member."""
    data = event.data
    known = _choices(turn, data.member)
    if known.registered_at is not None:
        raise Refusal(Reason.MEMBER_REGISTERED)
    claimed_at = turn.now if data.registered_at is None else parse_time_ns(data.registered_at)
    _choose(turn, data.member, "registration", replace(known, registered_at=min(claimed_at, turn.now)))


def consent(turn: Turn, event: MemberConsentedEvent) -> None:
    """Note that a member agreed to be told, from now on or once."""
    data = event.data
    known = _choices(turn, data.member)
    said = consent_to(known, data.purpose, data.channel) or Consent(purpose=data.purpose, channel=data.channel)
    if data.one_time:
        if said.granted - said.lapsed >= ONE_TIME_GRANTS_MAX:
            raise Refusal(Reason.CAPACITY)
        said = replace(said, granted=said.granted + 1)
    else:
        said = replace(said, standing=True)
    _choose(turn, data.member, "consent", with_consent(known, said))


def withdraw(turn: Turn, event: MemberWithdrewEvent) -> None:
    """Take back what a member agreed to; also what it never agreed to is denied from now on."""
    data = event.data
    choices = _choices(turn, data.member)
    for purpose in PURPOSES if data.purpose is None else (data.purpose,):
        for channel in CHANNELS if data.channel is None else (data.channel,):
            said = consent_to(choices, purpose, channel) or Consent(purpose=purpose, channel=channel)
            said = replace(said, standing=False, lapsed=said.granted, withdrawn_at=turn.now)
            choices = with_consent(choices, said)
    _choose(turn, data.member, "withdrawal", choices)


def prefer(turn: Turn, event: MemberPreferredEvent) -> None:
    """Note a member's preferences; what the event leaves out stays."""
    data = event.data
    choices = _choices(turn, data.member)
    if data.timezone is not None and data.timezone not in turn.tree.zones.names:
        raise Refusal(Reason.TIMEZONE_UNKNOWN)
    given = {name: value for name in _PREFERENCES if (value := getattr(data, name)) is not None}
    lists = {name: tuple(value) for name in _LISTED if (value := getattr(data, name)) is not None}
    _choose(turn, data.member, "preferences", replace(choices, **given, **lists))


def block_pool(turn: Turn, data: MemberBlocked) -> None:
    """Keep a member and a pool apart from now on, or no longer."""
    assert data.pool is not None
    choices = _choices(turn, data.member)
    kept = tuple(pool for pool in choices.pools_blocked or () if pool != data.pool)
    blocked = kept if data.lifted else (*kept, data.pool)
    if len(blocked) > POOLS_BLOCKED_MAX:
        raise Refusal(Reason.CAPACITY)
    _choose(turn, data.member, "pool", replace(choices, pools_blocked=blocked))


def limit_self(turn: Turn, event: MemberLimitedSelfEvent) -> None:
    """Set a member's own limits: lower ones at once, raised and removed ones a day later."""
    data = event.data
    choices = _choices(turn, data.member)
    limits = {(known.name, known.currency): known for known in choices.limits or ()}
    for key in [key for key in limits if key[0] in data.remove]:
        limits[key] = _changed(limits[key], None, turn.now)
    for name, currency, most in _asked(data):
        known = limits.get((name, currency), SelfLimit(name=name, currency=currency))
        limits[name, currency] = _changed(known, most, turn.now)
    if len(limits) > SELF_LIMITS_MAX:
        raise Refusal(Reason.CAPACITY)
    _choose(turn, data.member, "limits", replace(choices, limits=tuple(limits.values())))


def _choices(turn: Turn, member: str) -> Choices:
    """Return a member's choices, limits as they stand now. Raises Refusal when another member cannot be known."""
    members, market = turn.state.members, turn.state.market
    assert market is not None
    if member not in members.choices and len(members.choices) >= market.member_capacity:
        raise Refusal(Reason.CAPACITY)
    choices = members.of(member)
    if not choices.limits:
        return choices
    settled = tuple(now for limit in choices.limits if (now := _settled(limit, turn.now)) is not None)
    return replace(choices, limits=settled or None)


def _settled(limit: SelfLimit, now_ns: int) -> SelfLimit | None:
    """Return a limit without a change that has come about; None for one that is gone."""
    if limit.changes_at is None or now_ns < limit.changes_at:
        return limit
    if limit.then_most is None:
        return None
    return SelfLimit(name=limit.name, currency=limit.currency, most=limit.then_most)


def _choose(turn: Turn, member: str, about: _About, choices: Choices) -> None:
    changes = [limit.changes_at for limit in choices.limits or () if limit.changes_at is not None]
    changes_at = max(changes) if changes and about == "limits" else None
    turn.emit(MemberChose(member=member, about=about, changes_at=changes_at, choices=choices))


def _asked(data: MemberLimitedSelf) -> list[tuple[LimitName, str | None, int]]:
    asked: list[tuple[LimitName, str | None, int]] = []
    if data.groups is not None:
        asked.append(("groups", None, data.groups))
    if data.assists is not None:
        asked.append(("assists", None, data.assists))
    if data.spending is not None:
        asked.append(("spending", data.spending.currency, data.spending.amount_minor))
    return asked


def _changed(limit: SelfLimit, most: int | None, now_ns: int) -> SelfLimit:
    """Return `limit` (settled) changed to `most`: a lower one at once, else after a day; None removes it."""
    raises = limit.most is not None and (most is None or most > limit.most)
    if raises:
        return replace(limit, changes_at=now_ns + RAISED_AFTER_NS, then_most=most)
    return SelfLimit(name=limit.name, currency=limit.currency, most=most)
