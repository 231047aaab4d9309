"""Whether a notice may go out now: pure, asked again at the moment of sending. Deny wins."""

from typing import Final

import msgspec

from events.times import NS_PER_S
from services.notifier.policy.choices import Choices, Permission, permission_for, was_withdrawn
from services.notifier.policy.purposes import Kind, Notice, Purpose, Reason
from services.notifier.policy.quiet import QuietHours, ZoneOf, quiet_until_ns

LOOK_AGAIN_NS: Final = 3_600 * NS_PER_S
"""When the zone is not known, whether it has become known is looked at again this much later."""


class MarketRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the market says: its zone, its quiet hours, and which kinds are urgent."""

    zone: str | None = None
    quiet: QuietHours | None = None
    urgent: frozenset[Kind] = frozenset()


class ChannelRules(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of a channel: its kind (`email`), whom it reaches, and whether each message takes a grant.

    A channel that reaches a backend wakes nobody: results go through it at once. What a backend passes on to a
    person (invitations, reminders) is judged as for any other channel.
    """

    kind: str
    reaches_member: bool = True
    takes_grant: bool = False


class Send(msgspec.Struct, frozen=True):
    """It may go out now, under this permission where there is one; `zone` and `quiet` are what was looked at."""

    permission: Permission | None = None
    zone: str | None = None
    quiet: QuietHours | None = None


class Defer(msgspec.Struct, frozen=True):
    """Not before `until_ns`."""

    until_ns: int
    reason: Reason


class Suppress(msgspec.Struct, frozen=True):
    """Never."""

    reason: Reason


Verdict = Send | Defer | Suppress


def judge(
    notice: Notice, choices: Choices, market: MarketRules, channel: ChannelRules, zone_of: ZoneOf, now_ns: int
) -> Verdict:
    """Return whether `notice` may be sent over `channel` at `now_ns`, as the member's choices stand.

    `zone_of` gives a time zone by its name, None when there is none of that name.
    """
    if notice.purpose is Purpose.OPERATOR_ALERT:
        return Send()
    if now_ns >= notice.useful_until_ns:
        return Suppress(Reason.PAST_USEFULNESS)
    forbidden = _forbidden(notice, choices, channel)
    if forbidden is not None:
        return Suppress(forbidden)
    permission = permission_for(choices, notice, channel.kind)
    if permission is None and channel.takes_grant:
        return Suppress(Reason.NO_GRANT)
    if permission is None and notice.purpose is Purpose.INVITATION:
        return Suppress(Reason.NO_CONSENT)
    return _in_time(notice, choices, market, channel, zone_of, now_ns, permission)


def _forbidden(notice: Notice, choices: Choices, channel: ChannelRules) -> Reason | None:
    """Return what the member has against it."""
    chosen = choices.chosen
    if notice.inviter in choices.blocked or notice.inviter in choices.blocked_by:
        return Reason.BLOCKED
    if notice.pool is not None and notice.pool in (chosen.pools_blocked or ()):
        return Reason.BLOCKED
    if notice.purpose is Purpose.RESULT and not channel.reaches_member:
        return None
    if was_withdrawn(choices, notice, channel.kind):
        return Reason.NO_CONSENT
    if chosen.purposes is not None and notice.purpose not in chosen.purposes:
        return Reason.NOT_WANTED
    return Reason.NOT_WANTED if notice.purpose is Purpose.INVITATION and not _is_of_interest(notice, choices) else None


def _is_of_interest(notice: Notice, choices: Choices) -> bool:
    """Tell whether a member wants to hear of this kind of activity and of what carries these labels."""
    chosen = choices.chosen
    if chosen.kinds is not None and notice.activity is not None and notice.activity not in chosen.kinds:
        return False
    return not chosen.labels or notice.labels is None or not set(chosen.labels).isdisjoint(notice.labels)


def _in_time(
    notice: Notice,
    choices: Choices,
    market: MarketRules,
    channel: ChannelRules,
    zone_of: ZoneOf,
    now_ns: int,
    permission: Permission | None,
) -> Verdict:
    """Return whether it is time; everything else allows it."""
    own_quiet, own_zone = choices.quiet, choices.chosen.timezone
    quiet = own_quiet if own_quiet is not None else market.quiet
    name = own_zone if own_zone is not None else market.zone
    send = Send(permission, name, quiet)
    if quiet is None or not _minds_quiet_hours(notice, market, channel):
        return send
    zone = None if name is None else zone_of(name)
    if zone is None:
        # Nobody knows what time it is there: better late than in the middle of the night.
        return _deferred(notice, now_ns + LOOK_AGAIN_NS, Reason.NO_TIME_ZONE)
    until_ns = quiet_until_ns(quiet, zone, now_ns)
    return send if until_ns is None else _deferred(notice, until_ns, Reason.QUIET_HOURS)


def _minds_quiet_hours(notice: Notice, market: MarketRules, channel: ChannelRules) -> bool:
    if notice.purpose is Purpose.INVITATION:
        return True
    if notice.purpose is Purpose.RESULT and not channel.reaches_member:
        return False
    return notice.kind not in market.urgent


def _deferred(notice: Notice, until_ns: int, reason: Reason) -> Verdict:
    if until_ns >= notice.useful_until_ns:
        return Suppress(Reason.PAST_USEFULNESS)
    return Defer(until_ns, reason)
