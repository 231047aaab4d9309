"""The ledger's service over a real broker: it archives the journal, stops where it must, and trims with care."""

import asyncio
import contextlib
import json
import secrets
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.js import api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import LEDGER, MATCHER, PROVISIONER
from deploy.stack_files import free_service_port, write_service_configs
from events import decisions as d
from events import subjects
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.bus.health import Status
from services.ledger.app import build
from services.ledger.archiver import Archiver
from services.ledger.store import LedgerStore
from services.ledger.trim import TrimPolicy
from services.ledger.verify import verify
from tests import builders as b
from tests.conftest import MARKET, Connect, provision_market
from tests.ledger_market import decided_records
from tests.ledger_records import BuiltRecord, JournalBuilder, changed

ROOT = Path(__file__).resolve().parents[2]
INTAKE = subjects.intake_stream(MARKET)
JOURNAL = subjects.journal_stream(MARKET)
TICK = d.ClockAdvanced()
WAIT_S = 60.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come, without caring when."""
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


@dataclass
class Setting:
    """A broker, a way to write its journal, and the configuration of its ledger."""

    broker: EmbeddedBroker
    connect: Connect
    data: Path
    written: list[BuiltRecord] = field(default_factory=list)

    @property
    def config(self) -> ServiceConfig:
        key = self.data / "market.key"
        if not key.exists():
            key.write_text(secrets.token_hex(32))
        return ServiceConfig(
            service="ledger",
            market=MARKET,
            nats_url=self.broker.url,
            user=LEDGER,
            nkey_seed_file=load_identity(self.data, LEDGER).seed_file,
            market_key_file=key,
            data_dir=self.data,
        )

    async def write(self, records: Sequence[BuiltRecord]) -> None:
        """Publish records as the matcher does; where their sequences leave a gap, strays fill it."""
        js = (await self.connect(self.broker, MATCHER)).client.jetstream(timeout=10)
        seq = self.written[-1].seq if self.written else 0
        for record in records:
            while seq + 1 < record.seq:
                seq = (await js.publish(subjects.journal(MARKET), b"no record")).seq
            headers = {subjects.HEADER_MESSAGE_ID: record.hash}
            seq = (await js.publish(subjects.journal(MARKET), record.body, headers=headers)).seq
            self.written.append(record)

    @contextlib.asynccontextmanager
    async def ledger(self, trim: TrimPolicy | None = None) -> AsyncIterator[Archiver]:
        """Run a ledger."""
        config = self.config
        service = await connect_broker(config)
        try:
            async with build(trim)(config, service) as archiver:
                yield archiver
        finally:
            await service.stop()

    async def archived(self, archiver: Archiver) -> None:
        """Wait until everything written is archived."""
        await until(
            lambda: (archiver.tip is not None and archiver.tip.seq == self.written[-1].seq) or archiver.alarm,
            f"record {self.written[-1].seq} archived",
        )
        assert archiver.alarm is None

    def bodies(self) -> list[bytes]:
        """What the archive holds."""
        with self.store() as store:
            return [record.body for record in store.records()]

    def store(self) -> LedgerStore:
        """Open the archive for reading."""
        return LedgerStore.open("sqlite:", MARKET, data_dir=self.data, read_only=True)


@pytest.fixture
def setting(fresh_broker: EmbeddedBroker, connect: Connect, tmp_path: Path) -> Setting:
    """A broker of this test's own with an empty journal."""
    return Setting(fresh_broker, connect, tmp_path / "data")


def small(records: int, intake: str = "intake-of-the-tests") -> list[BuiltRecord]:
    """A journal with one input a record."""
    built = JournalBuilder(intake=intake)
    for _ in range(records):
        built.input(TICK, publisher="matcher").seal()
    return built.records


async def test_what_is_in_the_journal_is_archived_before_and_after_the_start(setting: Setting) -> None:
    records = decided_records(4, 120)
    await setting.write(records[:20])
    async with setting.ledger() as archiver:
        await setting.archived(archiver)
        await setting.write(records[20:])
        await setting.archived(archiver)
        assert archiver.check().status is Status.OK
        assert archiver.archived.records == len(records)
        assert archiver.lag == 0
    assert setting.bodies() == [record.body for record in records]
    with setting.store() as store:
        assert verify(store).is_sound


async def test_a_ledger_that_starts_again_goes_on_where_its_own_store_stands(setting: Setting) -> None:
    records = small(30)
    await setting.write(records[:10])
    async with setting.ledger() as archiver:
        await setting.archived(archiver)
    await setting.write(records[10:])
    async with setting.ledger() as archiver:
        await setting.archived(archiver)
        assert archiver.archived.records == 20
    assert setting.bodies() == [record.body for record in records]


async def test_a_record_that_skips_inputs_stops_the_ledger_at_the_place(setting: Setting) -> None:
    built = JournalBuilder()
    built.input(TICK).seal().input(TICK).seal().skip(2).input(TICK).seal().input(TICK).seal()
    await setting.write(built.records)
    async with setting.ledger() as archiver:
        await until(lambda: archiver.alarm, "an alarm")
        assert "record 3: its first entry is 5.0.0, after 2.0.0" in str(archiver.alarm)
        assert archiver.check().status is Status.UNHEALTHY
    assert setting.bodies() == [record.body for record in built.records[:2]]


