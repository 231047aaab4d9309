"""What the benchmarks of the running service share: a stack, a backlog, requests in flight, a steady rate.

Rates are taken from the broker's own timestamps of the journal: the first record's entries and the time before it
(starting the process) do not count.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.cli.archive import wait_until_archived
from deploy.permissions import MATCHER, OPERATOR, PROVISIONER
from deploy.stack import SERVICES, Stack, StackPlan
from events import subjects
from events.record import decode_entry, decode_record
from tests.bench import traffic
from tests.bench.loads import Load

MARKET: Final = "main"
OFFERS_PER_MESSAGE: Final = 500
ATOMIC_BATCH: Final = 500
PATIENCE_S: Final = 300
LEVEL_S: Final = 1.0


@asynccontextmanager
async def running_stack(services: tuple[str, ...] = SERVICES) -> AsyncIterator[Stack]:
    """Run a stack of its own in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plan = StackPlan(data=Path(folder), market=MARKET, services=services)
        stack = Stack(plan, lambda _: None)
        await stack.start()
        try:
            yield stack
        finally:
            await stack.stop()


async def backlog_per_s(load: Load, events: int) -> float:
    """Return decided events a second from a backlog of `load`, one matcher."""
    async with running_stack(services=(MATCHER,)) as stack, stack.connected(PROVISIONER) as client:
        await configure(stack, load)
        await wait_decided(client)
        skip = (await journal_state(client)).last_seq
        matcher = next(child for child in stack.supervisor.children if child.name == MATCHER)
        await matcher.stop()
        await publish_backlog(stack, load.order_events(events), load.batch)
        await matcher.start()
        await wait_decided(client)
        return await rate(client, skip)


async def configure(stack: Stack, load: Load) -> None:
    """Configure the market and list the offers that the load's orders are for."""
    async with stack.connected(OPERATOR) as operator:
        subject = subjects.intake(MARKET, OPERATOR, "market")
        await operator.jetstream().publish(subject, traffic.configuration())
    async with stack.connected(traffic.PUBLISHER) as publisher:
        subject = subjects.intake(MARKET, traffic.PUBLISHER, "offer")
        for message in traffic.batches(load.offer_events(), OFFERS_PER_MESSAGE):
            await publisher.jetstream().publish(subject, message)


async def publish_backlog(stack: Stack, events: list[bytes], batch: int) -> None:
    """Publish a backlog as fast as the broker takes it: singles in the broker's own atomic batches."""
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    messages = traffic.batches(events, batch)
    async with stack.connected(traffic.PUBLISHER) as client:
        for first in range(0, len(messages), ATOMIC_BATCH):
            chunk = messages[first : first + ATOMIC_BATCH]
            for place, message in enumerate(chunk[:-1], start=1):
                headers = {"Nats-Batch-Id": f"b{first}", "Nats-Batch-Sequence": str(place)}
                await client.publish(subject, message, headers=headers)
            headers = {
                "Nats-Batch-Id": f"b{first}",
                "Nats-Batch-Sequence": str(len(chunk)),
                "Nats-Batch-Commit": "1",
            }
            await client.request(subject, chunk[-1], timeout=30, headers=headers)


async def journal_state(client: Client) -> Any:
    """Return where the journal stands."""
    return (await client.jetstream().stream_info(subjects.journal_stream(MARKET))).state


async def wait_decided(client: Client) -> None:
    """Wait until everything in the intake is covered by a record."""
    jetstream = client.jetstream()
    target = (await jetstream.stream_info(subjects.intake_stream(MARKET))).state.last_seq
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        state = await journal_state(client)
        if state.last_seq:
            found = await jetstream.get_msg(subjects.journal_stream(MARKET), seq=state.last_seq)
            record = decode_record(found.data or b"")
            last = decode_entry(record.entries[-1])
            if record.through.seq >= target and last.index == record.through.events - 1:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError("the backlog is not decided in time")


