"""What the matcher knows of disputes: each until it is final, and as long after as it could be claimed again."""

from typing import Final

import msgspec

from events.dispute import About, Remedy, Verdict
from events.market import DisputeRules, MarketConfigured

OPEN: Final = 1
RESOLVED: Final = 2
FINAL: Final = 3
FORGOTTEN_AT_ONCE: Final = 2
"""How many final disputes are forgotten when one is opened: more than are added."""
_DEFAULTS: Final = DisputeRules()


class Proposal(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A resolution that waits for a second person."""

    verdict: Verdict
    remedy: Remedy
    actor: str


class Dispute(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One dispute; times in ns. `alarm_no` is that of its next deadline, 0 when there is none."""

    dispute: str
    about: About
    disputed: str
    play: str | None = None
    member: str
    answer_until: int
    resolve_until: int
    appeal_until: int = 0
    order: str | None = None
    publisher: str | None = None
    incident: str | None = None
    status: int = OPEN
    answered: bool = False
    unanswered_told: bool = False
    unresolved_told: bool = False
    appealed: bool = False
    evidence: tuple[str, ...] = ()
    proposal: Proposal | None = None
    resolutions: int = 0
    resolved_by: tuple[str, ...] = ()
    alarm_no: int = 0

    def next_deadline(self) -> tuple[int, str] | None:
        """Return (ns, stage) of the first deadline that has not been told of, None when there is none."""
        if self.status == FINAL:
            return None
        if self.status == RESOLVED:
            return self.appeal_until, "appeal"
        pending = []
        if not self.unresolved_told:
            pending.append((self.resolve_until, "resolution"))
        if self.awaits_answer and not self.unanswered_told:
            pending.append((self.answer_until, "answer"))
        return min(pending, default=None)

    @property
    def awaits_answer(self) -> bool:
        """Tell whether the other side has yet to answer; the platform does not answer itself."""
        return not self.answered and self.incident is None


class Disputes(msgspec.Struct, kw_only=True):
    """All disputes that are remembered, and which claims they are about."""

    known: dict[str, Dispute] = {}
    claims: dict[str, str] = {}
    """Kind, thing and member -> the dispute about it: one thing is disputed once by one member."""
    final: list[tuple[int, str]] = []
    """When (ns) each final dispute is forgotten, first first."""


def claim_of(about: str, disputed: str, play: str | None, member: str) -> str:
    """Return the key of a claim."""
    return f"{about} {play or ''} {disputed} {member}"


def rules_of(market: MarketConfigured | None) -> DisputeRules:
    """Return the rules for disputes that are in force."""
    return _DEFAULTS if market is None or market.disputes is None else market.disputes
