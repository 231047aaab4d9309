"""The rule for each event of the family."""

from collections.abc import Callable
from typing import Any, Final

from events import dispute
from events.envelope import Event
from services.matcher.domain.disputes import claims, resolving
from services.matcher.domain.turn import Turn

RULES: Final[dict[type[Event], Callable[[Turn, Any], None]]] = {
    dispute.DisputeOpenedEvent: claims.open_dispute,
    dispute.DisputeAnsweredEvent: claims.answer,
    dispute.DisputeEvidencedEvent: claims.hand_in,
    dispute.DisputeResolvedEvent: resolving.resolve,
    dispute.DisputeAppealedEvent: claims.appeal,
}
