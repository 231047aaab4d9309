"""Twice what the whole stack sustains, for minutes: latency may grow, memory may not, and afterwards it drains.

The market forgets after a minute, so that its state is bounded by the rate and what grows is a queue. Publishers do
not wait and do not come again: what the broker refuses is counted, and what it took must be decided.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import ServiceUnavailableError

from deploy.permissions import MATCHER, OPERATOR, PROVISIONER
from deploy.provision import StreamLimits
from deploy.reach import http_get
from deploy.stack import Stack, StackPlan
from events import subjects
from services.bus.asking import decode_ack
from tests.bench import traffic
from tests.bench.driving import MARKET, cpu_of_each_s, journal_state, wait_decided, wait_level
from tests.bench.loads import OFFERS_PER_MESSAGE

BATCH: Final = 100
INTAKE_MAX_BYTES: Final = 128 * 1024 * 1024
"""Small, so that some minutes fill it: then publishers are refused."""
MEMORY_S: Final = 60
SLACK_S: Final = 5
MEMBERS: Final = 2_000
"""The broker keeps an index of members' subjects, the matcher a count for each member and offer: few, so that both are
full before the peak begins, and what grows in it is a queue."""
CALIBRATION_S: Final = 75
"""Longer than the market remembers: then its state has the size that it keeps."""
IN_FLIGHT: Final = 16
FULL_PAUSE_S: Final = 0.2
TIMES_SUSTAINED: Final = 2
LOOK_S: Final = 1.0
WAITING_MAX: Final = 4_096
"""Publishes that wait for an answer of the broker; who has so many sends no more and counts what it did not send."""
MIB: Final = 1024 * 1024


def run(seconds: int = 600) -> dict[str, Any]:
    """Return the sustained rate, what came of twice as much, memory of each process, and how fast it drained."""
    return asyncio.run(_run(seconds))


async def _run(seconds: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="bench-") as folder:
        limits = StreamLimits(intake_max_bytes=INTAKE_MAX_BYTES)
        stack = Stack(StackPlan(data=Path(folder), market=MARKET, limits=limits), lambda _: None)
        await stack.start()
        try:
            return await _measure(stack, seconds)
        finally:
            await stack.stop()


async def _measure(stack: Stack, seconds: int) -> dict[str, Any]:
    await _configure(stack)
    async with stack.connected(traffic.PUBLISHER) as publisher, stack.connected(PROVISIONER) as looking:
        messages = _messages()
        sustained_per_s = await _sustained_per_s(stack, publisher, messages)
        # The state of a market at the rate that it sustains, before it gets more than that.
        looks = _Looks(stack, looking)
        looks.begin()
        offered_per_s = TIMES_SUSTAINED * sustained_per_s
        answers = await _push(publisher, messages, offered_per_s, seconds)
        drained_s, backlog = await _drain(looking)
        await wait_level(stack)
        await looks.end()
        peak = looks.peak()
        decided = await _decided(looking)
        return {
            "sustained_per_s": round(sustained_per_s),
            "offered_per_s": round(offered_per_s),
            "seconds": seconds,
            "events_taken": answers["taken"] * BATCH,
            "events_refused": answers["refused"] * BATCH,
            "events_not_sent": answers["not_sent"] * BATCH,
            "events_unanswered": answers["unanswered"] * BATCH,
            "intake_first_undecided_age_s_max": round(looks.age_s_max, 1),
            "backlog_events_at_the_end": backlog,
            "drained_s": round(drained_s, 1),
            "drain_per_s": round(backlog / drained_s) if drained_s > 0 else None,
            "events_decided_in_all": decided,
            "memory_mib_first_third": looks.third(0),
            "memory_mib_last_third": looks.third(2),
            "memory_mib_peak": peak,
            "health": dict(looks.health),
            "cpu_s": {name: round(used_s, 1) for name, used_s in cpu_of_each_s(stack).items()},
        }


async def _configure(stack: Stack) -> None:
    settings = msgspec.json.decode(traffic.configuration())
    settings["data"] |= {"replay_window_s": MEMORY_S, "order_memory_s": MEMORY_S, "future_slack_s": SLACK_S}
    async with stack.connected(OPERATOR) as operator:
        await operator.jetstream().publish(subjects.intake(MARKET, OPERATOR, "market"), msgspec.json.encode(settings))
    async with stack.connected(traffic.PUBLISHER) as publisher:
        for message in traffic.batches(traffic.offers(), OFFERS_PER_MESSAGE):
            await publisher.jetstream().publish(subjects.intake(MARKET, traffic.PUBLISHER, "offer"), message)


def _messages() -> Iterator[bytes]:
    """Yield batches of orders without end, each with the time when it is made."""
    for number in itertools.count():
        (message,) = traffic.batches(traffic.orders(BATCH, seed=number, prefix=f"v{number}", members=MEMBERS), BATCH)
        yield message


async def _sustained_per_s(stack: Stack, publisher: Client, messages: Iterator[bytes]) -> float:
    """Return how many events a second are decided while publishers wait for the broker, and everything follows.

    A full intake holds them back as well: they come again until it takes what they have.
    """
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    jetstream = publisher.jetstream()
    begun_s, sent = time.perf_counter(), 0

    async def one() -> None:
        nonlocal sent
        while time.perf_counter() - begun_s < CALIBRATION_S:
            await _publish_until_taken(jetstream, subject, next(messages))
            sent += 1

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    await wait_level(stack)
    return sent * BATCH / (time.perf_counter() - begun_s)


async def _publish_until_taken(jetstream: JetStreamContext, subject: str, message: bytes) -> None:
    while True:
        try:
            await jetstream.publish(subject, message, timeout=30)
            return
        except ServiceUnavailableError:
            await asyncio.sleep(FULL_PAUSE_S)


async def _push(publisher: Client, messages: Iterator[bytes], per_s: float, seconds: int) -> Counter[str]:
    """Publish at a steady rate whatever the answers are; return how many messages were taken and refused."""
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    answers: Counter[str] = Counter()
    waiting = 0

    async def answered(msg: Msg) -> None:
        nonlocal waiting
        waiting -= 1
        answers["taken" if decode_ack(msg.data).error is None else "refused"] += 1

    inbox = publisher.new_inbox()
    subscription = await publisher.subscribe(inbox, cb=answered)
    begun_s = time.perf_counter()
    for place in range(int(per_s * seconds / BATCH)):
        wait_s = begun_s + place * BATCH / per_s - time.perf_counter()
        await asyncio.sleep(max(0.0, wait_s))
        if waiting >= WAITING_MAX:
            answers["not_sent"] += 1
            continue
        waiting += 1
        await publisher.publish(subject, next(messages), reply=inbox)
        if time.perf_counter() - begun_s > seconds:
            break
    until_s = time.monotonic() + 10
    while waiting and time.monotonic() < until_s:
        await asyncio.sleep(0.05)
    answers["unanswered"] = waiting
    await subscription.unsubscribe()
    return answers


async def _drain(looking: Client) -> tuple[float, int]:
    """Wait until everything taken is decided; return the seconds that it took, and how many events waited."""
    intake = (await looking.jetstream().stream_info(subjects.intake_stream(MARKET))).state.last_seq
    record = await _last_record(looking)
    begun_s = time.perf_counter()
    await wait_decided(looking)
    return time.perf_counter() - begun_s, max(0, intake - record) * BATCH


async def _last_record(looking: Client) -> int:
    """Return the last message of the intake that is decided."""
    found = await looking.jetstream().get_msg(
        subjects.journal_stream(MARKET), seq=(await journal_state(looking)).last_seq
    )
    return msgspec.json.decode(found.data or b"", type=_Reached).through.seq


class _Through(msgspec.Struct):
    seq: int
    at: int


class _Reached(msgspec.Struct):
    """As much of a record as tells how far it reaches."""

    through: _Through


async def _decided(looking: Client) -> int:
    return (await _last_record(looking)) * BATCH


class _Looks:
    """Memory, health and the age of what waits, looked at each second."""

    def __init__(self, stack: Stack, looking: Client) -> None:
        self._stack = stack
        self._looking = looking
        self._memory: list[dict[str, int]] = []
        self.age_s_max = 0.0
        self.health: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._task = asyncio.create_task(self._look())

    async def end(self) -> None:
        """Look no more."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def third(self, which: int) -> dict[str, int]:
        """Return the highest resident memory of each process in a third of the looks, in MiB."""
        size = max(1, len(self._memory) // 3)
        part = self._memory[which * size : (which + 1) * size] or self._memory[-1:]
        return {name: max(look.get(name, 0) for look in part) for name in part[0]}

    def peak(self) -> dict[str, int]:
        """Return the high-water mark of each process since it began, in MiB."""
        return self._resident("VmHWM")

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._memory.append(self._resident("VmRSS"))
            found = await self._looking.jetstream().get_msg(
                subjects.journal_stream(MARKET), seq=(await journal_state(self._looking)).last_seq
            )
            through = msgspec.json.decode(found.data or b"", type=_Reached).through
            intake = await self._looking.jetstream().stream_info(subjects.intake_stream(MARKET))
            if intake.state.last_seq > through.seq:
                self.age_s_max = max(self.age_s_max, time.time() - through.at / 1e9)
            _, body = await http_get(f"{self._stack.address.services[MATCHER]}/healthz")
            self.health[msgspec.json.decode(body)["status"]] += 1

    def _resident(self, field: str) -> dict[str, int]:
        found = {}
        for child in self._stack.supervisor.children:
            for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    found[child.name] = int(line.split()[1]) // 1024
        return found
