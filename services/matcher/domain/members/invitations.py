"""Rules for invitations (RULES.md section 8.2): the invitee's word, then the inviter's standing, then the caps."""

from typing import Literal, NamedTuple

from events import decisions as d
from events.invitation import InvitationRequested, InvitationRequestedEvent
from events.link import Link, sign_link
from events.member_decisions import InvitationAllowed, InvitationRefused
from events.reasons import Reason
from events.record import entry_id
from events.times import NS_PER_S, parse_time_ns
from services.matcher.domain import state as s
from services.matcher.domain.index import sits_in
from services.matcher.domain.members.choices import allows, consent_to, grant_to_take, objection
from services.matcher.domain.members.invitation_changes import BROUGHT_ABOUT_BY_OTHERS, digest_of, pair_of, rules_of
from services.matcher.domain.members.memory import Invited, Members
from services.matcher.domain.plays import state as plays
from services.matcher.domain.plays.hashed import NOTHING, helper_key
from services.matcher.domain.positions import unpack_entry
from services.matcher.domain.standing.asking import may_invite
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn


class Subject(NamedTuple):
    """What somebody is invited to: its kind of activity and labels, its pool, and when it is over, where it is."""

    what: Literal["group", "play", "pool"]
    name: str
    activity: str | None
    labels: tuple[str, ...] | None
    pool: str | None
    ends_ns: int | None


