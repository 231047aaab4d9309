"""What the other channels carry: webhooks a second, memory of what waits, event streams and how soon they tell."""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
import uvloop

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import MATCHER, NOTIFIER, PROVISIONER
from deploy.provision import provision
from events.record import Entry
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.notifier.channels.webhook import WebhookCourier
from services.notifier.dispatch.clock import SystemClock
from services.notifier.dispatch.dispatcher import Dispatcher, DispatchRules, Line
from services.notifier.dispatch.routing import Route
from services.notifier.dispatch.store import Store
from services.notifier.http import MemberDoor
from services.notifier.notifier import Notifier
from services.notifier.policy.judge import MarketRules
from services.notifier.policy.purposes import Purpose
from services.notifier.settings import HttpSettings, WebhookSettings
from services.notifier.stream_facts import StreamFacts
from services.notifier.streams import ResultStreams
from services.notifier.tokens import Claims, sign_token
from services.notifier.zones import zone_of
from tests.bench.notifier_peers import allow_many_files
from tests.dispatch_setting import refund
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import SHOP, confirmed
from tests.notifier_peers import SECRET

WEBHOOKS: Final = 5_000
REFUNDS_PER_RECORD: Final = 100
ENDPOINT_DELAY_S: Final = 0.05
CONCURRENCY: Final = 64
DEFERRED: Final = 100_000
STREAMS: Final = 2_000
RESULTS_PER_S: Final = 500
TOLD_FOR_S: Final = 10.0
TICK_S: Final = 0.02
TIMEOUT_S: Final = 300.0


def run(webhooks: int = WEBHOOKS, deferred: int = DEFERRED, streams: int = STREAMS) -> dict[str, float]:
    """Measure and return the figures of all channels."""
    figures: dict[str, float] = {}
    figures |= uvloop.run(_with_market(lambda market: _webhooks(market, webhooks)))
    figures |= deferred_in_its_own_process(deferred)
    figures |= uvloop.run(_with_market(lambda market: _streams(market, streams)))
    return {name: round(figure, 1) for name, figure in figures.items()}


class _Market:
    def __init__(self, broker: EmbeddedBroker, data: Path, service: ServiceBroker, writer: JournalWriter) -> None:
        self.broker = broker
        self.data = data
        self.service = service
        self.writer = writer
        self.last_seq = 0

    async def write(self, entries: list[Entry]) -> None:
        self.last_seq = await self.writer.append(entries)


async def _with_market(measure: Any) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-channels-") as temporary:
        data = Path(temporary)
        async with EmbeddedBroker(data, [MARKET], publishers=[SHOP]) as broker:
            provisioner = await nats.connect(broker.url, **broker.connect_options(PROVISIONER))
            await provision(provisioner, MARKET, [SHOP])
            await provisioner.close()
            matcher = await nats.connect(broker.url, **broker.connect_options(MATCHER))
            config = ServiceConfig(
                service="notifier",
                market=MARKET,
                nats_url=broker.url,
                user=NOTIFIER,
                nkey_seed_file=load_identity(data, NOTIFIER).seed_file,
                data_dir=data,
            )
            service = await connect_broker(config)
            figures: dict[str, float] = await measure(_Market(broker, data, service, JournalWriter(matcher)))
            await service.stop()
            await matcher.close()
            return figures


