"""The broker alone, as the limit: how many joins a second it stores durably, without anybody deciding them."""

import asyncio
import time
from typing import Final

import nats

from tests.bench import traffic
from tests.bench.peers import PeerResult
from tests.bench.peers.plain_broker import SUBJECT, plain_broker

SINGLES: Final = 30_000
WINDOW: Final = 1_000
QUICKER: Final = 4
ATOMIC: Final = 100_000
ATOMIC_BATCH: Final = 500


def measure(quick: bool) -> dict[str, PeerResult]:
    """Return the rates of single messages in a window of many, and of the broker's own atomic batches."""
    return asyncio.run(_measure(QUICKER if quick else 1))


async def _measure(quicker: int) -> dict[str, PeerResult]:
    async with plain_broker() as url:
        singles = await _singles_per_s(url, SINGLES // quicker)
        atomic = await _atomic_per_s(url, ATOMIC // quicker)
    return {"broker_singles": PeerResult(singles), "broker_atomic": PeerResult(atomic)}


async def _singles_per_s(url: str, singles: int) -> float:
    client = await nats.connect(url)
    jetstream = client.jetstream(publish_async_max_pending=WINDOW)
    bodies = traffic.orders(singles)
    begun_s = time.perf_counter()
    acks = [await jetstream.publish_async(SUBJECT, body, wait_stall=60) for body in bodies]
    await asyncio.gather(*acks)
    took_s = time.perf_counter() - begun_s
    await client.close()
    return singles / took_s


async def _atomic_per_s(url: str, events: int) -> float:
    client = await nats.connect(url, pending_size=64 * 1024 * 1024)
    bodies = traffic.orders(events)
    begun_s = time.perf_counter()
    for first in range(0, events, ATOMIC_BATCH):
        batch = bodies[first : first + ATOMIC_BATCH]
        for place, body in enumerate(batch[:-1], 1):
            headers = {"Nats-Batch-Id": f"b{first}", "Nats-Batch-Sequence": str(place)}
            await client.publish(SUBJECT, body, headers=headers)
        commit = {"Nats-Batch-Id": f"b{first}", "Nats-Batch-Sequence": str(len(batch)), "Nats-Batch-Commit": "1"}
        await client.request(SUBJECT, batch[-1], headers=commit, timeout=30)
    took_s = time.perf_counter() - begun_s
    await client.close()
    return events / took_s