class _Refused(Exception):
    """The invitation may not be sent."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def request(turn: Turn, event: InvitationRequestedEvent, market_name: str, link_key: bytes) -> None:
    """Allow an invitation, with a link signed by the market, or refuse it."""
    data = event.data
    known = turn.state.members.invited.get(data.invitation)
    if known is not None and turn.now < known.ends_ns:
        turn.emit(_same_again(known, data, turn.publisher))
        return
    subject = _subject(turn, data)
    useful_until = _useful_until(turn, data, subject)
    try:
        grant = _check(turn, data, subject)
    except _Refused as refusal:
        _refuse(turn, data, refusal)
        return
    link = Link(market_name, data.invitation, data.inviter, subject.what, subject.name, useful_until // NS_PER_S)
    turn.emit(
        InvitationAllowed(
            invitation=data.invitation,
            inviter=data.inviter,
            invitee=data.invitee,
            channel=data.channel,
            group=data.group,
            play=data.play,
            pool=subject.pool,
            useful_until=useful_until,
            link=sign_link(link_key, link),
            grant=grant,
            publisher=turn.publisher,
        )
    )


def _same_again(known: Invited, data: InvitationRequested, publisher: str) -> d.Duplicate:
    if known.digest != digest_of(data, publisher):
        raise Refusal(Reason.INVITATION_EXISTS)
    return d.Duplicate(of=entry_id(*unpack_entry(known.entry)), original="invitation.allowed", group=data.group)


# What it is about


def _subject(turn: Turn, data: InvitationRequested) -> Subject:
    """Return what the invitation is to. Raises Refusal where it is to nothing, to several things, to what is over."""
    if sum(name is not None for name in (data.group, data.play, data.pool)) != 1:
        raise Refusal(Reason.INVITATION_UNCLEAR)
    if data.inviter == data.invitee:
        raise Refusal(Reason.SELF_INVITATION)
    if _is_full(turn.state.members, rules_of(turn.state.market).capacity, turn.now):
        raise Refusal(Reason.CAPACITY)
    if data.group is not None:
        return _group(turn, data.group, data.invitee)
    if data.play is not None:
        return _play(turn, data.play, data.invitee)
    assert data.pool is not None
    return Subject("pool", data.pool, None, None, data.pool, None)


def _is_full(members: Members, capacity: int, now_ns: int) -> bool:
    oldest = members.invited_queue.peek()
    makes_room = oldest is not None and oldest[0] <= now_ns
    return len(members.invited) >= capacity and not makes_room


def _group(turn: Turn, group_id: str, invitee: str) -> Subject:
    group = turn.state.groups.get(group_id)
    if group is None:
        raise Refusal(Reason.GROUP_UNKNOWN)
    if group.status != s.OPEN:
        raise Refusal(Reason.GROUP_OVER)
    if sits_in(turn.state, turn.tree, group, invitee):
        raise Refusal(Reason.ALREADY_IN_GROUP)
    labels = s.terms_of(turn.state, group).labels
    return Subject("group", group_id, "group", labels, group.pool, group.deadline)


def _play(turn: Turn, play_id: str, invitee: str) -> Subject:
    play = turn.state.plays.plays.get(play_id)
    if play is None:
        raise Refusal(Reason.PLAY_UNKNOWN)
    if play.status != plays.OPEN:
        raise Refusal(Reason.PLAY_OVER)
    if invitee == play.member:
        raise Refusal(Reason.SELF_HELP)
    if play.place_of(helper_key(invitee)) != NOTHING:
        raise Refusal(Reason.ALREADY_HELPED)
    labels = () if play.offer is None else turn.state.offers[play.offer].terms.labels
    return Subject("play", play_id, play.form, labels, None, play.ends_ns)


def _useful_until(turn: Turn, data: InvitationRequested, subject: Subject) -> int:
    ends = [turn.now + rules_of(turn.state.market).useful_s * NS_PER_S]
    if subject.ends_ns is not None:
        ends.append(subject.ends_ns)
    if data.useful_until is not None:
        ends.append(parse_time_ns(data.useful_until))
    if min(ends) <= turn.now:
        raise Refusal(Reason.INVITATION_OVER)
    return min(ends)


# May it be sent


def _check(turn: Turn, data: InvitationRequested, subject: Subject) -> int | None:
    """Return the one-time grant that the invitation takes, if any. Raises _Refused for the first reason against it."""
    state, members, now = turn.state, turn.state.members, turn.now
    rules = rules_of(state.market)
    if members.limits.holds(data.inviter, now) or not may_invite(state, data.inviter):
        raise _Refused(Reason.RESTRICTED)
    choices = members.of(data.invitee)
    if data.invitee in state.blocks.get(data.inviter, ()):
        raise _Refused(Reason.BLOCKED)
    if subject.pool is not None and subject.pool in (choices.pools_blocked or ()):
        raise _Refused(Reason.BLOCKED, "pool")
    against = objection(choices, "invitation", subject.activity, subject.labels)
    if against is not None:
        raise _Refused(Reason.NO_CONSENT, against)
    consent = consent_to(choices, "invitation", data.channel)
    if consent is None or not allows(consent):
        raise _Refused(Reason.NO_CONSENT)
    if members.pauses.holds(pair_of(data.inviter, data.invitee), now):
        raise _Refused(Reason.TOO_SOON)
    if members.by_inviter.used(data.inviter, now) >= rules.inviter_per_day:
        raise _Refused(Reason.CAPPED_INVITER)
    if members.by_invitee.used(data.invitee, now) >= rules.invitee_per_day:
        raise _Refused(Reason.CAPPED_INVITEE)
    if subject.pool is not None and members.by_pool.used(subject.pool, now) >= rules.pool_per_day:
        raise _Refused(Reason.CAPPED_POOL)
    return grant_to_take(consent)


def _refuse(turn: Turn, data: InvitationRequested, refusal: _Refused) -> None:
    rules, members = rules_of(turn.state.market), turn.state.members
    met = _refusals(members, data.inviter, turn.now)
    counts = refusal.reason not in BROUGHT_ABOUT_BY_OTHERS
    consequence: Literal["warned", "limited"] | None = None
    if counts and met + 1 == rules.limit_after:
        consequence = "limited"
    elif counts and met + 1 == rules.warn_after:
        consequence = "warned"
    refused = InvitationRefused(
        invitation=data.invitation,
        inviter=data.inviter,
        invitee=data.invitee,
        channel=data.channel,
        reason=refusal.reason,
        detail=refusal.detail,
        refusals=met + 1 if counts else met,
        consequence=consequence,
        until=turn.now + rules.limit_s * NS_PER_S if consequence == "limited" else None,
        publisher=turn.publisher,
    )
    turn.emit(refused)


def _refusals(members: Members, inviter: str, now_ns: int) -> int:
    met = members.refusals.get(inviter)
    return 0 if met is None or now_ns >= met.ends_ns else met.count
