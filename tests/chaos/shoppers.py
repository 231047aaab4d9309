"""Real clients, over NATS and HTTP: they send the same events until they are answered, and remember the answers."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import httpx2

from deploy.stack_files import read_token
from services.bus.client import GroupBuyClient, UnknownOutcomeError
from tests import builders as make
from tests.chaos.arena import MARKET, SHOPS, Arena
from tests.chaos.story import Event, Story

Outcome = dict[str, Any]
HTTP_TIMEOUT_S: Final = 12.0
RETRY_S: Final = (0.1, 0.6)
WAYS: Final = ("submit", "submit", "publish", "http", "http", "publish")
"""How each shopper talks, in turn: the first of each shop lists its offers and needs their outcomes."""
BATCHES: Final = (1, 1, 1, 2, 7, 20)
TRY_AGAIN: Final = frozenset({429, 503, 504})


class Stored(NamedTuple):
    """Events that the broker acknowledged, and at which place of the intake."""

    publisher: str
    events: list[Event]
    seq: int


class Answered(NamedTuple):
    """An event and the outcome that its publisher was told."""

    publisher: str
    event: Event
    outcome: Outcome


@dataclass
class Memory:
    """What the clients were promised, to hold the market to it."""

    stored: list[Stored] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    retries: int = 0
    sent: int = 0


class _WallClock:
    """The clock as `Story` reads it."""

    def now_ns(self) -> int:
        """Return the time in ns since 1970."""
        return time.time_ns()


class Refused(AssertionError):
    """A door turned away what it should have taken, or told to come again."""


class Shopper:
    """One client: a story of its own, told by one way, in order."""

    def __init__(self, arena: Arena, memory: Memory, number: int, pause_s: float) -> None:
        self.publisher = SHOPS[number % len(SHOPS)]
        self._way = WAYS[number % len(WAYS)]
        self._arena = arena
        self._memory = memory
        self._pause_s = pause_s
        seed = f"{arena.setting.seed}-{number}"
        self.story = Story(self.publisher, random.Random(seed), _WallClock(), part=f"-{number}")

    async def run(self, enough: asyncio.Event) -> None:
        """Send events until there are enough, each until it is acknowledged."""
        async with AsyncExitStack() as held:
            send = await self._connect(held)
            if self._way == "submit":
                await self._send(send, self.story.offers())
            while not enough.is_set():
                for together in self._next_batches():
                    await self._send(send, together)
                await asyncio.sleep(self.story.chance.expovariate(1 / self._pause_s))

    def _next_batches(self) -> list[list[Event]]:
        """Return what is sent next, one family at a time."""
        families: dict[str, list[Event]] = {}
        for _ in range(self.story.chance.choice(BATCHES)):
            event = self.story.next()
            families.setdefault(make.family_of(event), []).append(event)
        # Shops have no right to speak for members, and the broker says so by silence.
        families.pop("member", None)
        return [*families.values()]

    async def _connect(self, held: AsyncExitStack) -> Callable[[list[Event]], Awaitable[None]]:
        stack = self._arena.stack
        if self._way == "http":
            client = await held.enter_async_context(httpx2.AsyncClient(timeout=HTTP_TIMEOUT_S))
            return lambda events: self._post(client, events)
        seed_file = stack.data / "keys" / f"{self.publisher}.nk"
        bus = await GroupBuyClient.connect(
            stack.address.nats_url, market=MARKET, publisher=self.publisher, seed_file=seed_file
        )
        await held.enter_async_context(bus)
        return (lambda events: self._submit(bus, events)) if self._way == "submit" else lambda e: self._publish(bus, e)

    async def _send(self, send: Callable[[list[Event]], Awaitable[None]], events: list[Event]) -> None:
        self._memory.sent += len(events)
        while True:
            try:
                await send(events)
            except (UnknownOutcomeError, httpx2.TransportError):
                self._memory.retries += 1
                await asyncio.sleep(random.uniform(*RETRY_S))
            else:
                return

    async def _publish(self, bus: GroupBuyClient, events: list[Event]) -> None:
        seq = await bus.publish_batch(events)
        self._memory.stored.append(Stored(self.publisher, events, seq))

    async def _submit(self, bus: GroupBuyClient, events: list[Event]) -> None:
        self._remember(events, await bus.submit(events, give_up_s=15.0))

    async def _post(self, client: httpx2.AsyncClient, events: list[Event]) -> None:
        """Post to the gateway; raises TransportError where it says to come again."""
        stack = self._arena.stack
        answer = await client.post(
            f"{stack.address.http_url}/markets/{MARKET}/events",
            json=events,
            headers={
                "authorization": f"Bearer {read_token(stack.data, self.publisher)}",
                "content-type": "application/cloudevents-batch+json",
            },
        )
        if answer.status_code in TRY_AGAIN:
            raise httpx2.TransportError(f"{answer.status_code}: come again")
        if answer.status_code != 200:
            raise Refused(f"the gateway answered {answer.status_code}: {answer.text[:300]}")
        self._remember(events, answer.json()["outcomes"])

    def _remember(self, events: list[Event], outcomes: list[Outcome]) -> None:
        for event, outcome in zip(events, outcomes, strict=True):
            self._memory.answered.append(Answered(self.publisher, event, outcome))
            self.story.learn(outcome)
