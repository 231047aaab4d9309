"""The matcher as a process: nothing lost, nothing twice, and no log that goes back unnoticed."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from nats.js import api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.ports import free_port
from events import subjects
from events.record import RECORD_FORMAT, Record, Through, decode_entry, encode_record, hash_bytes
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.matcher.commit import FenceLostError, journal_end
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.intake import IntakeReader
from services.matcher.log import Standing
from services.matcher.loop import Matcher
from services.matcher.snapshots import SnapshotStore
from services.matcher.zones import pinned_zones
from tests.builders import JsonEvent, joined, market, offer, posted
from tests.conftest import MARKET
from tests.integration.matcher_process import KEY, MarketLog, MatcherProcess, decided_alone

SHOP = "shop-a"


@pytest.fixture
async def log(fresh_broker: EmbeddedBroker) -> AsyncIterator[MarketLog]:
    found = MarketLog(fresh_broker)
    yield found
    await found.close()


@pytest.fixture
async def matcher(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[MatcherProcess]:
    process = MatcherProcess(fresh_broker, tmp_path / "matcher", free_port())
    yield process
    await process.stop()


async def configured(log: MarketLog, **rules: object) -> int:
    await log.publish("operator", market(publishers={SHOP: ["offer", "order", "refund"]}))
    return await log.publish(SHOP, offer(**{"size": 2, "hold_s": 0, **rules}))


def orders(count: int) -> list[JsonEvent]:
    return [posted(lead="if_needed") for _ in range(count)]


async def test_every_input_gets_one_outcome_in_order(log: MarketLog, matcher: MatcherProcess) -> None:
    await configured(log)
    await matcher.start()
    await log.publish(SHOP, orders(7))
    await log.publish_body(SHOP, "order", b'{"not": an event')
    last = await log.publish(SHOP, joined())
    entries = await log.decided_until(last)
    kinds = [type(entry.decisions[0]).__name__ for entry in entries]
    assert [(e.seq, e.index) for e in entries] == [(1, 0), (2, 0), *((3, i) for i in range(7)), (4, 0), (5, 0)]
    assert kinds[-2:] == ["Malformed", "SeatConfirmed"]


async def test_killed_at_random_instants_it_decides_as_if_it_had_never_been_interrupted(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    chance = random.Random(7)
    await configured(log, size=3)
    await matcher.start()

    async def publish() -> int:
        seq = 0
        for _ in range(60):
            seq = await log.publish(SHOP, orders(chance.randint(1, 60)))
            await asyncio.sleep(0.02)
        return seq

    publishing = asyncio.create_task(publish())
    while not publishing.done():
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        await matcher.kill()
        await matcher.start()
    await log.decided_until(await publishing)
    assert await log.entries() == decided_alone(await log.messages())


async def test_of_two_matchers_at_once_the_fence_lets_each_decision_through_once(
    fresh_broker: EmbeddedBroker, log: MarketLog, matcher: MatcherProcess, tmp_path: Path
) -> None:
    other = MatcherProcess(fresh_broker, tmp_path / "other", free_port())
    await configured(log)
    await matcher.start()
    await other.start()
    try:
        last = 0
        for _ in range(30):
            last = await log.publish(SHOP, orders(20))
            await asyncio.sleep(0.03)
        await log.decided_until(last)
    finally:
        await other.stop()
    assert await log.entries() == decided_alone(await log.messages())


async def test_a_record_that_ends_in_the_middle_of_a_batch_is_taken_up_there(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    await configured(log)
    await log.publish(SHOP, orders(5))
    messages = await log.messages()
    engine = Engine(MARKET, Facts(KEY), pinned_zones())
    decided = [entry for message in messages for entry in engine.process(message)]
    await _commit(log, decided[:4], messages[-1].seq)
    await matcher.start()
    await log.decided_until(messages[-1].seq)
    assert await log.entries() == decided


async def _commit(log: MarketLog, entries: list[bytes], through_seq: int) -> None:
    """Write a first record as a matcher that died in the middle of a batch would have left it."""
    jetstream = (await log.client("matcher")).jetstream()
    stream = subjects.intake_stream(MARKET)
    info = await jetstream.stream_info(stream)
    message = next(m for m in await log.messages() if m.seq == through_seq)
    through = Through(seq=through_seq, events=5, at=message.at, hash=hash_bytes(message.body))
    record = Record(
        v=RECORD_FORMAT,
        market=MARKET,
        prev="0" * 64,
        intake=(info.config.metadata or {})[subjects.IDENTITY_METADATA],
        rule=1,
        through=through,
        entries=[msgspec.Raw(entry) for entry in entries],
    )
    body = encode_record(record)
    headers = {subjects.HEADER_MESSAGE_ID: hash_bytes(body), subjects.HEADER_LAST_SEQUENCE: "0"}
    await jetstream.publish(subjects.journal(MARKET), body, headers=headers)


async def test_a_deadline_passes_although_nobody_publishes_anything(log: MarketLog, matcher: MatcherProcess) -> None:
    await configured(log, size=2, group_ttl_s=1)
    await matcher.start()
    last = await log.publish(SHOP, posted())
    # The next input is the matcher's own knock, after the deadline.
    entries = await log.decided_until(last + 1)
    kinds = [type(entry.decisions[0]).__name__ for entry in entries]
    assert kinds[-2:] == ["GroupExpired", "ClockAdvanced"]
    opened = next(d for e in entries for d in e.decisions if type(d).__name__ == "GroupOpened")
    assert entries[-2].at >= opened.deadline


async def test_a_stray_message_in_the_journal_is_skipped_and_the_fence_still_holds(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    last = await configured(log)
    await matcher.start()
    await log.decided_until(last)
    # A publisher makes the broker acknowledge into the journal: reply subjects are not checked.
    shop = await log.client(SHOP)
    await shop.publish(subjects.intake(MARKET, SHOP, "order"), b"{}", reply=subjects.journal(MARKET))
    last = await log.publish(SHOP, orders(3))
    await log.decided_until(last)
    assert await log.entries() == decided_alone(await log.messages())


async def test_a_recreated_intake_stops_the_matcher_with_what_is_missing(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    last = await configured(log)
    await matcher.start()
    await log.decided_until(last)
    await matcher.stop()
    provisioner = (await log.client("provisioner")).jetstream()
    stream = subjects.intake_stream(MARKET)
    config = (await provisioner.stream_info(stream)).config
    await provisioner.delete_stream(stream)
    await provisioner.add_stream(_with_identity(config, "another"))
    await matcher.start()
    assert "recreated" in await matcher.unhealthy_because("recreated")


async def test_an_intake_shorter_than_what_was_decided_stops_the_matcher(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    last = await configured(log)
    await matcher.start()
    await log.decided_until(last)
    await matcher.stop()
    provisioner = (await log.client("provisioner")).jetstream()
    stream = subjects.intake_stream(MARKET)
    config = (await provisioner.stream_info(stream)).config
    await provisioner.delete_stream(stream)
    await provisioner.add_stream(_with_identity(config, (config.metadata or {})[subjects.IDENTITY_METADATA]))
    await matcher.start()
    sentence = await matcher.unhealthy_because("missing")
    assert "1 to 2 are missing" in sentence


def _with_identity(config: api.StreamConfig, identity: str) -> api.StreamConfig:
    return config.evolve(metadata={subjects.IDENTITY_METADATA: identity})


async def test_it_goes_on_from_a_snapshot_and_does_without_a_damaged_one(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    await configured(log)
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, orders(50)))
    await matcher.stop()
    snapshots = list((matcher.folder / "data").rglob("*.snapshot"))
    assert snapshots, "a snapshot is left at a clean end"
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, orders(50)))
    await matcher.stop()
    assert "0 entries read after record" in matcher.log()
    for snapshot in (matcher.folder / "data").rglob("*.snapshot"):
        damaged = bytearray(snapshot.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        snapshot.write_bytes(damaged)
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, orders(50)))
    assert "is damaged" in matcher.log()
    assert await log.entries() == decided_alone(await log.messages())


async def test_the_broker_restarts_and_nothing_is_lost(
    fresh_broker: EmbeddedBroker, log: MarketLog, matcher: MatcherProcess
) -> None:
    await configured(log)
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, orders(20)))
    fresh_broker.kill()
    await fresh_broker.start()
    last = 0
    for _ in range(40):
        try:
            last = await log.publish(SHOP, orders(5))
        except Exception:  # noqa: BLE001 - the client is still reconnecting
            await asyncio.sleep(0.1)
    entries = await log.decided_until(last)
    assert len({(e.seq, e.index) for e in entries if e.publisher}) == len([e for e in entries if e.publisher])
    assert await log.entries() == decided_alone(await log.messages())
    assert decode_entry((await log.entries())[-1]).seq == last


async def test_a_record_committed_while_the_journal_was_read_is_never_taken_for_a_stray(
    fresh_broker: EmbeddedBroker, log: MarketLog, matcher: MatcherProcess
) -> None:
    await configured(log)
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, orders(3)))
    await log.decided_until(await log.publish(SHOP, orders(3)))
    await matcher.stop()
    records = await log.records()
    assert len(records) > 1
    broker = await connect_broker(_config(fresh_broker))
    try:
        with pytest.raises(FenceLostError, match="grown past 1"):
            await journal_end(broker, MARKET, 1, records[1].prev)
        assert await journal_end(broker, MARKET, len(records), "f" * 64) == (len(records), "f" * 64)
    finally:
        await broker.stop()


async def test_nothing_is_read_over_a_new_connection_before_the_intake_is_compared(
    fresh_broker: EmbeddedBroker, log: MarketLog
) -> None:
    last = await configured(log)
    broker = await connect_broker(_config(fresh_broker))
    reader = IntakeReader(broker, MARKET, "matcher")
    try:
        await reader.check(Standing())
        await reader.open(last)
        assert [message.seq for message in await reader.take(5)] == [last]
        undecided = await log.publish(SHOP, orders(1))
        fresh_broker.kill()
        await fresh_broker.start()
        while not (broker.client.stats["reconnects"] and broker.client.is_connected):
            await asyncio.sleep(0.01)
        assert reader.was_reconnected() and await reader.take(0.2) == []
        await reader.check(Standing())
        assert not reader.was_reconnected()
        assert [message.seq for message in await reader.take(5)] == [undecided]
    finally:
        await reader.close()
        await broker.stop()


async def test_a_matcher_that_is_behind_does_not_take_for_lost_what_was_decided_and_trimmed_meanwhile(
    fresh_broker: EmbeddedBroker, log: MarketLog, matcher: MatcherProcess, tmp_path: Path
) -> None:
    await configured(log)
    await matcher.start()
    for _ in range(4):
        await log.decided_until(await log.publish(SHOP, orders(1)))
    await matcher.stop()
    records = await log.records()
    await (
        (await log.client("ledger"))
        .jetstream()
        .purge_stream(subjects.intake_stream(MARKET), seq=records[-2].through.seq)
    )
    broker = await connect_broker(_config(fresh_broker))
    behind = Matcher(broker, MARKET, "matcher", Facts(market_key=KEY), pinned_zones(), SnapshotStore(tmp_path, MARKET))
    try:
        last = records[-1]
        for seq, record in enumerate(records[:-3], start=1):
            behind.standing = Standing(seq=seq, hash=records[seq].prev, intake=record.intake, through=record.through)
            with pytest.raises(FenceLostError, match="grown past"):
                await behind._compare()
        behind.standing = Standing(
            seq=len(records), hash=hash_bytes(encode_record(last)), intake=last.intake, through=last.through
        )
        assert await behind._compare() == last.intake
    finally:
        await broker.stop()


def _config(broker: EmbeddedBroker) -> ServiceConfig:
    folder = broker.directory.parent
    seed = load_identity(folder, "matcher").seed_file
    return ServiceConfig(
        service="matcher", market=MARKET, nats_url=broker.url, user="matcher", nkey_seed_file=seed, data_dir=folder
    )
