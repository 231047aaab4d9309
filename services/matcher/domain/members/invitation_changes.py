"""What decisions about invitations change: counters of days, pauses, and the memory of what was allowed."""

from hashlib import blake2b
from operator import attrgetter
from typing import Final

from events.invitation import InvitationRequested
from events.market import InvitationRules, MarketConfigured
from events.member_decisions import InvitationAllowed, InvitationRefused
from events.reasons import Reason
from events.times import NS_PER_S
from services.matcher.domain.calendar import day_end_ns
from services.matcher.domain.members.choices import after_grant
from services.matcher.domain.members.memory import INVITED_TO_PLAYS_MAX, Invited, Refusals, forget
from services.matcher.domain.moment import Moment
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.state import State

_DEFAULTS: Final = InvitationRules()
BROUGHT_ABOUT_BY_OTHERS: Final = frozenset({Reason.RESTRICTED, Reason.CAPPED_INVITEE, Reason.CAPPED_POOL})
"""Refusals that are not counted against an inviter."""


def rules_of(market: MarketConfigured | None) -> InvitationRules:
    """Return a market's rules for invitations."""
    return _DEFAULTS if market is None or market.invitations is None else market.invitations


def digest_of(data: InvitationRequested, publisher: str) -> bytes:
    """Return what tells another invitation under the same id apart."""
    named = (publisher, data.inviter, data.invitee, data.channel, data.group or "", data.play or "", data.pool or "")
    return blake2b("\n".join(named).encode(), digest_size=12).digest()


def pair_of(inviter: str, invitee: str) -> str:
    """Return the key of an inviter and an invitee: ids hold no line feed."""
    return f"{inviter}\n{invitee}"


def allowed(moment: Moment, decision: InvitationAllowed) -> None:
    """Count an invitation, take its one-time grant, and remember it as long as its event could come again."""
    state, now = moment.state, moment.now
    members, market = state.members, state.market
    assert market is not None and moment.event is not None
    data = moment.event.data
    assert isinstance(data, InvitationRequested)
    for counters, key, zone in (
        (members.by_inviter, decision.inviter, members.of(decision.inviter).timezone),
        (members.by_invitee, decision.invitee, members.of(decision.invitee).timezone),
        (members.by_pool, decision.pool, None),
    ):
        if key is not None:
            ends_ns = 0 if counters.runs(key, now) else _day_end_ns(moment, zone)
            counters.add(key, now, ends_ns)
    pause_ns = rules_of(market).pause_s * NS_PER_S
    members.pauses.set(pair_of(decision.inviter, decision.invitee), now, now + pause_ns)
    if decision.grant is not None:
        choices = after_grant(members.of(decision.invitee), decision.channel, decision.grant)
        members.choices[decision.invitee] = choices
    if decision.play is not None:
        _know_in_play(state, now, decision.play, decision.invitee)
    _remember(state, now, decision, digest_of(data, decision.publisher))


def is_invited(state: State, play: str, member: str) -> bool:
    """Tell whether an invitation of `member` to an open play is known to have been allowed."""
    known = state.members.invited_to_plays
    return bool(known.until_ns) and known.holds(pair_of(play, member), state.now)


def _know_in_play(state: State, now: int, play_id: str, invitee: str) -> None:
    play, known, key = state.plays.plays.get(play_id), state.members.invited_to_plays, pair_of(play_id, invitee)
    forget(known.ends, known.until_ns, lambda end_ns: end_ns, now)
    if play is not None and len(known.until_ns) < INVITED_TO_PLAYS_MAX and not known.holds(key, now):
        known.set(key, now, play.ends_ns)


def refused(moment: Moment, decision: InvitationRefused) -> None:
    """Count a refusal against the inviter, and keep one who is limited from inviting."""
    if decision.reason in BROUGHT_ABOUT_BY_OTHERS:
        return
    members, now = moment.state.members, moment.now
    if decision.consequence == "limited":
        assert decision.until is not None
        members.limits.set(decision.inviter, now, decision.until)
        members.refusals.pop(decision.inviter, None)
        return
    met = members.refusals.get(decision.inviter)
    if met is not None and now < met.ends_ns:
        met.count += 1
        return
    forget(members.refusal_ends, members.refusals, attrgetter("ends_ns"), now)
    ends_ns = now + rules_of(moment.state.market).refusals_window_s * NS_PER_S
    members.refusals[decision.inviter] = Refusals(1, ends_ns)
    members.refusal_ends.push((ends_ns, decision.inviter))


def _day_end_ns(moment: Moment, zone: str | None) -> int:
    assert moment.state.market is not None
    return day_end_ns(moment.tree.zones.offsets(zone or moment.state.market.timezone), moment.now)


def _remember(state: State, now: int, decision: InvitationAllowed, digest: bytes) -> None:
    members, market = state.members, state.market
    assert market is not None
    forget(members.invited_queue, members.invited, attrgetter("ends_ns"), now)
    ends_ns = now + (market.replay_window_s + market.future_slack_s) * NS_PER_S + 1
    entry = pack_entry(*state.position)
    members.invited[decision.invitation] = Invited(entry=entry, digest=digest, ends_ns=ends_ns)
    members.invited_queue.push((ends_ns, decision.invitation))
