"""What detection is told of an assist: by its event, its play, and who else knows of its helper."""

from collections.abc import Callable
from typing import Final

from events.assist import AssistGiven
from events.signals import Signals
from services.matcher.domain.plays.giving import Giving
from services.matcher.domain.plays.hashed import NOTHING, helper_key
from services.matcher.domain.plays.state import Play
from services.matcher.domain.standing.helping import Helping
from services.matcher.domain.state import State

NOTIFIED: Final[list[Callable[[State, str, str], bool]]] = []
"""What else knows that a member (third) was notified of, or invited to, a play (second); the families that do are
registered here by `engine`. Sharing is known from the assists themselves."""

_NO_SIGNALS: Final = Signals()


def helping_of(state: State, play: Play, giving: Giving, now_ns: int) -> Helping:
    """Return the assist as detection is told of it, the next of its play."""
    data, beneficiary, name, number = giving.data, play.member, None, play.watch
    if beneficiary is None:
        beneficiary = giving.helped or play.play
        name = watch_name(play, giving.helped)
        number = state.standing.book.numbers.get(name, 0)
    signals = _NO_SIGNALS if data.signals is None else data.signals
    via = data.via
    if via is not None and (play.member is None or via == play.member):
        was_notified, was_spread = True, False
    elif via is not None and play.place_of(helper_key(via)) != NOTHING:
        was_notified = was_spread = True
    else:
        was_notified, was_spread = _is_notified(state, data), False
    return Helping(
        play.play,
        play.given,
        giving.helper,
        beneficiary,
        number,
        name,
        now_ns,
        giving.past,
        signals.device,
        signals.network,
        signals.account_age_days,
        was_notified,
        was_spread,
    )


def watch_name(play: Play, helped: str | None) -> str:
    """Return the name of the watch over the help for `helped` in a play that is everybody's."""
    return f"{play.play}/{helped or play.play}"


def _is_notified(state: State, data: AssistGiven) -> bool:
    """Tell whether a notice or an invitation reached the helper."""
    return any(knows(state, data.play, data.member) for knows in NOTIFIED)
