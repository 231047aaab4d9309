"""A steady rate of events in batches, with the lag of every service watched: does any of them grow?"""

import asyncio
import statistics
import time
from collections import deque
from typing import Any, Final

import msgspec

from deploy.stack import Stack
from events import subjects
from services.bus.asking import asker_of, decode_ack
from tests.bench import traffic
from tests.bench.driving import MARKET, cpu_of_each_s, wait_level
from tests.bench.lags import Reached, reached
from tests.bench.loads import BATCHES_OF_100

LOOK_S: Final = 2.0
BEHIND_MAX_S: Final = 3.0
"""How long after the planned end everything must be done: a lag that grows at 1 % of the rate takes five minutes."""
GIVE_UP_S: Final = 10.0
"""So far behind that it will not hold: in seconds' worth of events."""
WINDOW: Final = 64
GROWTH_MAX: Final = 0.01
LOOKS_FOR_GROWTH: Final = 20
"""A line through fewer looks says nothing."""


class Held(msgspec.Struct, kw_only=True):
    """What came of one rate."""

    per_s: int
    seconds: float
    behind_s: float
    growth_share: float
    """By how much the worst lag grew, as a share of the rate."""
    is_held: bool
    cores_used: float
    cpu_us_per_event: dict[str, float]
    lags: list[dict[str, float]]

    def facts(self) -> dict[str, Any]:
        """Return what a list of rates says of each."""
        return {key: getattr(self, key) for key in ("per_s", "seconds", "is_held", "behind_s", "growth_share")}


class _Push:
    """Publishes batches at their moments, and knows how many events it has published."""

    def __init__(self, stack: Stack, per_s: int, for_s: float) -> None:
        self._stack = stack
        self._per_s = per_s
        self._batches = int(per_s * for_s / BATCHES_OF_100.batch)
        self.published = 0
        self.begun_s = time.perf_counter()
        self.give_up = False

    @property
    def due(self) -> int:
        """How many events should have been published by now."""
        return int(min(self._batches * BATCHES_OF_100.batch, (time.perf_counter() - self.begun_s) * self._per_s))

    async def run(self) -> None:
        """Publish everything, or until told to give up."""
        subject = subjects.intake(self._stack.market, traffic.PUBLISHER, "order")
        batch = BATCHES_OF_100.batch
        async with self._stack.connected(traffic.PUBLISHER) as client:
            # The short way: the load shares the machine with what it measures.
            asker = await asker_of(client)
            stored: deque[asyncio.Future[bytes]] = deque()
            self.begun_s = time.perf_counter()
            for place in range(self._batches):
                wait_s = self.begun_s + place * batch / self._per_s - time.perf_counter()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                if self.give_up:
                    break
                body = traffic.plain_batch(place * batch, batch, prefix="u")
                if len(stored) == WINDOW:
                    _assure(await stored.popleft())
                stored.append(asker.ask(subject, body, timeout_s=60))
                self.published += batch
            while stored:
                _assure(await stored.popleft())


def _assure(answer: bytes) -> None:
    ack = decode_ack(answer)
    assert ack.error is None and ack.seq > 0, f"the broker takes every batch, but said {answer!r}"


async def hold(stack: Stack, per_s: int, for_s: float) -> Held:
    """Publish at `per_s` for `for_s` seconds and tell whether everything kept up."""
    assert stack.market == MARKET
    before_s, first, own_s = cpu_of_each_s(stack), await reached(stack), time.process_time()
    push = _Push(stack, per_s, for_s)
    pushing = asyncio.create_task(push.run())
    lags: list[dict[str, float]] = []
    while not pushing.done():
        await asyncio.wait([pushing], timeout=LOOK_S)
        lags.append(await _look(stack, push, first))
        if max(lag for name, lag in lags[-1].items() if name != "at_s") > GIVE_UP_S * per_s:
            push.give_up = True
    await pushing
    await wait_level(stack)
    took_s = time.perf_counter() - push.begun_s
    spent_s = {name: now_s - before_s[name] for name, now_s in cpu_of_each_s(stack).items()}
    spent_s["load"] = time.process_time() - own_s
    behind_s = took_s - push.published / per_s
    growth = growth_per_s(lags) / per_s
    return Held(
        per_s=per_s,
        seconds=round(push.published / per_s, 1),
        behind_s=round(behind_s, 2),
        growth_share=round(growth, 4),
        is_held=not push.give_up and behind_s <= BEHIND_MAX_S and growth <= GROWTH_MAX,
        cores_used=round(sum(spent_s.values()) / took_s, 2),
        cpu_us_per_event={name: round(used_s / push.published * 1e6, 1) for name, used_s in spent_s.items()},
        lags=lags,
    )


async def _look(stack: Stack, push: _Push, first: Reached) -> dict[str, float]:
    """Return by how many events each part is behind at this moment, the publisher's own delay included."""
    due, published = push.due, push.published
    behind = (await reached(stack)).behind(first, published)
    at_s = round(time.perf_counter() - push.begun_s, 1)
    return {"at_s": at_s, "published": max(0, due - published), **{name: round(lag) for name, lag in behind.items()}}


def growth_per_s(lags: list[dict[str, float]]) -> float:
    """Return by how many events a second the fastest growing lag grew, by a line through the looks after the start."""
    looks = lags[len(lags) // 4 : -1]
    if len(looks) < LOOKS_FOR_GROWTH:
        return 0.0
    at_s = [look["at_s"] for look in looks]
    names = [name for name in looks[0] if name != "at_s"]
    return max(statistics.linear_regression(at_s, [look[name] for look in looks]).slope for name in names)
