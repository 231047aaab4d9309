"""The pipeline under many loads: rates from a backlog and through the gateway, latency at parts of the rate.

fsync on every write and full rules throughout. Latency is measured open-loop: each event has its planned moment, and a
pause counts for everything that it delays, so that nothing is omitted by coordination.
"""

import asyncio
import statistics
import time
from typing import Any, Final

from deploy.stack import Stack
from events import subjects
from tests.bench import traffic
from tests.bench.driving import (
    MARKET,
    backlog_per_s,
    configure,
    cpu_of_each_s,
    latencies_ms,
    running_stack,
    submits_per_s,
    wait_level,
)
from tests.bench.loads import BATCHES_OF_100, LOADS, SINGLES

EVENTS_SINGLE: Final = 40_000
EVENTS_BATCHED: Final = 150_000
IN_FLIGHT: Final = (1, 4, 16, 64, 256)
SUBMITS_EACH: Final = 300
SUBMITS_MAX: Final = 12_000
PARTS_OF_RATE: Final = (0.1, 0.5, 0.9)
LATENCY_S: Final = 10
SUSTAINED_PER_S: Final = (10_000, 15_000, 20_000, 25_000, 30_000, 40_000)
SUSTAINED_S: Final = 60
BEHIND_MAX_S: Final = 3.0


def run() -> dict[str, Any]:
    """Return rates by load, the gateway's by requests in flight, latencies at parts of its rate, what is sustained."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    rates = {
        load.name: round(await backlog_per_s(load, EVENTS_SINGLE if load.batch == 1 else EVENTS_BATCHED))
        for load in LOADS
    }
    async with running_stack() as stack:
        await configure(stack, SINGLES)
        await asyncio.sleep(1)
        gateway = {}
        for in_flight in IN_FLIGHT:
            submits = min(SUBMITS_MAX, SUBMITS_EACH * in_flight)
            gateway[str(in_flight)] = round(await submits_per_s(stack, in_flight, submits, prefix=f"s{in_flight}"))
        latency = {}
        for part in PARTS_OF_RATE:
            await wait_level(stack)
            per_s = int(part * gateway["64"])
            found = await latencies_ms(stack, per_s, LATENCY_S, prefix=f"t{int(part * 100)}")
            latency[f"{part:.0%}"] = {"per_s": per_s, **percentiles(found)}
    return {
        "singles_per_s": rates["singles"],
        "batch100_per_s": rates["batches_of_100"],
        "gateway_per_s": gateway["64"],
        **await sustained(),
        "decided_per_s": rates,
        "gateway_per_s_by_in_flight": gateway,
        "latency_ms_at_part_of_gateway_rate": latency,
    }


def percentiles(found_ms: list[float]) -> dict[str, float]:
    """Return the percentiles that reports show, in ms."""
    cuts = statistics.quantiles(found_ms, n=1_000)
    shown = {"p50": 499, "p90": 899, "p99": 989, "p99.9": 998}
    return {name: round(cuts[at], 2) for name, at in shown.items()} | {"max": round(max(found_ms), 2)}


async def sustained() -> dict[str, Any]:
    """Return the highest rate, in batches of 100, that everything keeps up with for a minute, and where the CPU goes.

    Kept up with means: when the last event has been published, all are decided, archived and told within seconds.
    """
    best: dict[str, Any] = {"stack_per_s": 0}
    for per_s in SUSTAINED_PER_S:
        async with running_stack() as stack:
            await configure(stack, BATCHES_OF_100)
            before_s = cpu_of_each_s(stack)
            events, behind_s = await _push(stack, per_s)
            spent_s = cpu_of_each_s(stack)
        if behind_s > BEHIND_MAX_S:
            break
        cpu_us = {name: round((spent_s[name] - before_s[name]) / events * 1e6, 1) for name in spent_s}
        best = {"stack_per_s": per_s, "stack_behind_s": round(behind_s, 2), "stack_cpu_us_per_event": cpu_us}
    return best


async def _push(stack: Stack, per_s: int) -> tuple[int, float]:
    """Publish at a steady rate; return how many events, and how long after the planned end all was done."""
    events = per_s * SUSTAINED_S
    messages = traffic.batches(traffic.orders(events, prefix="u"), BATCHES_OF_100.batch)
    subject = subjects.intake(MARKET, traffic.PUBLISHER, "order")
    async with stack.connected(traffic.PUBLISHER) as client:
        jetstream = client.jetstream(publish_async_max_pending=256)
        begun_s = time.perf_counter()
        for place, message in enumerate(messages):
            wait_s = begun_s + place * BATCHES_OF_100.batch / per_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await jetstream.publish_async(subject, message, wait_stall=60)
        await jetstream.publish_async_completed()
    await wait_level(stack)
    return events, time.perf_counter() - begun_s - SUSTAINED_S
