"""What the matcher decides of disputes: `member` is the claimant, `publisher` whose the disputed order is."""

from events.decision import Decision
from events.dispute import About, Party, Remedy, Verdict


class DisputeOpened(Decision, tag="dispute.opened", kw_only=True):
    """The claim stands: an answer is awaited before `answer_until`, a resolution before `resolve_until`."""

    dispute: str
    about: About
    disputed: str
    play: str | None = None
    member: str
    answer_until: int
    resolve_until: int
    order: str | None = None
    """The order disputed, or the claimant's in the group disputed."""
    group: str | None = None
    offer: str | None = None
    publisher: str | None = None
    """Whose order it is."""
    incident: str | None = None


class DisputeAnswered(Decision, tag="dispute.answered", kw_only=True):
    """A party's answer stands."""

    dispute: str
    party: Party
    member: str
    publisher: str | None = None


class DisputeEvidenced(Decision, tag="dispute.evidenced", kw_only=True):
    """A piece of evidence is committed to; `number` counts them from 1."""

    dispute: str
    party: Party
    evidence: str
    number: int
    member: str
    publisher: str | None = None


class DisputeProposed(Decision, tag="dispute.proposed", kw_only=True):
    """A resolution waits for a second, other person, who publishes the same one."""

    dispute: str
    verdict: Verdict
    remedy: Remedy
    actor: str
    member: str
    publisher: str | None = None


class DisputeResolved(Decision, tag="dispute.resolved", kw_only=True):
    """The resolution stands, its remedy follows in the same entry; an appeal is open before `appeal_until`."""

    dispute: str
    verdict: Verdict
    remedy: Remedy
    actor: str
    second: str | None = None
    """Who agreed, where somebody had to."""
    appeal_until: int
    order: str | None = None
    """The order that the remedy is about."""
    member: str
    publisher: str | None = None


class DisputeAppealed(Decision, tag="dispute.appealed", kw_only=True):
    """The dispute is open again; somebody else resolves it before `resolve_until`."""

    dispute: str
    party: Party
    resolve_until: int
    member: str
    publisher: str | None = None


class DisputeOverdue(Decision, tag="dispute.overdue", kw_only=True):
    """A deadline passed: nobody answered, or nobody resolved."""

    dispute: str
    stage: str
    """`answer` or `resolution`."""
    member: str
    publisher: str | None = None


class DisputeClosed(Decision, tag="dispute.closed", kw_only=True):
    """The time for an appeal is over: the resolution is final."""

    dispute: str
    member: str
    publisher: str | None = None
