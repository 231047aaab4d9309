"""How many results a second the notifier tells, from a backlog: a real journal in, real streams out, fsync on.

With it go the figures of the other channels (`bench_notifier_channels`).
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
import nats
import uvloop

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import MATCHER, NOTIFIER, PROVISIONER
from deploy.provision import provision
from events import subjects
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.notifier.app import notifier_with_facts
from services.notifier.dispatch.build import build_dispatcher
from services.notifier.dispatch.store import Store
from services.notifier.settings import Settings
from tests.bench import bench_notifier_channels
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import SHOP, confirmed

JOINS: Final = 60_000
JOINS_PER_RECORD: Final = 1_000
GROUP_SIZE: Final = 5
TIMEOUT_S: Final = 300.0


def run(joins: int = JOINS, joins_per_record: int = JOINS_PER_RECORD) -> dict[str, float]:
    """Measure and return results and joins a second, what they cost, and what the other channels carry."""
    return uvloop.run(_run(joins, joins_per_record)) | bench_notifier_channels.run()


async def _run(joins: int, joins_per_record: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-notifier-") as temporary:
        data = Path(temporary)
        async with EmbeddedBroker(data, [MARKET], publishers=[SHOP]) as broker:
            await _write_journal(broker, joins, joins_per_record)
            return await _tell(broker, data, joins)


async def _write_journal(broker: EmbeddedBroker, joins: int, joins_per_record: int) -> None:
    provisioner = await nats.connect(broker.url, **broker.connect_options(PROVISIONER))
    await provision(provisioner, MARKET, [SHOP])
    await provisioner.close()
    matcher = await nats.connect(broker.url, **broker.connect_options(MATCHER), pending_size=32 * 1024 * 1024)
    writer = JournalWriter(matcher)
    for seq in range(1, joins // joins_per_record + 1):
        await writer.append(
            [
                confirmed(seq, at, fills=GROUP_SIZE * (at % GROUP_SIZE == GROUP_SIZE - 1))
                for at in range(joins_per_record)
            ]
        )
    await matcher.close()


async def _tell(broker: EmbeddedBroker, data: Path, joins: int) -> dict[str, float]:
    seed = load_identity(data, NOTIFIER).seed_file
    config = ServiceConfig(
        service="notifier", market=MARKET, nats_url=broker.url, user=NOTIFIER, nkey_seed_file=seed, data_dir=data
    )
    service = await connect_broker(config)
    await service.start()
    store = Store(data, MARKET)
    notifier = notifier_with_facts(config, service, store)
    # As it runs without a file: beside the results, it reads the journal for invitations and draws.
    dispatcher = build_dispatcher(service, config, Settings(folder=data), store, notifier.results)
    last_seq = (await service.jetstream.stream_info(subjects.journal_stream(MARKET))).state.last_seq
    assert broker.pid is not None
    begun_s, cpu_s, broker_s = time.perf_counter(), time.process_time(), _cpu_s(broker.pid)
    await notifier.start()
    await dispatcher.start()
    async with asyncio.timeout(TIMEOUT_S):
        while min([dispatcher.position_seq, *(c.reached.position.seq for c in notifier.channels)]) < last_seq:
            assert notifier.alarm is None, notifier.alarm
            await asyncio.sleep(0.005)
        while not await store.do(lambda: not store.outbox.facts_after(dispatcher.publisher.through or 0, 1)):
            await asyncio.sleep(0.005)
    took_s = time.perf_counter() - begun_s
    results, messages = notifier.results.tally.told, notifier.results.tally.messages
    notices = (await service.jetstream.stream_info(subjects.notices_stream(MARKET))).state
    figures = {
        "results_per_s": results / took_s,
        "result_messages_per_s": messages / took_s,
        "joins_told_per_s": joins / took_s,
        "notifier_us_per_join": (time.process_time() - cpu_s) / joins * 1e6,
        "broker_us_per_join": (_cpu_s(broker.pid) - broker_s) / joins * 1e6,
        "fact_bytes_per_result": notices.bytes / results,
    }
    await notifier.stop()
    await dispatcher.stop()
    await store.close()
    await service.stop()
    return {name: round(figure, 1) for name, figure in figures.items()}


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process; 0 where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    print(msgspec.json.encode(run()).decode())
