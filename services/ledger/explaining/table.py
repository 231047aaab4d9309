"""All explanations; each family adds its module here and nowhere else."""

from typing import Final

from events.decision import Decision
from events.reason_sentences import SENTENCES
from services.ledger.explaining import conduct, disputes, groups, members, plays, refusals
from services.ledger.explaining.words import Explanation

DECISIONS: Final[dict[str, Explanation]] = {
    **groups.DECISIONS,
    **members.DECISIONS,
    **plays.DECISIONS,
    **conduct.DECISIONS,
    **disputes.DECISIONS,
}
"""By kind of decision, or kind/cause."""
REASONS: Final[dict[str, Explanation]] = {
    **refusals.REASONS,
    **refusals.FAULTS,
    **members.REASONS,
    **plays.REASONS,
    **conduct.REASONS,
    **disputes.REASONS,
}
"""By reason or fault."""


def explanation_of(decision: Decision) -> Explanation:
    """Return how a decision is explained: by its reason, else its cause, else its kind.

    What no table has is explained in general, by the sentence of its reason where there is one.
    """
    kind = str(decision.__struct_config__.tag)
    reason = getattr(decision, "reason", None) or getattr(decision, "why", None)
    if kind in ("refused", "malformed") and reason is not None:
        return REASONS.get(str(reason)) or _general(kind, str(reason))
    cause = getattr(decision, "cause", None)
    return DECISIONS.get(f"{kind}/{cause}") or DECISIONS.get(kind) or _general(kind, str(reason))


def _general(kind: str, reason: str) -> Explanation:
    english, chinese = SENTENCES.get(reason, (f"It was decided: {kind}.", f"决定：{kind}。"))
    # Braces would be taken for fields.
    return Explanation("", english.replace("{", "(").replace("}", ")"), chinese.replace("{", "(").replace("}", ")"))