async def rate(client: Client, skip: int) -> float:
    """Return entries a second over the records after `skip`, the first of them only as the start."""
    jetstream = client.jetstream()
    stream = subjects.journal_stream(MARKET)
    last_seq = (await journal_state(client)).last_seq
    entries, times = 0, []
    for seq in range(skip + 1, last_seq + 1):
        found = await jetstream.get_msg(stream, seq=seq)
        assert found.time is not None
        times.append(found.time.timestamp())
        if seq > skip + 1:
            entries += len(decode_record(found.data or b"").entries)
    return entries / (times[-1] - times[0])


def cpu_of_each_s(stack: Stack) -> dict[str, float]:
    """Return the processor time of each process of the stack, by its name."""
    used_s = {}
    for child in stack.supervisor.children:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        used_s[child.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used_s


async def submits_per_s(stack: Stack, in_flight: int, submits: int, prefix: str = "s") -> float:
    """Return single joins a second through the gateway with so many requests in flight."""
    async with stack.connected(traffic.PUBLISHER) as client:
        events = traffic.orders(submits, prefix=prefix)
        subject = subjects.submit(MARKET, traffic.PUBLISHER, "order")
        inbox = client.new_inbox()
        answered = 0
        done = asyncio.Event()
        waiting = iter(events)

        async def answer(msg: Msg) -> None:
            nonlocal answered
            assert b'"outcomes"' in msg.data[:32], msg.data[:200]
            answered += 1
            if answered == len(events):
                done.set()
            elif (body := next(waiting, None)) is not None:
                await client.publish(subject, body, reply=inbox)

        await client.subscribe(inbox, cb=answer)
        begun_s = time.perf_counter()
        for _ in range(in_flight):
            await client.publish(subject, next(waiting), reply=inbox)
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        return len(events) / (time.perf_counter() - begun_s)


async def latencies_ms(stack: Stack, per_s: int, for_s: float, prefix: str = "t") -> list[float]:
    """Return the times from the planned moment of publishing to the outcome's arrival, at a steady rate.

    Open loop: each event has its moment whether or not those before have been answered, so that a pause counts
    for everything that it delays.
    """
    events = traffic.orders(int(per_s * for_s), prefix=prefix)
    planned_s: dict[str, float] = {}
    found_ms: list[float] = []

    async def arrive(msg: Msg) -> None:
        now_s = time.perf_counter()
        for token in msg.data.split(b'"id":"')[1:]:
            event_id = token.split(b'"', 1)[0].decode()
            if (at_s := planned_s.pop(event_id, None)) is not None:
                found_ms.append((now_s - at_s) * 1_000)

    async with stack.connected(traffic.PUBLISHER) as client:
        await client.subscribe(subjects.outcome(MARKET, traffic.PUBLISHER), cb=arrive)
        await client.flush()
        subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
        begun_s = time.perf_counter() + 0.1
        for place, body in enumerate(events):
            at_s = begun_s + place / per_s
            if (wait_s := at_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            planned_s[f"0193f5e2-7c1a-7cc0-{prefix}-{place:012d}"] = at_s
            await client.publish(subject, body)
        until = time.monotonic() + PATIENCE_S
        while planned_s and time.monotonic() < until:
            await asyncio.sleep(0.05)
    assert len(found_ms) == len(events), f"{len(planned_s)} outcomes never came"
    return found_ms


async def wait_level(stack: Stack) -> None:
    """Wait until everything is decided, archived and told."""
    async with stack.connected(PROVISIONER) as client:
        await wait_decided(client)
        jetstream = client.jetstream()
        target = (await jetstream.stream_info(subjects.intake_stream(MARKET))).state.last_seq
        await wait_until_archived(stack.data, MARKET, target, lambda _: None)
        names = (subjects.outcomes_stream(MARKET), subjects.results_stream(MARKET))
        before: list[int] = []
        while (now := [(await jetstream.stream_info(name)).state.last_seq for name in names]) != before:
            before = now
            await asyncio.sleep(LEVEL_S)
