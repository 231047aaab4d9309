"""The journal follower against a real broker that restarts, forgets, lies and falls silent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext, api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import PROVISIONER
from events import subjects
from events.record import GENESIS, hash_bytes
from services.bus.config import ServiceConfig
from services.bus.connect import ConnectError, ServiceBroker, connect_broker
from services.bus.health import Status
from services.bus.journal import (
    FollowedRecord,
    JournalBroken,
    JournalFollower,
    JournalPosition,
    journal_tail,
)
from tests.conftest import Connect, provision_market
from tests.journal_writer import MARKET, JournalWriter, record_of, ticked

STREAM = subjects.journal_stream(MARKET)
WAIT_S = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come, without caring when."""
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


def service_config(broker: EmbeddedBroker, data: Path, user: str) -> ServiceConfig:
    """What a service of this user is started with."""
    return ServiceConfig(
        service=user,
        market=MARKET,
        nats_url=broker.url,
        user=user,
        nkey_seed_file=load_identity(data, user).seed_file,
        data_dir=data / user,
    )


@dataclass
class Reader:
    """A ledger reduced to what it was handed."""

    follower: JournalFollower
    service: ServiceBroker
    records: list[FollowedRecord] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)

    @property
    def hashes(self) -> list[str]:
        return [record.hash for record in self.records]

    async def handle(self, records: list[FollowedRecord]) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.calls.append(len(records))
        self.records += records

    async def has(self, count: int) -> None:
        """Wait until `count` records have come, or the alarm sounds."""
        await until(lambda: len(self.records) >= count or self.follower.broken, f"{count} records")
        assert self.follower.broken is None


@dataclass
class Setting:
    """One broker, one writer, and readers to follow it."""

    broker: EmbeddedBroker
    data: Path
    writer: JournalWriter
    open_readers: list[Reader] = field(default_factory=list)

    async def reader(self, position: JournalPosition | None = None) -> Reader:
        """A follower that has been started."""
        service = await connect_broker(service_config(self.broker, self.data, "ledger"))
        await service.start()
        reader = Reader(None, service)  # type: ignore[arg-type]  # the two need each other
        reader.follower = JournalFollower(service, MARKET, "ledger", position or JournalPosition(), reader.handle)
        self.open_readers.append(reader)
        await reader.follower.start()
        return reader

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[JetStreamContext]:
        """Somebody with every right over streams and consumers, who may do harm with it."""
        client = await nats.connect(self.broker.url, **self.broker.connect_options(PROVISIONER))
        try:
            yield client.jetstream(timeout=10)
        finally:
            await client.close()

    async def recreate_journal(self) -> None:
        """Delete the journal and make another of the same name."""
        async with self.operator() as js:
            await js.delete_stream(STREAM)
        await provision_market(self.broker)


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> AsyncIterator[Setting]:
    matcher = await connect(fresh_broker, "matcher")
    made = Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))
    yield made
    for reader in made.open_readers:
        await reader.follower.stop()
        await reader.service.stop()


async def test_records_written_before_and_after_the_start_come_in_order_and_once(setting: Setting) -> None:
    for _ in range(5):
        await setting.writer.append()
    reader = await setting.reader()
    for _ in range(5):
        await setting.writer.append()
    await reader.has(10)
    assert reader.hashes == setting.writer.written
    assert [record.seq for record in reader.records] == list(range(1, 11))
    assert reader.records[0].record.prev == GENESIS
    assert all(record.at_ns > 10**18 for record in reader.records)
    await until(lambda: reader.follower.lag == 0, "no lag")
    assert reader.follower.position == JournalPosition(10, setting.writer.prev)
    assert reader.follower.check().status is Status.OK


async def test_following_begins_after_the_position_held(setting: Setting) -> None:
    for _ in range(4):
        await setting.writer.append()
    held = JournalPosition(2, setting.writer.written[1])
    reader = await setting.reader(held)
    await reader.has(2)
    assert reader.hashes == setting.writer.written[2:]


async def test_a_backlog_larger_than_the_window_comes_whole_and_in_bounded_portions(setting: Setting) -> None:
    for _ in range(700):
        await setting.writer.append()
    reader = await setting.reader()
    await reader.has(700)
    assert reader.hashes == setting.writer.written
    assert max(reader.calls) <= 256
    assert reader.follower.consumers_made == 1


