"""The whole stack: latency of singles at a steady rate, and the rate that everything keeps up with.

fsync on every write, full rules, ledger and notifier beside the matcher, all on one machine.
"""

import asyncio
from typing import Any, Final, NamedTuple

from deploy.cli.output import say
from deploy.stack import Stack
from tests.bench.driving import configure, cpu_of_each_s, running_stack, wait_level
from tests.bench.latency import open_loop_ms, percentiles
from tests.bench.loads import BATCHES_OF_100, SINGLES
from tests.bench.sustained import Held, hold

SINGLES_PER_S: Final = 2_000


class _Sizes(NamedTuple):
    latency_s: float
    rates_per_s: tuple[int, ...]
    short_s: int
    long_s: int


QUICK: Final = _Sizes(latency_s=3, rates_per_s=(10_000, 20_000), short_s=4, long_s=8)
RATES_PER_S: Final = (10_000, 15_000, 20_000, 25_000, 30_000, 40_000)
LATENCY_S: Final = 20
SHORT_S: Final = 8


def run(quick: bool = False, seconds: int = 300) -> dict[str, Any]:
    """Return the latency at 2,000 singles a second, the rate sustained for `seconds`, and where the CPU goes."""
    sizes = QUICK if quick else _Sizes(LATENCY_S, RATES_PER_S, SHORT_S, seconds)
    return asyncio.run(_run(sizes))


async def _run(sizes: _Sizes) -> dict[str, Any]:
    latency, cpu_us = await _latency(sizes.latency_s)
    answer, ack = latency["answer"], latency["ack"]
    held, tried = await _sustained(sizes)
    singles, batched = f"{SINGLES_PER_S:,} singles/s", f"batches of 100 at {held.per_s:,} events/s"
    return {
        "stack_per_s": held.per_s if held.is_held else 0,
        "stack_seconds": held.seconds,
        "stack_behind_s": held.behind_s,
        "stack_growth_share": held.growth_share,
        "stack_cores_used": held.cores_used,
        "stack_tried": [one.facts() for one in tried],
        "p50_ms": answer["p50"],
        "p99_ms": answer["p99"],
        "ack_p50_ms": ack["p50"],
        "latency_ms": {
            f"publish to outcome, {singles}": answer,
            f"publish to the broker's acknowledgement, {singles}": ack,
            f"the same with nobody but the broker, {singles}": latency["broker_alone"],
            f"the sender behind its own plan, {singles}": latency["sender"],
        },
        "cpu_us_per_event": {singles: cpu_us, batched: held.cpu_us_per_event},
        "lag_events": held.lags,
    }


async def _latency(for_s: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return percentiles at the steady rate, and processor time of each process in µs an event."""
    say(f"stack: the broker's own acknowledgement at {SINGLES_PER_S:,} singles/s")
    async with running_stack(services=()) as stack:
        alone = await open_loop_ms(stack, "acknowledged", SINGLES_PER_S, for_s, prefix="b")
    say(f"stack: {SINGLES_PER_S:,} singles/s, publish to outcome")
    async with running_stack() as stack:
        await configure(stack, SINGLES)
        # What a process does for the first time takes longer.
        await open_loop_ms(stack, "published", SINGLES_PER_S / 4, 2, prefix="w")
        await wait_level(stack)
        before_s = cpu_of_each_s(stack)
        times = await open_loop_ms(stack, "published", SINGLES_PER_S, for_s, prefix="t")
        await wait_level(stack)
        cpu_us = _us_per_event(stack, before_s, int(SINGLES_PER_S * for_s))
    times["broker_alone"], times["sender"] = alone["ack"], times.pop("late")
    return {name: {"per_s": SINGLES_PER_S, **percentiles(found)} for name, found in times.items()}, cpu_us


def _us_per_event(stack: Stack, before_s: dict[str, float], events: int) -> dict[str, float]:
    return {name: round((now_s - before_s[name]) / events * 1e6, 1) for name, now_s in cpu_of_each_s(stack).items()}


async def _sustained(sizes: _Sizes) -> tuple[Held, list[Held]]:
    """Return the highest rate that holds for long, and all that were tried: first each for a short while.

    What held for a short while and does not hold for long gives way to the next lower one.
    """
    tried = []
    for per_s in sizes.rates_per_s:
        tried.append(await _hold(per_s, sizes.short_s))
        if not tried[-1].is_held:
            break
    held_shortly = [one.per_s for one in tried if one.is_held] or [sizes.rates_per_s[0] // 2]
    for per_s in reversed(held_shortly):
        tried.append(await _hold(per_s, sizes.long_s))
        if tried[-1].is_held:
            break
    return tried[-1], tried


async def _hold(per_s: int, for_s: int) -> Held:
    say(f"stack: {per_s:,} events/s in batches of 100 for {for_s} s")
    async with running_stack() as stack:
        await configure(stack, BATCHES_OF_100)
        await wait_level(stack)
        held = await hold(stack, per_s, for_s)
    how = "held" if held.is_held else "did not hold"
    say(f"stack: {per_s:,} events/s {how}, {held.behind_s:.1f} s behind at the end")
    return held
