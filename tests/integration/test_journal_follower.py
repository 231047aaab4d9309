"""The journal follower against a real broker that restarts, forgets and falls silent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from events.record import GENESIS
from services.bus.health import Status
from services.bus.journal import (
    JournalPosition,
    journal_tail,
)
from services.bus.wire import wire_of
from tests.journal_setting import (
    MARKET,
    STREAM,
    WAIT_S,
    Setting,
    append_when_back,
    open_journal,
    until,
)


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    async with open_journal(fresh_broker, tmp_path / "data") as made:
        yield made


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
    # What the socket brought and nobody took: all that comes for a while is dropped, and nothing says so.
    takers = wire_of(reader.service.client)._parser.takers
    kept = dict(takers)
    takers.update(dict.fromkeys(kept, lambda *_: None))
    await setting.writer.append()
    await asyncio.sleep(0.2)
    takers.update(kept)
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
