"""Bringing the demo's day into the market: a slice of it at a time, each after the answers to the one before.

Most events are published to the intake, and what they bring about is heard from the journal. The last order of each
slice goes through the gateway, which answers with its outcome, and that is timed.
"""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from deploy.cli.output import CommandError
from deploy.cli.session import Session
from deploy.permissions import LEDGER
from deploy.scenario import OPENS_NS, Act, Scenario
from deploy.stack import Stack
from events import decisions as d
from events.counted import counted
from events.limits import BATCH_MAX_EVENTS
from events.record import decode_entry
from events.times import NS_PER_S
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.bus.journal import START, FollowedRecord, Handler, JournalFollower

# Short against a hold, so that nobody pays late only because the demo looks at the clock too rarely.
SLICE_S: Final = 60
ANSWERS_TIMEOUT_S: Final = 90.0
KILL_EVERY_S: Final = (2.0, 4.0)
_encode: Final = msgspec.json.Encoder().encode


class _IdOnly(msgspec.Struct):
    id: str


_id_decoder: Final = msgspec.json.Decoder(_IdOnly)


@dataclass(slots=True)
class Tally:
    """What the demo has seen so far."""

    at_ns: int = 0
    events: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Decisions heard, by kind."""
    latencies_s: list[float] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)


class Day:
    """One simulated day in a market."""

    def __init__(self, scenario: Scenario, publisher: Session, tally: Tally) -> None:
        self.scenario = scenario
        self.tally = tally
        self._publisher = publisher
        self._unanswered: set[str] = set()
        self._answered = asyncio.Event()

    async def hear(self, records: list[FollowedRecord]) -> None:
        """Take in what the market decided."""
        for record in records:
            for raw in record.record.entries:
                entry = decode_entry(raw)
                self.tally.at_ns = entry.at
                self.tally.counts.update(str(x.__struct_config__.tag) for x in entry.decisions if _is_first_page(x))
                self.scenario.hear(entry)
                if entry.event is not None:
                    self._unanswered.discard(_id_decoder.decode(entry.event).id)
        if not self._unanswered:
            self._answered.set()

    async def run(self) -> None:
        """Play the day until nobody has anything in mind any more."""
        until_ns = OPENS_NS
        while not self.scenario.is_over:
            until_ns = max(until_ns, self.scenario.next_at_ns) + SLICE_S * NS_PER_S
            await self._play(self.scenario.take_due(until_ns))

    async def _play(self, acts: list[Act]) -> None:
        """Publish the events of a slice and return when all are answered.

        One after the other, the one that is timed last: so the same day comes to the same end, killed or not.
        """
        self._unanswered = {act.event.id for act in acts}
        self._answered.clear()
        self.tally.events += len(acts)
        asked = next((act for act in reversed(acts) if _family(act) == "order"), None)
        await self.tell([act for act in acts if act is not asked])
        if asked is not None:
            await self._ask(asked)
        try:
            async with asyncio.timeout(ANSWERS_TIMEOUT_S):
                if self._unanswered:
                    await self._answered.wait()
        except TimeoutError:
            events = f"{len(self._unanswered)} of {counted(len(acts), 'event')}"
            raise CommandError(f"{events} had no outcome after {ANSWERS_TIMEOUT_S:.0f} s") from None

    async def tell(self, acts: Iterable[Act]) -> None:
        """Publish events to the intake, a batch for each family, in the order in which they happen."""
        for family, run in groupby(sorted(acts, key=_family), key=_family):
            events = [act.event for act in run]
            for start in range(0, len(events), BATCH_MAX_EVENTS):
                await self._publisher.publish(family, _encode(events[start : start + BATCH_MAX_EVENTS]))

    async def _ask(self, act: Act) -> None:
        began_s = time.perf_counter()
        await self._publisher.submit(_family(act), _encode(act.event))
        self.tally.latencies_s.append(time.perf_counter() - began_s)


@contextlib.asynccontextmanager
async def following(data: Path, nats_url: str, market: str, hear: Handler) -> AsyncIterator[JournalFollower]:
    """Follow a market's journal from its first record on, as the ledger's user, which may only read it."""
    config = ServiceConfig(
        service="demo",
        market=market,
        nats_url=nats_url,
        user=LEDGER,
        nkey_seed_file=data / "keys" / f"{LEDGER}.nk",
        data_dir=data,
    )
    broker = await connect_broker(config)
    follower = JournalFollower(broker, market, LEDGER, START, hear)
    try:
        await follower.start()
        yield follower
    finally:
        await follower.stop()
        await broker.stop()


async def kill_at_random(stack: Stack, tally: Tally, rng: Random, tell: Callable[[str], None]) -> None:
    """Kill the stack's processes, broker included, at random instants, each in turn, until cancelled."""
    while True:
        names = [child.name for child in stack.supervisor.children]
        rng.shuffle(names)
        for name in names:
            await asyncio.sleep(rng.uniform(*KILL_EVERY_S))
            kill(stack, name, tally, tell)


def kill(stack: Stack, name: str, tally: Tally, tell: Callable[[str], None]) -> None:
    """Kill one process, when it runs."""
    if stack.supervisor.kill(name) is not None:
        tally.kills[name] += 1
        tell(f"kill -{signal.SIGKILL.value} {name}")


def _family(act: Act) -> str:
    return str(act.event.__struct_config__.tag).split(".")[1]


def _is_first_page(decision: d.AnyDecision) -> bool:
    return not isinstance(decision, d.Closing) or decision.page == 1
