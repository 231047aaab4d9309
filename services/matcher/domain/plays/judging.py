"""Where detection is asked what an assist is worth, and told what became of it.

The rule of an assist asks `judge` last, when every other rule has let the assist through. Until a detection is
registered in `DETECTION`, every assist counts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from events import play_decisions as p

if TYPE_CHECKING:
    from events.assist import AssistGiven
    from services.matcher.domain.moment import Moment
    from services.matcher.domain.plays.state import Play
    from services.matcher.domain.turn import Turn

AssistDecision = p.AssistCounted | p.AssistHeld | p.AssistRefused | p.AssistVoided


class Verdict(NamedTuple):
    """What detection makes of an assist: `score` from 0 to 100 and the reasons, for `assist.held` and `.refused`."""

    verdict: Literal["counted", "held", "refused"]
    score: int = 0
    reasons: tuple[str, ...] = ()


COUNTED: Final = Verdict("counted")


class Detection(NamedTuple):
    """What a detection has to answer."""

    judge: Callable[["Turn", "Play", "AssistGiven"], Verdict]
    """Judges an assist that the rules allow. It reads the state and decides nothing; it may raise `Refusal` for a
    member who may not help at all."""
    note: Callable[["Moment", "Play", AssistDecision], None]
    """Changes what detection remembers, as each decision about an assist is applied, when deciding and recovering.
    `moment.event` is the assist.given or assist.voided."""


DETECTION: Final[list[Detection]] = []
"""At most one; `engine` registers it."""


def judge(turn: "Turn", play: "Play", event: "AssistGiven") -> Verdict:
    """Return what the assist `event` in `play` is worth."""
    return DETECTION[0].judge(turn, play, event) if DETECTION else COUNTED


def note(moment: "Moment", play: "Play", decision: AssistDecision) -> None:
    """Let detection remember what became of an assist."""
    if DETECTION:
        DETECTION[0].note(moment, play, decision)
