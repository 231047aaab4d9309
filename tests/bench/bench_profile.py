"""Where the processor time goes: the rules alone, and each process of the whole stack under a steady load.

The profiler slows what has many small functions most: shares, not times, are what to look at.
"""

import asyncio
import json
from typing import Any, Final
from unittest import mock

from deploy.cli.output import say
from deploy.plan import MODULES
from deploy.supervisor import ServiceChild
from tests.bench import traffic
from tests.bench.bench_rules import Market
from tests.bench.driving import configure, running_stack, wait_level
from tests.bench.loads import BATCHES_OF_100
from tests.bench.profiled import functions, new_profile
from tests.bench.sustained import hold

EVENTS: Final = 50_000
PER_S: Final = 5_000
FOR_S: Final = 10
QUICKER: Final = 3
PROFILED: Final = "tests.bench.profiled"


def run(quick: bool = False) -> dict[str, Any]:
    """Return the functions that take most, of the rules and of each service."""
    quicker = QUICKER if quick else 1
    say("profile: the rules")
    found = {"rules, batches of 100": rules(EVENTS // quicker)}
    found |= asyncio.run(_services(FOR_S / quicker))
    return {"top_functions": found}


def rules(events: int) -> list[dict[str, Any]]:
    """Return where the time of the rules goes: plain orders in batches of 100."""
    market = Market()
    bodies = traffic.batches(traffic.orders(events), BATCHES_OF_100.batch)
    profile = new_profile()
    profile.enable()
    market.decide_orders(bodies)
    profile.disable()
    return _per_event(functions([profile]), events)


async def _services(for_s: float) -> dict[str, list[dict[str, Any]]]:
    say(f"profile: each service at {PER_S:,} events/s in batches of 100")
    with mock.patch.dict(MODULES, dict.fromkeys(MODULES, PROFILED)):
        return await _profiles(for_s)


async def _profiles(for_s: float) -> dict[str, list[dict[str, Any]]]:
    async with running_stack() as stack:
        services = [child for child in stack.supervisor.children if isinstance(child, ServiceChild)]
        await configure(stack, BATCHES_OF_100)
        await wait_level(stack)
        held = await hold(stack, PER_S, for_s)
        files = {child.name: stack.data / f"profile-{child.name}.json" for child in services}
        for child in services:
            await child.stop()
        events = int(held.seconds * PER_S)
        return {
            f"{name}, batches of 100": _per_event(json.loads(file.read_bytes()), events)
            for name, file in files.items()
            if file.exists()
        }


def _per_event(found: list[dict[str, Any]], events: int) -> list[dict[str, Any]]:
    return [
        {**{key: one[key] for key in ("function", "percent")}, "calls_per_event": round(one["calls"] / events, 3)}
        for one in found
    ]
