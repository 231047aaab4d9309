"""An assist while it is decided: what is looked up once, for the rules, for detection and for what is remembered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from events.assist import AssistGiven
from services.matcher.domain.plays.hashed import Key, assist_key, key_of

if TYPE_CHECKING:
    from services.matcher.domain.plays.rules import Rules
    from services.matcher.domain.plays.state import Play
    from services.matcher.domain.standing.helping import Helping
    from services.matcher.domain.standing.observing import Sight
    from services.matcher.domain.state import State


class Giving(msgspec.Struct, gc=False):
    """An assist that some play's rules have let through as far as they have looked."""

    data: AssistGiven
    helper: Key
    assist: Key
    helped: str | None
    """Whom it helps."""
    past: Sequence[bytes]
    """What is remembered of the helper: `Book.helpings`."""
    seen: "tuple[Helping, Sight] | None" = None
    """What detection saw when it judged."""
    watch: int = 0
    """Number of the watch in which it is remembered."""


def giving_of(state: "State", play: "Play", rules: "Rules", data: AssistGiven) -> Giving:
    """Look up what there is to know of an assist. Raises Refusal where it has to say whom it helps and does not."""
    helper = key_of(data.member)
    helped = rules.form.helped(play, rules.terms, data)
    return Giving(data, helper, assist_key(data.assist), helped, state.standing.book.helpings.rows(helper))
