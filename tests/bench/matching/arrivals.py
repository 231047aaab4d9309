"""Simulated arrivals: launches with a few friends, and strangers alone, for one offer; seeded, no clock."""

import random
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Pattern = Literal["poisson", "bursty"]
PATTERNS: Final[tuple[Pattern, ...]] = ("poisson", "bursty")

TTL_S: Final = 86_400
ALONE_SHARE: Final = 0.3
"""Of the parties, those who come alone and take whatever seat there is; the others launch and bring friends."""
FRIEND_ODDS: Final = 0.6
"""That a launch brings one friend more: 1.5 friends in the mean, far from enough for five seats, as in real data."""
BURST_PARTIES: Final = 12
BURST_S: Final = 600


class Party(NamedTuple):
    """Members who want the same thing and come at one moment; of several the first launches a group."""

    at_s: int
    first_member: int
    size: int


def parties(*, size: int, demand: float, pattern: Pattern, count: int, seed: int) -> list[Party]:
    """Return `count` parties in order of time.

    `demand` is how many seats are wanted within one group's time to live, in groups of `size`: below 1 a
    group must be lucky to fill at all, at 10 there is always somebody. No party is larger than a group.
    """
    chance = random.Random(f"{size} {demand} {pattern} {seed}")
    sizes = [_party_size(chance, size) for _ in range(count)]
    mean_seats = sum(sizes) / count
    gap_s = TTL_S * mean_seats / (demand * size)
    found, member = [], 0
    for at_s, seats in zip(_times(chance, pattern, gap_s, count), sizes, strict=True):
        found.append(Party(at_s, member, seats))
        member += seats
    return found


def _party_size(chance: random.Random, size: int) -> int:
    if chance.random() < ALONE_SHARE:
        return 1
    seats = 1
    # Larger groups are shared more widely: a leader of fifty seats does not stop at one friend.
    odds = 1 - (1 - FRIEND_ODDS) / max(1.0, size / 10)
    while seats < size and chance.random() < odds:
        seats += 1
    return seats


def _times(chance: random.Random, pattern: Pattern, gap_s: float, count: int) -> Iterator[int]:
    """Yield `count` rising times in seconds, `gap_s` apart in the mean."""
    now_s = 0.0
    if pattern == "poisson":
        for _ in range(count):
            now_s += chance.expovariate(1 / gap_s)
            yield int(now_s)
        return
    for first in range(0, count, BURST_PARTIES):
        now_s += chance.expovariate(1 / (gap_s * BURST_PARTIES))
        in_burst = sorted(chance.uniform(0, BURST_S) for _ in range(min(BURST_PARTIES, count - first)))
        yield from (int(now_s + later_s) for later_s in in_burst)
        now_s += BURST_S
