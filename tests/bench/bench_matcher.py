"""The matcher and the whole stack: rates from a backlog, through the gateway, latency, memory, idle time.

fsync on every write, full rules, one matcher process. Rates are taken from the broker's own timestamps of the
journal: the first record's entries and the time before it (starting the process) do not count.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.permissions import MATCHER, OPERATOR, PROVISIONER
from deploy.stack import SERVICES, Stack, StackPlan
from events import subjects
from events.record import decode_entry, decode_record
from tests.bench import bench_rules, traffic

MARKET: Final = "main"
SINGLES: Final = 60_000
BATCHED: Final = 300_000
SUBMITS: Final = 20_000
IN_FLIGHT: Final = 64
LATENCY_PER_S: Final = 1_000
LATENCY_S: Final = 10
IDLE_S: Final = 10
ATOMIC_BATCH: Final = 500
PATIENCE_S: Final = 300


def run() -> dict[str, Any]:
    """Measure everything and return it under the names that the project's issues use."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    singles = await backlog_per_s(SINGLES, 1)
    batched = await backlog_per_s(BATCHED, 100)
    gateway, p50_ms, p99_ms, idle, cpu_us = await _whole_stack()
    return {
        "singles_per_s": round(singles),
        "batch100_per_s": round(batched),
        "gateway_per_s": round(gateway),
        "p50_ms": round(p50_ms, 2),
        "p99_ms": round(p99_ms, 2),
        "idle_cpu_percent": round(idle, 2),
        "gateway_cpu_us_per_event": {name: round(cost_us, 1) for name, cost_us in cpu_us.items()},
        **bench_rules.run(),
    }


@asynccontextmanager
async def _stack(services: tuple[str, ...] = SERVICES) -> AsyncIterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plan = StackPlan(data=Path(folder), market=MARKET, services=services)
        stack = Stack(plan, lambda _: None)
        await stack.start()
        try:
            yield stack
        finally:
            await stack.stop()


async def backlog_per_s(events: int, batch: int) -> float:
    """Return decided joins a second from a backlog of messages of `batch` events."""
    async with _stack(services=(MATCHER,)) as stack, stack.connected(PROVISIONER) as client:
        await _configure(stack)
        await _wait_decided(client)
        skip = (await _journal_state(client)).last_seq
        matcher = next(child for child in stack.supervisor.children if child.name == MATCHER)
        await matcher.stop()
        await _publish(stack, traffic.orders(events), batch)
        await matcher.start()
        await _wait_decided(client)
        return await _rate(client, skip)


async def _configure(stack: Stack) -> None:
    async with stack.connected(OPERATOR) as operator:
        subject = subjects.intake(MARKET, OPERATOR, "market")
        await operator.jetstream().publish(subject, traffic.configuration())
    async with stack.connected(traffic.PUBLISHER) as publisher:
        subject = subjects.intake(MARKET, traffic.PUBLISHER, "offer")
        await publisher.jetstream().publish(subject, b"[" + b",".join(traffic.offers()) + b"]")


async def _publish(stack: Stack, events: list[bytes], batch: int) -> None:
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


async def _journal_state(client: Client) -> Any:
    return (await client.jetstream().stream_info(subjects.journal_stream(MARKET))).state


async def _wait_decided(client: Client) -> None:
    """Wait until everything in the intake is covered by a record."""
    jetstream = client.jetstream()
    target = (await jetstream.stream_info(subjects.intake_stream(MARKET))).state.last_seq
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        state = await _journal_state(client)
        if state.last_seq:
            found = await jetstream.get_msg(subjects.journal_stream(MARKET), seq=state.last_seq)
            record = decode_record(found.data or b"")
            last = decode_entry(record.entries[-1])
            if record.through.seq >= target and last.index == record.through.events - 1:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError("the backlog is not decided in time")


async def _rate(client: Client, skip: int) -> float:
    """Return entries a second over the records after `skip`, the first of them only as the start."""
    jetstream = client.jetstream()
    stream = subjects.journal_stream(MARKET)
    last_seq = (await _journal_state(client)).last_seq
    entries, times = 0, []
    for seq in range(skip + 1, last_seq + 1):
        found = await jetstream.get_msg(stream, seq=seq)
        assert found.time is not None
        times.append(found.time.timestamp())
        if seq > skip + 1:
            entries += len(decode_record(found.data or b"").entries)
    return entries / (times[-1] - times[0])


async def _whole_stack() -> tuple[float, float, float, float, dict[str, float]]:
    async with _stack() as stack:
        await _configure(stack)
        await asyncio.sleep(2)
        idle = await _idle_percent(stack)
        before_s = _cpu_of_each_s(stack)
        gateway = await _submits_per_s(stack)
        await asyncio.sleep(3)
        cpu_us = {name: (now_s - before_s[name]) / SUBMITS * 1e6 for name, now_s in _cpu_of_each_s(stack).items()}
        latencies_ms = await _latencies_ms(stack)
    quantiles = statistics.quantiles(latencies_ms, n=100)
    return gateway, quantiles[49], quantiles[98], idle, cpu_us


async def _idle_percent(stack: Stack) -> float:
    """Return the processor time of all processes together, as a share of one core."""
    before_s = sum(_cpu_of_each_s(stack).values())
    await asyncio.sleep(IDLE_S)
    return (sum(_cpu_of_each_s(stack).values()) - before_s) / IDLE_S * 100


def _cpu_of_each_s(stack: Stack) -> dict[str, float]:
    """Return the processor time of each process of the stack, by its name."""
    used_s = {}
    for child in stack.supervisor.children:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        used_s[child.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used_s


async def _submits_per_s(stack: Stack) -> float:
    """Return single joins a second through the gateway with 64 requests in flight."""
    async with stack.connected(traffic.PUBLISHER) as client:
        events = traffic.orders(SUBMITS, prefix="s")
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
        for _ in range(IN_FLIGHT):
            await client.publish(subject, next(waiting), reply=inbox)
        await asyncio.wait_for(done.wait(), PATIENCE_S)
        return len(events) / (time.perf_counter() - begun_s)


async def _latencies_ms(stack: Stack) -> list[float]:
    """Return the times from the planned moment of publishing to the outcome's arrival, at a steady rate.

    Open loop: each event has its moment whether or not those before have been answered, so that a pause counts
    for everything that it delays.
    """
    events = traffic.orders(LATENCY_PER_S * LATENCY_S, prefix="t")
    planned_s: dict[str, float] = {}
    latencies_ms: list[float] = []

    async def arrive(msg: Msg) -> None:
        now_s = time.perf_counter()
        for token in msg.data.split(b'"id":"')[1:]:
            event_id = token.split(b'"', 1)[0].decode()
            if (at_s := planned_s.pop(event_id, None)) is not None:
                latencies_ms.append((now_s - at_s) * 1_000)

    async with stack.connected(traffic.PUBLISHER) as client:
        await client.subscribe(subjects.outcome(MARKET, traffic.PUBLISHER), cb=arrive)
        await client.flush()
        subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
        begun_s = time.perf_counter() + 0.1
        for place, body in enumerate(events):
            at_s = begun_s + place / LATENCY_PER_S
            if (wait_s := at_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            planned_s[f"0193f5e2-7c1a-7cc0-t-{place:012d}"] = at_s
            await client.publish(subject, body)
        until = time.monotonic() + PATIENCE_S
        while planned_s and time.monotonic() < until:
            await asyncio.sleep(0.05)
    assert len(latencies_ms) == len(events), f"{len(planned_s)} outcomes never came"
    return latencies_ms
