"""The journal follower before a journal that is not what it should be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from events import subjects
from events.record import GENESIS
from services.bus.connect import ConnectError, connect_broker
from services.bus.health import Status
from services.bus.journal import (
    JournalBroken,
    JournalPosition,
)
from tests.journal_setting import (
    MARKET,
    STREAM,
    Setting,
    harm_journal,
    open_journal,
    service_config,
    until,
)
from tests.journal_writer import record_of, ticked


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    async with open_journal(fresh_broker, tmp_path / "data") as made:
        yield made


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


async def test_a_handler_may_stop_it_for_good(setting: Setting) -> None:
    reader = await setting.reader()
    reader.trouble.append(JournalBroken("the ledger is ahead of the journal"))
    await setting.writer.append()
    await until(lambda: reader.follower.alarm, "the alarm")
    assert reader.follower.alarm == "the ledger is ahead of the journal"
    assert reader.follower.position == JournalPosition()


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
