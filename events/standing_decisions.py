"""What the matcher decides about the standing of members; `events.decisions` says what holds for all decisions.

`evidence_entries` lists the entries, at most sixteen and the latest of them, whose decisions gave the strikes. What a
strike is given for is told to nobody: neither members nor publishers get `strikes` or `evidence_entries`.
"""

from typing import Literal

from events.decision import Decision

Ground = Literal["assists_held", "assists_refused", "assists_voided", "seats_unpaid", "group_filled_alone", "operator"]


class MemberReported(Decision, tag="member.reported", kw_only=True):
    """A complaint is noted; by itself it changes nothing. `reports` counts the members who complained so far."""

    member: str
    reports: int


class MemberWarned(Decision, tag="member.warned", kw_only=True):
    """The member is warned until `until`; nothing is refused to them."""

    member: str
    ground: Ground
    strikes: int
    evidence_entries: list[str]
    until: int
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    publisher: str | None = None


class MemberLimited(Decision, tag="member.limited", kw_only=True):
    """The member neither helps nor invites until `until`."""

    member: str
    ground: Ground
    strikes: int
    evidence_entries: list[str]
    until: int
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    publisher: str | None = None


class MemberBanned(Decision, tag="member.banned", kw_only=True):
    """The member neither orders, helps nor invites until `until`."""

    member: str
    ground: Ground
    strikes: int
    evidence_entries: list[str]
    until: int
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    publisher: str | None = None


class MemberReinstated(Decision, tag="member.reinstated", kw_only=True):
    """The sanction is over: its time has come (`expired`), or an operator took it back."""

    member: str
    cause: Literal["expired", "operator"]
    was: Literal["warned", "limited", "banned"] | None = None
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    publisher: str | None = None


class AssistDoubted(Decision, tag="assist.doubted", kw_only=True):
    """A counted assist, named by its position, is held for review in the light of what is known now.

    `because` is the entry of the assist that cast the doubt; `helpers` counts those that still count. In a play that is
    over it goes on counting (`over`) until a review voids it.
    """

    play: str
    position: int
    score: int
    reasons: list[str]
    because: str
    over: bool | None = None
    helpers: int
    publisher: str


SANCTIONS = (MemberWarned, MemberLimited, MemberBanned)
STANDING_DECISIONS = (*SANCTIONS, MemberReinstated)
"""Decisions about a member's standing, which the member is told of."""
