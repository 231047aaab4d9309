"""What goes wrong in a cluster, and how long the journal stands still each time."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

from events import subjects
from tests.cluster.setting import PATIENCE_S, Cluster

SETTLED_S = 0.1
"""A record that was on its way when something was killed may still arrive; the next one after that counts."""


async def _next_record_s(cluster: Cluster, strike: Callable[[], Awaitable[None]]) -> float:
    """Do something bad, and return how long after it the next record was stored, by the broker's clock."""
    journal = subjects.journal_stream(cluster.stack.market)
    before = await cluster.last_seq(journal)
    struck_at_s = time.time()
    await strike()
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        await asyncio.sleep(0.2)
        if await cluster.last_seq(journal) == before:
            continue
        later = [at_s for _, at_s in await cluster.record_times_s(before) if at_s > struck_at_s + SETTLED_S]
        if later:
            return later[0] - struck_at_s
    raise AssertionError(f"no record for {PATIENCE_S} s: {cluster.said}")


async def kill_leader(cluster: Cluster) -> float:
    """Kill -9 the matcher that leads; return how long until the next record."""
    name = await cluster.leader()

    async def strike() -> None:
        os.kill(cluster.pid(name), signal.SIGKILL)

    return await _next_record_s(cluster, strike)


async def kill_node(cluster: Cluster, number: int | None = None) -> float:
    """Kill -9 a node, that which leads the journal if none is named; return how long until the next record."""
    journal = subjects.journal_stream(cluster.stack.market)
    found = await cluster.node_that_leads(journal) if number is None else number

    async def strike() -> None:
        os.kill(cluster.pid(f"node-{found}"), signal.SIGKILL)

    return await _next_record_s(cluster, strike)


async def until_replicated(cluster: Cluster) -> bool:
    """Wait until all nodes hold all streams again, so that the next fault meets one that is whole; tell whether."""
    streams = [name(cluster.stack.market) for name in (subjects.intake_stream, subjects.journal_stream)]
    return all([await _is_replicated_in_time(cluster, stream) for stream in streams])


async def _is_replicated_in_time(cluster: Cluster, stream: str) -> bool:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        await cluster.last_seq(stream)
        if await cluster.is_replicated(stream):
            return True
        await asyncio.sleep(0.2)
    return False


async def stop_leader(cluster: Cluster, for_s: float) -> float:
    """SIGSTOP the matcher that leads, and let it go on after `for_s`; return how long until the next record."""
    name = await cluster.leader()
    pid = cluster.pid(name)

    async def strike() -> None:
        os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(for_s, os.kill, pid, signal.SIGCONT)

    return await _next_record_s(cluster, strike)


async def cut_off_leading_node(cluster: Cluster, for_s: float) -> float:
    """Separate the node that leads the journal from the others for `for_s`; return how long until the next record."""
    number = await cluster.node_that_leads(subjects.journal_stream(cluster.stack.market))

    async def strike() -> None:
        cluster.ways.cut_off(number)
        asyncio.get_running_loop().call_later(for_s, cluster.ways.heal)

    return await _next_record_s(cluster, strike)


def pause_s(chance: random.Random) -> float:
    """Return a pause between two faults, of which nothing may depend."""
    return chance.uniform(0.5, 2.0)
