"""The pipeline under many loads: rates from a backlog and through the gateway, latency at parts of the rate.

fsync on every write and full rules throughout.
"""

import asyncio
import statistics
from typing import Any, Final, NamedTuple

from deploy.cli.output import say
from deploy.stack import Stack
from tests.bench.driving import backlog_per_s, configure, running_stack, submits_per_s, wait_level
from tests.bench.latency import Way, open_loop_ms, percentiles, published_per_s
from tests.bench.loads import BATCHES_OF_100, LOADS, SINGLES
from tests.bench.several_markets import markets_per_s

PARTS_OF_RATE: Final = (0.1, 0.5, 0.9)
NO_RULES: Final = "tests.bench.no_rules"
TURNS: Final = 5
SUBMITS_EACH: Final = 300


class _Sizes(NamedTuple):
    singles: int
    batched: int
    loads: tuple[str, ...]
    in_flight: tuple[int, ...]
    submits_max: int
    published: int
    latency_s: float
    markets: tuple[int, ...]


FULL: Final = _Sizes(
    singles=60_000,
    batched=150_000,
    loads=tuple(load.name for load in LOADS),
    in_flight=(1, 4, 16, 64, 256),
    submits_max=12_000,
    published=15_000,
    latency_s=10,
    markets=(2, 4),
)
QUICK: Final = _Sizes(
    singles=15_000,
    batched=40_000,
    loads=("singles", "batches_of_100", "one_hot_offer", "holds_then_payments", "orders_and_assists"),
    in_flight=(1, 64),
    submits_max=4_000,
    published=4_000,
    latency_s=3,
    markets=(2,),
)


def run(quick: bool = False) -> dict[str, Any]:
    """Return rates by load, the gateway's by requests in flight, latencies at parts of both ways' rates."""
    return asyncio.run(_run(QUICK if quick else FULL))


async def _run(sizes: _Sizes) -> dict[str, Any]:
    singles, no_rules = await _singles_in_turns(sizes.singles)
    rates = {SINGLES.name: singles, **await _rates(sizes)}
    async with running_stack() as stack:
        await configure(stack, SINGLES)
        await asyncio.sleep(1)
        gateway = await _gateway(stack, sizes)
        say("pipeline: published singles")
        published = round(await published_per_s(stack, sizes.published, "p"))
        latencies = {
            "gateway": await _latencies(stack, "gateway", gateway["64"], sizes.latency_s),
            "published": await _latencies(stack, "published", published, sizes.latency_s),
        }
    return {
        "singles_per_s": rates["singles"],
        "batch100_per_s": rates["batches_of_100"],
        "gateway_per_s": gateway["64"],
        "published_per_s": published,
        "no_rules_singles_per_s": no_rules,
        "decided_per_s": rates,
        "gateway_per_s_by_in_flight": gateway,
        **{f"latency_ms_{way}": found for way, found in latencies.items()},
    }


async def _rates(sizes: _Sizes) -> dict[str, int]:
    rates = {}
    for load in LOADS:
        if load.name in sizes.loads and load is not SINGLES:
            say(f"pipeline: {load.name}")
            rates[load.name] = round(await backlog_per_s(load, sizes.singles if load.batch == 1 else sizes.batched))
    for markets in sizes.markets:
        say(f"pipeline: {markets} markets at once")
        found = await markets_per_s(BATCHES_OF_100, sizes.batched // markets, markets)
        rates[f"{markets}_markets_at_once"] = round(found)
    return rates


async def _singles_in_turns(events: int) -> tuple[int, int]:
    """Return decided singles a second with rules and without, medians: one turn differs by a tenth from the next."""
    full: list[float] = []
    none: list[float] = []
    for turn in range(1, TURNS + 1):
        say(f"pipeline: singles with and without rules, turn {turn} of {TURNS}")
        full.append(await backlog_per_s(SINGLES, events))
        none.append(await backlog_per_s(SINGLES, events, NO_RULES))
    return round(statistics.median(full)), round(statistics.median(none))


async def _gateway(stack: Stack, sizes: _Sizes) -> dict[str, int]:
    rates = {}
    for in_flight in sizes.in_flight:
        say(f"pipeline: gateway, {in_flight} in flight")
        submits = min(sizes.submits_max, SUBMITS_EACH * in_flight)
        rates[str(in_flight)] = round(await submits_per_s(stack, in_flight, submits, prefix=f"s{in_flight}"))
        await wait_level(stack)
    return rates


async def _latencies(stack: Stack, way: Way, rate_per_s: int, for_s: float) -> dict[str, Any]:
    """Return the percentiles of the latency at parts of a rate."""
    found = {}
    for part in PARTS_OF_RATE:
        await wait_level(stack)
        say(f"pipeline: {way} at {part:.0%} of its rate")
        per_s = max(1, int(part * rate_per_s))
        times = await open_loop_ms(stack, way, per_s, for_s, prefix=f"{way[0]}{int(part * 100)}")
        found[f"{part:.0%}"] = {"per_s": per_s, **percentiles(times["answer"])}
    return found