async def test_large_records_come_in_portions_of_sixteen_mib(setting: Setting) -> None:
    for _ in range(12):
        await setting.writer.append(padding_bytes=3 * 1024 * 1024)
    reader = await setting.reader()
    await reader.has(12)
    assert max(reader.calls) <= 5


async def test_a_restart_of_the_broker_loses_and_repeats_nothing(setting: Setting) -> None:
    reader = await setting.reader()
    for _ in range(20):
        await setting.writer.append()
    await setting.broker.stop()
    await setting.broker.start()
    for _ in range(20):
        await append_when_back(setting.writer)
    await reader.has(40)
    assert reader.hashes == setting.writer.written
    assert reader.follower.alarm is None


async def test_a_broker_that_dies_in_the_middle_of_a_stream_loses_and_repeats_nothing(setting: Setting) -> None:
    reader = await setting.reader()

    async def write_on() -> None:
        for _ in range(300):
            await append_when_back(setting.writer)

    writing = asyncio.create_task(write_on())
    for _ in range(2):
        await asyncio.sleep(0.2)
        setting.broker.kill()
        await setting.broker.start()
    await writing
    await reader.has(300)
    assert reader.hashes == setting.writer.written


async def test_a_consumer_deleted_behind_its_back_is_replaced(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    async with setting.operator() as js:
        for consumer in await js.consumers_info(STREAM):
            await js.delete_consumer(STREAM, consumer.name)
    for _ in range(5):
        await setting.writer.append()
    await reader.has(6)
    assert reader.hashes == setting.writer.written
    assert reader.follower.consumers_made == 2


async def test_a_consumer_that_is_silent_without_being_gone_is_replaced(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    async with setting.operator() as js:
        for consumer in await js.consumers_info(STREAM):
            await js.pause_consumer(STREAM, consumer.name, "2100-01-01T00:00:00Z")
    await setting.writer.append()
    await reader.has(2)
    assert reader.hashes == setting.writer.written


async def test_a_message_lost_on_the_way_is_read_again(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    # FastStream drops what comes while its subscriber is not running, and says nothing.
    (subscriber,) = reader.service.subscribers
    subscriber.running = False
    await setting.writer.append()
    await asyncio.sleep(0.2)
    subscriber.running = True
    await setting.writer.append()
    await reader.has(3)
    assert reader.hashes == setting.writer.written


async def test_an_idle_journal_costs_no_new_consumer(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    await asyncio.sleep(3.5)
    assert reader.follower.consumers_made == 1
    await setting.writer.append()
    await reader.has(2)
    assert reader.follower.consumers_made == 1


@pytest.mark.parametrize("headers", [None, {subjects.HEADER_MESSAGE_ID: "0" * 64}])
async def test_a_stray_message_is_counted_and_skipped(setting: Setting, headers: dict[str, str] | None) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await setting.writer.publish(b'{"stray":true}', headers)
    await setting.writer.append()
    await reader.has(2)
    assert reader.hashes == setting.writer.written
    assert reader.follower.strays == 1
    await until(lambda: reader.follower.lag == 0, "no lag")


async def test_a_stray_at_the_end_is_no_lag(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await setting.writer.publish(b"+ACK")
    await until(lambda: reader.follower.strays == 1 and reader.follower.lag == 0, "the stray is dealt with")
    assert reader.follower.position.seq == 1
    assert reader.follower.check().status is Status.OK


async def test_a_broken_chain_stops_with_its_place(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await setting.writer.append_body(record_of([ticked(7)], prev="f" * 64))
    await until(lambda: reader.follower.alarm, "the alarm")
    assert reader.hashes == setting.writer.written[:1]
    alarm = reader.follower.alarm or ""
    assert "broken before message 2" in alarm
    assert "f" * 16 in alarm
    assert setting.writer.written[0][:16] in alarm
    assert reader.follower.check().status is Status.UNHEALTHY
    await setting.writer.append()
    await asyncio.sleep(0.3)
    assert len(reader.records) == 1


async def test_a_record_of_a_format_not_known_stops(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append_body(record_of([ticked(1)], GENESIS).replace(b'"v":1', b'"v":9'))
    await until(lambda: reader.follower.alarm, "the alarm")
    assert "message 1 of market main cannot be read: record format 9" in (reader.follower.alarm or "")


async def test_a_recreated_stream_stops_a_follower_at_work(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    await setting.recreate_journal()
    await until(lambda: reader.follower.alarm, "the alarm")
    assert "recreated" in (reader.follower.alarm or "") or "does not exist" in (reader.follower.alarm or "")
    assert isinstance(reader.follower.broken, JournalBroken)


async def test_a_recreated_stream_refuses_a_position_of_the_old_one(setting: Setting) -> None:
    for _ in range(2):
        await setting.writer.append()
    held = JournalPosition(2, setting.writer.prev)
    await setting.recreate_journal()
    setting.writer.prev = GENESIS
    for seq in (11, 12, 13):
        await setting.writer.append([ticked(seq)])
    with pytest.raises(JournalBroken, match=r"message 2 of groupbuy-main-journal is not the record"):
        await setting.reader(held)


async def test_a_position_ahead_of_the_journal_stops(setting: Setting) -> None:
    await setting.writer.append()
    with pytest.raises(JournalBroken, match=r"ends at 1, .* messages 2 to 9 are missing"):
        await setting.reader(JournalPosition(9, "a" * 64))


async def test_a_deleted_record_stops_with_what_is_missing(setting: Setting) -> None:
    for _ in range(4):
        await setting.writer.append()
    await harm_journal(setting, lambda js: js.delete_msg(STREAM, 3))
    reader = await setting.reader()
    await until(lambda: reader.follower.alarm, "the alarm")
    assert reader.hashes == setting.writer.written[:2]
    assert "messages 3 to 3 are missing and one of them was a record" in (reader.follower.alarm or "")


async def test_a_deleted_end_stops_with_what_is_missing(setting: Setting) -> None:
    for _ in range(4):
        await setting.writer.append()
    held = JournalPosition(3, setting.writer.written[2])
    await harm_journal(setting, lambda js: js.delete_msg(STREAM, 4))
    reader = await setting.reader(held)
    await until(lambda: reader.follower.alarm, "the alarm")
    assert "messages 4 to 4 of groupbuy-main-journal are missing" in (reader.follower.alarm or "")


async def test_a_deleted_stray_is_no_gap(setting: Setting) -> None:
    await setting.writer.append()
    await setting.writer.publish(b"stray")
    await setting.writer.append()
    await harm_journal(setting, lambda js: js.delete_msg(STREAM, 2))
    reader = await setting.reader()
    await reader.has(2)
    assert reader.hashes == setting.writer.written


async def test_a_stream_that_begins_at_a_later_sequence_is_followed_from_there(setting: Setting) -> None:
    async with setting.operator() as js:
        config = (await js.stream_info(STREAM)).config
        await js.delete_stream(STREAM)
        config.first_seq = 501
        await js.add_stream(config)
    reader = await setting.reader()
    await asyncio.sleep(3.5)
    assert reader.follower.alarm is None
    assert await setting.writer.append() == 501
    await reader.has(1)
    assert reader.follower.position.seq == 501


async def test_a_handler_that_fails_gets_the_same_records_again(setting: Setting) -> None:
    reader = await setting.reader()
    reader.trouble.append(OSError("the disk is full"))
    await setting.writer.append()
    await until(lambda: reader.follower.alarm, "the trouble is told")
    assert "records 1 to 1 could not be dealt with: the disk is full" in (reader.follower.alarm or "")
    assert reader.follower.check().status is Status.UNHEALTHY
    await setting.writer.append()
    await reader.has(2)
    assert reader.hashes == setting.writer.written
    await until(lambda: reader.follower.lag == 0, "no lag")
    assert reader.follower.alarm is None


async def test_a_handler_may_stop_it_for_good(setting: Setting) -> None:
    reader = await setting.reader()
    reader.trouble.append(JournalBroken("the ledger is ahead of the journal"))
    await setting.writer.append()
    await until(lambda: reader.follower.alarm, "the alarm")
    assert reader.follower.alarm == "the ledger is ahead of the journal"
    assert reader.follower.position == JournalPosition()


async def test_a_stopped_follower_goes_on_where_it_stood(setting: Setting) -> None:
    first = await setting.reader()
    for _ in range(3):
        await setting.writer.append()
    await first.has(3)
    await first.follower.stop()
    for _ in range(3):
        await setting.writer.append()
    second = await setting.reader(first.follower.position)
    await second.has(3)
    assert first.hashes + second.hashes == setting.writer.written


async def test_the_tail_is_the_last_record_whatever_strays_follow(setting: Setting) -> None:
    reader = await setting.reader()
    assert await journal_tail(reader.service, MARKET) == JournalPosition()
    await setting.writer.append()
    await setting.writer.publish(b"stray")
    await setting.writer.publish(b"")
    assert await journal_tail(reader.service, MARKET) == JournalPosition(1, setting.writer.prev)


async def test_a_user_that_the_broker_does_not_know_is_told_so(setting: Setting, tmp_path: Path) -> None:
    other = EmbeddedBroker(tmp_path / "other", [MARKET])
    async with other:
        config = service_config(setting.broker, tmp_path / "other", "ledger")
        with pytest.raises(ConnectError, match="refuses user 'ledger'"):
            await connect_broker(config)


async def test_an_unusable_key_is_told_with_its_file(setting: Setting, tmp_path: Path) -> None:
    config = service_config(setting.broker, setting.data, "ledger")
    config.nkey_seed_file = tmp_path / "absent.nk"
    with pytest.raises(ConnectError, match=r"absent\.nk: No such file"):
        await connect_broker(config)
    config.nkey_seed_file.write_text("nothing of the kind")
    with pytest.raises(ConnectError, match="does not hold the seed"):
        await connect_broker(config)


async def test_a_broker_that_refuses_for_a_while_is_reconnected_to(setting: Setting) -> None:
    reader = await setting.reader()
    await setting.writer.append()
    await reader.has(1)
    await setting.broker.stop()
    refused = asyncio.Event()

    async def refuse(client: asyncio.StreamReader, peer: asyncio.StreamWriter) -> None:
        peer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":8388608,"headers":true}\r\n')
        hello = await client.readline()
        peer.write(b"-ERR 'Authorization Timeout'\r\n")
        await peer.drain()
        peer.close()
        if b'"groupbuy ledger"' in hello:
            refused.set()

    server = await asyncio.start_server(refuse, "127.0.0.1", setting.broker.port)
    async with asyncio.timeout(WAIT_S):
        await refused.wait()
        await asyncio.sleep(0.1)
    server.close()
    await server.wait_closed()
    await setting.broker.start()
    await append_when_back(setting.writer)
    await reader.has(2)
    assert reader.hashes == setting.writer.written


async def append_when_back(writer: JournalWriter) -> None:
    """Write a record once, however often the answer is lost: settled by looking, as the matcher does."""
    body = record_of([ticked(writer.next_entry_seq)], writer.prev)
    own_hash = hash_bytes(body)
    writer.next_entry_seq += 1
    js = writer.client.jetstream(timeout=2)
    while True:
        headers = {
            subjects.HEADER_MESSAGE_ID: own_hash,
            subjects.HEADER_LAST_MESSAGE_ID: writer.prev if writer.written else "",
        }
        try:
            await js.publish(subjects.journal(writer.market), body, headers=headers)
        except (nats.errors.Error, TimeoutError, OSError):
            if await last_hash(js) != own_hash:
                continue
        writer.prev = own_hash
        writer.written.append(own_hash)
        return


async def last_hash(js: JetStreamContext) -> str:
    while True:
        try:
            found = await js.get_last_msg(STREAM, subjects.journal(MARKET))
        except (nats.errors.Error, TimeoutError, OSError):
            await asyncio.sleep(0.05)
        else:
            return hash_bytes(found.data or b"")


async def harm_journal(
    setting: Setting, harm: Callable[[JetStreamContext], Awaitable[object]]
) -> api.StreamInfo | None:
    """Do to the journal what its configuration denies: it is made anew without that, messages and all."""
    async with setting.operator() as js:
        config = (await js.stream_info(STREAM)).config
        held = [
            await js.get_msg(STREAM, seq=seq) for seq in range(1, (await js.stream_info(STREAM)).state.last_seq + 1)
        ]
        await js.delete_stream(STREAM)
        config.deny_delete = False
        await js.add_stream(config)
    for message in held:
        await setting.writer.publish(message.data or b"", dict(message.headers or {}))
    async with setting.operator() as js:
        await harm(js)
    return None
