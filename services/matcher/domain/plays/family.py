"""The families `play` and `assist`, as the engine registers them."""

from collections.abc import Callable
from typing import Any, Final

from events import assist, play
from services.matcher.domain.plays import assisting, ending, opening, reviewing
from services.matcher.domain.turn import Turn

RULES: Final[dict[type, Callable[[Turn, Any], None]]] = {
    play.PlayOpenedEvent: opening.open_play,
    play.PlayClosedEvent: ending.close_play,
    assist.AssistGivenEvent: assisting.give,
    assist.AssistVoidedEvent: reviewing.review,
}
ALARMS: Final = ending.alarms
ALARM_RULES: Final = ending.RULES