async def test_a_broken_link_stops_the_ledger_at_the_place(setting: Setting) -> None:
    records = small(3)
    await setting.write([*records[:2], changed(records[2], prev="5" * 64)])
    async with setting.ledger() as archiver:
        await until(lambda: archiver.alarm, "an alarm")
        assert "before message 3" in str(archiver.alarm)
    assert len(setting.bodies()) == 2


async def test_a_recreated_journal_is_not_taken_for_the_old_one(setting: Setting) -> None:
    records = small(5)
    await setting.write(records)
    async with setting.ledger() as archiver:
        await setting.archived(archiver)
    provisioner = await setting.connect(setting.broker, PROVISIONER)
    await provisioner.client.jetstream().delete_stream(JOURNAL)
    await provision_market(setting.broker)
    await setting.write(records)
    async with setting.ledger() as archiver:
        await until(lambda: archiver.alarm, "an alarm")
        assert "it was recreated" in str(archiver.alarm)
    assert setting.bodies() == [record.body for record in records]


async def test_the_intake_is_trimmed_up_to_what_is_archived_and_a_margin(setting: Setting) -> None:
    identity = await fill_intake(setting, 60)
    await setting.write(small(40, identity))
    async with setting.ledger(TrimPolicy(keep_messages=10, worth_messages=1)) as archiver:
        await setting.archived(archiver)
        assert archiver.tip is not None
        await archiver.trimmer.look(archiver.tip)
        state = await intake_state(setting)
        assert (state.first_seq, state.last_seq, archiver.trimmer.trimmed_to) == (30, 60, 29)
        await archiver.trimmer.look(archiver.tip)
        assert (await intake_state(setting)).first_seq == 30
        assert archiver.check_trimming().status is Status.OK


async def test_the_last_message_archived_stays_even_without_a_margin(setting: Setting) -> None:
    identity = await fill_intake(setting, 12)
    await setting.write(small(12, identity))
    async with setting.ledger(TrimPolicy(keep_messages=0, worth_messages=1)) as archiver:
        await setting.archived(archiver)
        assert archiver.tip is not None
        await archiver.trimmer.look(archiver.tip)
        assert (await intake_state(setting)).first_seq == 12


async def test_an_intake_that_is_not_the_one_archived_is_never_trimmed(setting: Setting) -> None:
    await fill_intake(setting, 30)
    await setting.write(small(20, "another-intake"))
    async with setting.ledger(TrimPolicy(keep_messages=0, worth_messages=1)) as archiver:
        await setting.archived(archiver)
        assert archiver.tip is not None
        await archiver.trimmer.look(archiver.tip)
        assert (await intake_state(setting)).first_seq == 1
        assert archiver.check_trimming().status is Status.DEGRADED
        assert "is not the stream that was archived" in archiver.check_trimming().sentence


async def fill_intake(setting: Setting, messages: int) -> str:
    """Publish to the intake and return its identity."""
    shop = await setting.connect(setting.broker, "shop-a")
    for _ in range(messages):
        await shop.client.jetstream(timeout=10).publish(
            subjects.intake(MARKET, "shop-a", "order"), b.encode(b.posted())
        )
    info = await intake_info(setting)
    return (info.config.metadata or {})[subjects.IDENTITY_METADATA]


async def intake_info(setting: Setting) -> api.StreamInfo:
    provisioner = await setting.connect(setting.broker, PROVISIONER)
    return await provisioner.client.jetstream(timeout=10).stream_info(INTAKE)


async def intake_state(setting: Setting) -> api.StreamState:
    return (await intake_info(setting)).state


async def test_a_ledger_killed_at_any_moment_archives_each_record_once(setting: Setting) -> None:
    records = small(400)
    port = free_service_port()
    config = setting.config
    config.health_port = port
    (setting.data / "config").mkdir(parents=True, exist_ok=True)
    file = write_service_configs(setting.data, {"ledger": config})["ledger"]
    for first in range(0, len(records), 100):
        process = await start(file)
        await setting.write(records[first : first + 100])
        await asyncio.sleep(0.05 * (first // 100))
        process.kill()
        await process.wait()
    process = await start(file)
    try:
        await until_archived(port, len(records))
        report = await asyncio.to_thread(fetch, port, "/healthz")
        assert json.loads(report)["status"] == "ok"
        assert f"groupbuy_ledger_record {len(records)}.0" in await asyncio.to_thread(fetch, port, "/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
    assert setting.bodies() == [record.body for record in records]
    with setting.store() as store:
        assert verify(store).is_sound


async def start(config: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ledger", str(config), cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )


async def until_archived(port: int, record: int) -> None:
    for _ in range(int(WAIT_S / 0.1)):
        with contextlib.suppress(OSError):
            if f"groupbuy_ledger_record {record}.0" in await asyncio.to_thread(fetch, port, "/metrics"):
                return
        await asyncio.sleep(0.1)
    pytest.fail(f"record {record} was not archived within {WAIT_S} s")


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


async def test_a_configuration_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "ledger.json"
    broken.write_text("{}")
    for arguments in ([], [str(tmp_path / "nothing.json")], [str(broken)]):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.ledger", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, error = await process.communicate()
        assert process.returncode == 2
        assert error
        assert b"Traceback" not in error
