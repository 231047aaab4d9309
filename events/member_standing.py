"""Family `member`: standing. Who is reported, what an operator does about it, and how the market sets its ladder."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import DurationS, Id, Name

Points = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
ReportCause = Literal["private_payment", "abuse", "fraud", "unknown_links"]
Rung = Literal["warned", "limited", "banned"]


class StandingTerms(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """How a market deals with help that looks fake; what is absent is as the rules have it (RULES.md, standing).

    `hold_points`, `refuse_points`: from how many points of evidence on an assist is held, or refused. The rungs of the
    ladder: from how many points against a member they are warned, limited (no assists, no invitations) or banned, and
    for how long. `memory_s`: how long a point counts.
    """

    hold_points: Points | None = None
    refuse_points: Points | None = None
    warn_at: Points | None = None
    limit_at: Points | None = None
    ban_at: Points | None = None
    warn_s: DurationS | None = None
    limit_s: DurationS | None = None
    ban_s: DurationS | None = None
    memory_s: DurationS | None = None


class MemberReported(Data, kw_only=True):
    """`reporter` complains of `member`; `about` names a play, group or order that it is about."""

    member: Name
    reporter: Name
    cause: ReportCause
    about: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.member, self.reporter, self.about)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member, self.reporter)


class MemberSanctioned(Data, kw_only=True):
    """An operator warns, limits or bans a member, for `duration_s` or as long as the market's ladder says."""

    member: Name
    rung: Rung
    duration_s: DurationS | None = None
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.member, self.actor, self.reason, self.ticket)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberReinstated(Data, kw_only=True):
    """An operator undoes a sanction; what spoke against the member is forgotten with it."""

    member: Name
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.member, self.actor, self.reason, self.ticket)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberReportedEvent(Event, tag="groupbuy.member.reported.v1", kw_only=True):
    """Complains of a member."""

    data: MemberReported


class MemberSanctionedEvent(Event, tag="groupbuy.member.sanctioned.v1", kw_only=True):
    """Sanctions a member."""

    data: MemberSanctioned


class MemberReinstatedEvent(Event, tag="groupbuy.member.reinstated.v1", kw_only=True):
    """Reinstates a member."""

    data: MemberReinstated
