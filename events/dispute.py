"""Family `dispute`: a claim by a member, the answers to it, and what named people decide about it.

No text and no file enters an event: `statement` and `evidence` are commitments, SHA-256 over a salt and the content,
and both lie in the vault beside the ledger, which can forget them.
"""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import Id, Name, Sha256Hex, TimeText
from events.limits import AMOUNT_MAX_MINOR

About = Literal["order", "group", "play", "assist", "invitation", "notice", "sanction"]
"""What a dispute can be about."""
Party = Literal["member", "merchant", "platform"]
RemedyKind = Literal["refund", "seat", "assist_counted", "assist_voided", "member_reinstated", "none"]
"""What a resolution can bring about: a closed list."""
Verdict = Literal["upheld", "partly_upheld", "rejected"]


class Remedy(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True, gc=False):
    """What a resolution brings about, in the same entry.

    `refund`: of `order`, `amount_minor` or all that it paid and was not refunded yet. `seat`: `order` sits again, in
    `group` or its own if that is absent. `assist_counted` and `assist_voided`: `assist` of `play`, by the helper
    `member`; what is absent is that of the dispute.
    `member_reinstated`: the sanctions on `member` end.
    """

    kind: RemedyKind
    order: Id | None = None
    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX_MINOR)] | None = None
    group: Id | None = None
    play: Id | None = None
    assist: Id | None = None
    member: Name | None = None

    def ids(self) -> str:
        """Return every identifier in it, one a line."""
        return lines(self.order, self.group, self.play, self.assist, self.member)


class DisputeOpened(Data, kw_only=True):
    """`member` disputes the thing `disputed` of the kind `about`; an assist is named together with its `play`.

    `happened_at` says when it is said to have happened. `incident`: opened by the platform itself for one of many that
    an incident touched; no answer is awaited then.
    """

    dispute: Id
    about: About
    disputed: Id
    play: Id | None = None
    member: Name
    actor: Id
    reason: Id
    ticket: Id | None = None
    statement: Sha256Hex | None = None
    happened_at: TimeText | None = None
    incident: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        named = (self.dispute, self.disputed, self.play, self.member, self.actor, self.reason)
        return lines(*named, self.ticket, self.incident)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.happened_at,)


class DisputeAnswered(Data, kw_only=True):
    """A party answers the claim."""

    dispute: Id
    party: Party
    actor: Id
    statement: Sha256Hex | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.dispute, self.actor)


class DisputeEvidenced(Data, kw_only=True):
    """A party hands in a file: `evidence` commits to it, `label` says what it is of."""

    dispute: Id
    party: Party
    actor: Id
    evidence: Sha256Hex
    label: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.dispute, self.actor, self.label)


class DisputeResolved(Data, kw_only=True):
    """A named person decides. Where a second one must agree, the first event proposes and the second completes it."""

    dispute: Id
    verdict: Verdict
    remedy: Remedy
    actor: Id
    reason: Id
    statement: Sha256Hex | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.dispute, self.actor, self.reason, self.remedy.ids() or None)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.remedy.member,)


class DisputeAppealed(Data, kw_only=True):
    """A party does not accept the resolution; once in a dispute. Somebody else resolves it anew."""

    dispute: Id
    party: Party
    actor: Id
    reason: Id
    statement: Sha256Hex | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.dispute, self.actor, self.reason)


class DisputeOpenedEvent(Event, tag="groupbuy.dispute.opened.v1", kw_only=True):
    """Opens a dispute."""

    data: DisputeOpened


class DisputeAnsweredEvent(Event, tag="groupbuy.dispute.answered.v1", kw_only=True):
    """Answers a claim."""

    data: DisputeAnswered


class DisputeEvidencedEvent(Event, tag="groupbuy.dispute.evidenced.v1", kw_only=True):
    """Hands in evidence."""

    data: DisputeEvidenced


class DisputeResolvedEvent(Event, tag="groupbuy.dispute.resolved.v1", kw_only=True):
    """Resolves a dispute."""

    data: DisputeResolved


class DisputeAppealedEvent(Event, tag="groupbuy.dispute.appealed.v1", kw_only=True):
    """Appeals against a resolution."""

    data: DisputeAppealed
