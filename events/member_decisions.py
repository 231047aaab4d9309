"""Decisions about members' choices and about invitations.

`member.chose` carries everything that a member chose as it stands from then on: whoever follows the journal keeps
the last one of each member and needs no rules. Only `invitation.allowed` moves on what stands in it, by one number,
the one-time grant that it takes.
"""

from typing import Literal

import msgspec

from events.decision import Decision
from events.member import Channel, Language, LimitName, Purpose, QuietHours
from events.reasons import Reason


class Consent(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """Whether a member may be told about one purpose by one channel; denied where nothing allows it.

    `standing`: until it is taken back. One-time grants are numbered from 1: `granted` were given so far, those up to
    `lapsed` are used up by invitations or void because consent was taken back. Who sends for another purpose than
    invitations uses the lowest number above `lapsed` and above the last that it used, each for one message.
    """

    purpose: Purpose
    channel: Channel
    standing: bool = False
    granted: int = 0
    lapsed: int = 0
    withdrawn_at: int | None = None
    """When it was last taken back, ns; what was decided before may not be sent after it."""


class SelfLimit(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """A limit a member set on a calendar week: a number, or an amount in minor units where there is a currency.

    `most` is None where there is none yet; from `changes_at` (ns) on `then_most` is in its place, None for no limit.
    """

    name: LimitName
    most: int | None = None
    currency: str | None = None
    changes_at: int | None = None
    then_most: int | None = None


class Choices(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """All that a member chose; None where nothing was said. Blocks of members stand in `member.blocked` events."""

    registered_at: int | None = None
    """Since when there is the member, ns."""
    consents: tuple[Consent, ...] | None = None
    purposes: tuple[Purpose, ...] | None = None
    kinds: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    language: Language | None = None
    timezone: str | None = None
    quiet: QuietHours | None = None
    pools_blocked: tuple[str, ...] | None = None
    limits: tuple[SelfLimit, ...] | None = None


class MemberChose(Decision, tag="member.chose", kw_only=True):
    """What a member chose is in force: the whole of it as it stands now, and what of it the event was about."""

    member: str
    about: Literal["registration", "consent", "withdrawal", "preferences", "pool", "limits"]
    changes_at: int | None = None
    """When the last of the limits that were raised changes, ns."""
    choices: Choices


class MemberReminded(Decision, tag="member.reminded", kw_only=True):
    """A member has reached a weekly limit, said once for each limit and week; it ends at `week_ends`, ns.

    `set_by`: past a limit of the member's own orders are refused, past the market's they are not.
    """

    member: str
    limit: LimitName
    set_by: Literal["member", "market"]
    used: int
    most: int
    currency: str | None = None
    week_ends: int


class InvitationAllowed(Decision, tag="invitation.allowed", kw_only=True):
    """The invitation may be sent until `useful_until`, ns; `link` proves that it was.

    `grant`: the number of the invitee's one-time grant that it takes; None under a standing consent.
    """

    invitation: str
    inviter: str
    invitee: str
    channel: Channel
    group: str | None = None
    play: str | None = None
    pool: str | None = None
    useful_until: int
    link: str
    grant: int | None = None
    publisher: str


class InvitationRefused(Decision, tag="invitation.refused", kw_only=True):
    """The invitation may not be sent. `refusals`: how many the inviter has met within the market's window.

    `consequence`: with this one the inviter is warned, or may not invite until `until`, ns.
    """

    invitation: str
    inviter: str
    invitee: str
    channel: Channel
    reason: Reason
    detail: str | None = None
    refusals: int = 0
    consequence: Literal["warned", "limited"] | None = None
    until: int | None = None
    publisher: str
