"""The matcher and the whole stack: rates from a backlog, through the gateway, latency, memory, idle time.

fsync on every write, full rules, one matcher process.
"""

import asyncio
from typing import Any, Final

from deploy.stack import Stack
from tests.bench import bench_rules
from tests.bench.driving import backlog_per_s, configure, cpu_of_each_s, running_stack, submits_per_s
from tests.bench.latency import open_loop_ms, percentiles
from tests.bench.loads import BATCHES_OF_100, SINGLES

SINGLE_EVENTS: Final = 60_000
BATCHED_EVENTS: Final = 300_000
SUBMITS: Final = 20_000
IN_FLIGHT: Final = 64
LATENCY_PER_S: Final = 1_000
LATENCY_S: Final = 10
IDLE_S: Final = 10


def run() -> dict[str, Any]:
    """Measure everything and return it under the names that the project's issues use."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    singles = await backlog_per_s(SINGLES, SINGLE_EVENTS)
    batched = await backlog_per_s(BATCHES_OF_100, BATCHED_EVENTS)
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


async def _whole_stack() -> tuple[float, float, float, float, dict[str, float]]:
    async with running_stack() as stack:
        await configure(stack, SINGLES)
        await asyncio.sleep(2)
        idle = await _idle_percent(stack)
        before_s = cpu_of_each_s(stack)
        gateway = await submits_per_s(stack, IN_FLIGHT, SUBMITS)
        await asyncio.sleep(3)
        cpu_us = {name: (now_s - before_s[name]) / SUBMITS * 1e6 for name, now_s in cpu_of_each_s(stack).items()}
        times = await open_loop_ms(stack, "published", LATENCY_PER_S, LATENCY_S, prefix="t")
    found = percentiles(times["answer"])
    return gateway, found["p50"], found["p99"], idle, cpu_us


async def _idle_percent(stack: Stack) -> float:
    """Return the processor time of all processes together, as a share of one core."""
    before_s = sum(cpu_of_each_s(stack).values())
    await asyncio.sleep(IDLE_S)
    return (sum(cpu_of_each_s(stack).values()) - before_s) / IDLE_S * 100
