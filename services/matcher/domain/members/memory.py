"""What the matcher knows of members: their choices, and counters that are forgotten when their day or week is over."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, TypeVar

import msgspec

from events.member_decisions import Choices
from services.matcher.domain.fifo import Fifo

INVITED_TO_PLAYS_MAX: Final = 200_000
"""Invitations to plays that are known at once. Of what is allowed beyond, detection knows nothing."""
AT_ONCE: Final = 4
"""How many of a kind are forgotten each time that one is added: more than is added."""

NOTHING_CHOSEN: Final = Choices()

T = TypeVar("T")


def forget(ends: Fifo[tuple[int, str]], known: dict[str, T], end_ns: Callable[[T], int], now_ns: int) -> None:
    """Forget of `known` the first few that are over at `now_ns`; `ends` has their ends in the order of their making.

    One that was made anew since has another end, and another place in `ends`.
    """
    for _ in range(AT_ONCE):
        first = ends.peek()
        if first is None or first[0] > now_ns:
            return
        ends.drop()
        value = known.get(first[1])
        if value is not None and end_ns(value) == first[0]:
            del known[first[1]]


class Counted(msgspec.Struct, gc=False):
    """How many there were in a calendar day that is over at `ends_ns`."""

    count: int
    ends_ns: int


class Counters(msgspec.Struct, gc=False):
    """A number for each key and calendar day."""

    by_key: dict[str, Counted] = {}
    ends: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])

    def used(self, key: str, now_ns: int) -> int:
        """Return how many `key` has had in the day of `now_ns`."""
        counted = self.by_key.get(key)
        return 0 if counted is None or now_ns >= counted.ends_ns else counted.count

    def runs(self, key: str, now_ns: int) -> bool:
        """Tell whether the day of `key` has begun: it ends when it was to end, whatever zone is chosen meanwhile."""
        counted = self.by_key.get(key)
        return counted is not None and now_ns < counted.ends_ns

    def add(self, key: str, now_ns: int, day_ends_ns: int) -> None:
        """Count one more of `key`; a day that has not begun begins, and is over at `day_ends_ns`."""
        if self.runs(key, now_ns):
            self.by_key[key].count += 1
            return
        assert day_ends_ns > now_ns, "a day ends after it has begun"
        forget(self.ends, self.by_key, attrgetter("ends_ns"), now_ns)
        self.by_key[key] = Counted(1, day_ends_ns)
        self.ends.push((day_ends_ns, key))


class Marks(msgspec.Struct, gc=False):
    """Until when each key is remembered, in ns."""

    until_ns: dict[str, int] = {}
    ends: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])

    def holds(self, key: str, now_ns: int) -> bool:
        """Tell whether `key` is marked at `now_ns`."""
        return now_ns < self.until_ns.get(key, 0)

    def set(self, key: str, now_ns: int, until_ns: int) -> None:
        """Mark `key` from `now_ns` until `until_ns`."""
        forget(self.ends, self.until_ns, lambda end_ns: end_ns, now_ns)
        if until_ns > now_ns:
            self.until_ns[key] = until_ns
            self.ends.push((until_ns, key))


class Invited(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """An invitation that was allowed by the entry packed in `entry`; by `digest` another one under its id is told."""

    entry: int
    digest: bytes
    ends_ns: int
    """When it is forgotten."""


class Refusals(msgspec.Struct, gc=False):
    """How many refusals an inviter has met in a window that is over at `ends_ns`."""

    count: int
    ends_ns: int


class Week(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """What a member, or the market for every member, limits: how far it has come in a week over at `ends_ns`."""

    ends_ns: int
    groups: int = 0
    assists: int = 0
    spent: dict[str, int] = {}
    """Minor units by currency."""
    orders: dict[str, tuple[str, int]] = {}
    """Order -> currency and minor units that it counts for, given back when its seat comes to nothing."""
    reminded: list[str] = []
    """Limits of which the member was reminded: who set them, name, currency."""


class Members(msgspec.Struct, kw_only=True):
    """Everything about members that decisions depend on, but blocks and standing."""

    choices: dict[str, Choices] = {}
    limited: int = 0
    """How many members have limits of their own."""
    watching: bool = False
    """Whether anybody has a limit, or the market one for all: else orders count nothing."""
    invited: dict[str, Invited] = {}
    invited_queue: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    invited_to_plays: Marks = msgspec.field(default_factory=Marks)
    """Play and invitee, one a line -> until when it is known that an invitation to the play was allowed: its end."""
    by_inviter: Counters = msgspec.field(default_factory=Counters)
    by_invitee: Counters = msgspec.field(default_factory=Counters)
    by_pool: Counters = msgspec.field(default_factory=Counters)
    pauses: Marks = msgspec.field(default_factory=Marks)
    """Inviter and invitee, one a line -> until when the one may not invite the other again."""
    refusals: dict[str, Refusals] = {}
    refusal_ends: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    limits: Marks = msgspec.field(default_factory=Marks)
    """Inviters who were refused too often -> until when they may not invite."""
    weeks: dict[str, Week] = {}
    week_ends: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])

    def of(self, member: str) -> Choices:
        """Return what `member` chose."""
        return self.choices.get(member, NOTHING_CHOSEN)
