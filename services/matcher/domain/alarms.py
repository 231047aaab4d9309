"""Moments at which a family beside groups has work of its own: a play closes, a limit ends, an answer is overdue.

A family keeps in its part of the state when its work is due, yields an alarm for each from there when an index is
built, sets one in the index with each change that makes one, and says here what to do when it rings.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from services.matcher.domain.state import State
    from services.matcher.domain.turn import Turn


class Alarm(NamedTuple):
    """Work of `kind` on `key` at `at_ns`; `no` is from the state's counter, so that no two are alike."""

    at_ns: int
    no: int
    kind: str
    key: str


class AlarmRule(NamedTuple):
    """How alarms of one kind are answered."""

    is_void: Callable[["State", Alarm], bool]
    """Tells that the state has moved on and nothing is to be done."""
    size: Callable[["Turn", Alarm], int]
    """How many members the work names; at most events.limits.SEATS_PER_PAGE: it sets an alarm anew for the rest."""
    ring: Callable[["Turn", Alarm], None]
    """Decides; afterwards the alarm is void."""


SOURCES: Final[list[Callable[["State"], Iterator[Alarm]]]] = []
"""What yields a family's alarms from the state alone, for an index that is built."""

RULES: Final[dict[str, AlarmRule]] = {}
"""By kind of alarm. Both are filled by `rules`, where the families are registered."""
