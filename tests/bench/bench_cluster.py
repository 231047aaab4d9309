"""The pipeline over three brokers that each hold every stream (R3), fsync on every write, all on this machine."""

import asyncio
from dataclasses import fields
from typing import Any, Final, NamedTuple

from deploy.cli.output import say
from deploy.permissions import MATCHER
from deploy.stack import StackPlan
from tests.bench.driving import (
    configure,
    cpu_of_each_s,
    decide_backlog,
    per_s,
    running_stack,
    submits_per_s,
    wait_level,
)
from tests.bench.latency import open_loop_ms, percentiles
from tests.bench.loads import BATCHES_OF_100, SINGLES

NODES: Final = 3
IN_FLIGHT: Final = 64
LATENCY_PER_S: Final = 300


class _Sizes(NamedTuple):
    singles: int
    batched: int
    submits: int
    latency_s: float


FULL: Final = _Sizes(singles=40_000, batched=150_000, submits=8_000, latency_s=10)
QUICK: Final = _Sizes(singles=15_000, batched=40_000, submits=2_000, latency_s=4)


def run(quick: bool = False) -> dict[str, Any]:
    """Return rates and latency over three nodes, each holding everything."""
    if "nodes" not in {field.name for field in fields(StackPlan)}:
        return {"not_measured": "this checkout runs no cluster of brokers"}
    return asyncio.run(_run(QUICK if quick else FULL))


async def _run(sizes: _Sizes) -> dict[str, Any]:
    rates = {}
    for load, events in ((SINGLES, sizes.singles), (BATCHES_OF_100, sizes.batched)):
        say(f"cluster: {load.name}")
        async with running_stack((MATCHER,), nodes=NODES) as stack:
            rates[load.name] = round(per_s([await decide_backlog(stack, load, events)]))
    async with running_stack(nodes=NODES) as stack:
        await configure(stack, SINGLES)
        await wait_level(stack)
        say(f"cluster: gateway, {IN_FLIGHT} in flight")
        before_s = cpu_of_each_s(stack)
        gateway = await submits_per_s(stack, IN_FLIGHT, sizes.submits)
        await wait_level(stack)
        now_s = cpu_of_each_s(stack)
        say(f"cluster: {LATENCY_PER_S} singles/s, publish to outcome")
        times = await open_loop_ms(stack, "published", LATENCY_PER_S, sizes.latency_s, prefix="t")
    return {
        "nodes": NODES,
        "decided_per_s": rates,
        "gateway_per_s": round(gateway),
        "gateway_cpu_us_per_event": {
            name: round((now_s[name] - used_s) / sizes.submits * 1e6, 1) for name, used_s in before_s.items()
        },
        f"latency_ms_at_{LATENCY_PER_S}_singles_per_s": percentiles(times["answer"]),
        f"ack_ms_at_{LATENCY_PER_S}_singles_per_s": percentiles(times["ack"]),
    }