@contextlib.asynccontextmanager
async def _peer(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.notifier_peers",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=64 * 1024 * 1024,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _finish(process: asyncio.subprocess.Process) -> Any:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    return json.loads(await process.stdout.readline())


def _dispatcher(market: _Market, store: Store, port: int, since_ns: int = 0, quiet: Any = None) -> Dispatcher:
    found = WebhookSettings(
        name="shop",
        url=f"http://127.0.0.1:{port}/hook",
        secret_files=[Path("none")],
        allow_private=True,
        concurrency=CONCURRENCY,
    )
    courier = WebhookCourier(found, [SECRET])
    route = Route(channel=courier.name, purposes=frozenset({Purpose.RESULT}))
    rules = DispatchRules(
        market=MarketRules(zone="UTC", quiet=quiet), since_ns=since_ns, useful_for_s={Purpose.RESULT: 366 * 86_400}
    )
    return Dispatcher(
        market.service, MARKET, NOTIFIER, store, [Line(courier, route)], rules, zone_of, SystemClock(), random.Random(1)
    )


async def _webhooks(market: _Market, count: int) -> dict[str, float]:
    for first in range(0, count, REFUNDS_PER_RECORD):
        await market.write([refund(1 + first + at) for at in range(REFUNDS_PER_RECORD)])
    async with _peer("endpoint", str(ENDPOINT_DELAY_S)) as peer:
        assert peer.stdout is not None
        port = int(await peer.stdout.readline())
        store = Store(market.data, MARKET)
        dispatcher = _dispatcher(market, store, port)
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        await dispatcher.start()
        worker = dispatcher.workers[0]
        async with asyncio.timeout(TIMEOUT_S):
            while worker.tally.taken < count:
                await asyncio.sleep(0.01)
        took_s, used_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        async with asyncio.timeout(TIMEOUT_S):
            while dispatcher.publisher.published < count:
                await asyncio.sleep(0.01)
        await dispatcher.stop()
        await store.close()
        posted = await _finish(peer)
    assert posted == {"posted": count, "different": count}, posted
    return {"webhooks_per_s": count / took_s, "webhook_us": used_s / count * 1e6}


def deferred_in_its_own_process(count: int) -> dict[str, float]:
    """Measure what waits in a process that does nothing else, and again after a restart of it."""
    with tempfile.TemporaryDirectory(prefix="bench-deferred-") as temporary:
        figures: list[dict[str, float]] = []
        for again in ("write", "again"):
            arguments = [sys.executable, "-m", "tests.bench.deferred", temporary, str(count), again]
            answer = subprocess.run(arguments, check=True, capture_output=True, timeout=TIMEOUT_S)
            figures.append(json.loads(answer.stdout))
    first, second = figures
    assert first["waiting"] == second["waiting"] == count, "they have survived the restart"
    return {"deferred_mib_per_100k": max(first["mib"], second["mib"]) * 100_000 / count}


async def _streams(market: _Market, count: int) -> dict[str, float]:
    allow_many_files()
    members = [f"m-{at}" for at in range(count)]
    key = b"k" * 32
    until_s = int(time.time()) + 3_600
    tokens = {m: sign_token(key, Claims(market=MARKET, scope="events", member=m, until_s=until_s)) for m in members}
    tokens_file = market.data / "tokens.json"
    tokens_file.write_text(json.dumps(tokens))
    streams = ResultStreams(market.service, MARKET, NOTIFIER)
    streams.start()
    store = Store(market.data, MARKET)
    facts = StreamFacts(store, SystemClock())
    facts.start()
    server = MemberDoor(MARKET, key, streams, store, HttpSettings(port=0, streams_max=count), facts).server()
    await server.start()
    notifier = Notifier(market.service, MARKET, NOTIFIER)
    await notifier.start()
    async with _peer("readers", str(server.port), str(tokens_file)) as peer:
        assert peer.stdout is not None
        assert (await asyncio.wait_for(peer.stdout.readline(), TIMEOUT_S)).strip() == b"ready"
        connected = streams.readers
        written = await _tell(market, members)
        await asyncio.sleep(2.0)
        delays_ms: list[float] = await asyncio.wait_for(_finish(peer), TIMEOUT_S)
    await server.stop()
    await facts.stop()
    await store.close()
    await streams.stop()
    await notifier.stop()
    assert len(delays_ms) == written, f"{len(delays_ms)} of {written} results have arrived"
    delays_ms.sort()
    return {
        "sse_connections": float(connected),
        "sse_p50_ms": delays_ms[len(delays_ms) // 2],
        "sse_p99_ms": delays_ms[int(len(delays_ms) * 0.99)],
    }


async def _tell(market: _Market, members: list[str]) -> int:
    """Write results at an even pace, each stamped with the moment of its decision; return how many."""
    per_tick, written, seq = int(RESULTS_PER_S * TICK_S), 0, 0
    begun_s = time.perf_counter()
    while (at_s := written / RESULTS_PER_S) < TOLD_FOR_S:
        await asyncio.sleep(max(0.0, begun_s + at_s - time.perf_counter()))
        now_ns, seq = time.time_ns(), seq + 1
        entries = [
            msgspec.structs.replace(confirmed(seq, at, member=members[(written + at) % len(members)]), at=now_ns)
            for at in range(per_tick)
        ]
        await market.write(entries)
        written += per_tick
    return written


if __name__ == "__main__":
    print(json.dumps(run()))
