"""A notifier that is killed under load loses no result, and repeats only where that is documented."""

import asyncio
import json
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.ports import free_port
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.ledger.app import build as build_ledger
from services.ledger.notices import notices_of_member
from services.notifier.tokens import Claims, ensure_token_key, sign_token
from tests.conftest import Connect
from tests.crash_notifier import crash_again_and_again
from tests.dispatch_setting import (
    chose,
    consent,
    dispatching,
    facts_of,
    invited,
    refund,
    start_dispatcher,
    webhook_line,
)
from tests.integration.test_notifier_process import asked, process, stored_more_than
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import AT_NS, confirmed
from tests.notifier_peers import SECRET, HandClock, WebhookPeer
from tests.notifier_setting import Setting, until


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


@pytest.mark.slow
async def test_killed_again_and_again_it_loses_nothing_and_states_each_end_once(tmp_path: Path) -> None:
    counted = await crash_again_and_again(tmp_path, kills=4, records=30)
    assert counted["webhooks_lost"] == counted["mails_lost"] == counted["dead"] == 0
    assert counted["facts_repeated"] == counted["facts_missing"] == 0
    # At least once: at most what was on the way at each kill, 16 webhooks and 8 mails.
    assert counted["webhooks_repeated_with_the_same_id"] <= 4 * 32
    assert counted["mails_repeated"] <= 4 * 16


async def test_a_dispatcher_that_crashes_between_sending_and_writing_down_sends_the_same_message_again(
    setting: Setting,
) -> None:
    await setting.write(*(refund(1 + at) for at in range(10)))
    async with WebhookPeer().up() as peer:
        running = await start_dispatcher(setting, [webhook_line(peer)], HandClock(AT_NS))
        await until(lambda: len(peer.posted) >= 5, "some are sent")
        # As a crash: nothing more is written down.
        for worker in running.dispatcher.workers:
            worker._ended = []
            worker._write = lambda _: None  # type: ignore[method-assign]
        await running.stop()
        async with dispatching(setting, [webhook_line(peer)], HandClock(AT_NS)) as again:
            await again.is_done()
    ids = [posted.headers["webhook-id"] for posted in peer.posted]
    assert len(set(ids)) == 10 and len(ids) >= 10
    assert len({fact.data.notice for fact in await facts_of(setting)}) == len(await facts_of(setting)) == 10


async def test_a_dispatcher_that_crashes_while_taking_in_reads_the_record_again_and_takes_in_once(
    setting: Setting,
) -> None:
    chance = random.Random(1)
    for seq in range(1, 31):
        await setting.write(*(refund(100 * seq + at) for at in range(5)))
    async with WebhookPeer().up() as peer:
        for _ in range(10):
            running = await start_dispatcher(setting, [webhook_line(peer)], HandClock(AT_NS))
            for _ in range(chance.randrange(1, 60)):
                await asyncio.sleep(0)
            await asyncio.sleep(chance.choice((0.0, 0.005, 0.02)))
            await running.stop()
        async with dispatching(setting, [webhook_line(peer)], HandClock(AT_NS)) as last:
            await last.has_taken_in(setting.last_seq)
            await last.is_done()
    facts = await facts_of(setting)
    assert len({fact.data.notice for fact in facts}) == len(facts) == 150


async def test_a_disk_that_cannot_be_written_for_a_while_delays_and_loses_nothing(setting: Setting) -> None:
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)]) as running:
        outbox, refused = running.store.outbox, [3]
        finish = outbox.finish

        def finish_or_not(ended: object) -> None:
            if refused[0] > 0:
                refused[0] -= 1
                raise sqlite3.OperationalError("database or disk is full")
            finish(ended)  # type: ignore[arg-type]

        outbox.finish = finish_or_not  # type: ignore[method-assign]
        seq = await setting.write(*(refund(1 + at) for at in range(20)))
        await running.has_taken_in(seq)
        await running.is_done()
    assert refused == [0]
    assert len({posted.headers["webhook-id"] for posted in peer.posted}) == 20
    assert len(await facts_of(setting)) == 20


async def test_the_process_serves_streams_and_webhooks_and_is_told_apart_by_its_health(setting: Setting) -> None:
    http_port, health_port = free_port(), free_port()
    data = setting.config().data_dir
    data.mkdir(parents=True)
    async with WebhookPeer().up() as peer:
        (data / "hook.secret").write_text(SECRET)
        (data / "notifier.toml").write_text(
            f'[market]\nsince = "1970-01-01T00:00:00Z"\nuseful_for_s = {{ result = 31536000 }}\n'
            f"[http]\nport = {http_port}\n[[webhooks]]\nname = 'shop'\nurl = '{peer.url}'\n"
            "secret_files = ['hook.secret']\nallow_private = true\n"
        )
        await setting.write(refund(1), confirmed(2, member="ann"))
        async with process(setting, health_port) as running:
            await until(lambda: peer.posted, "a webhook")
            health = json.loads(await asked(health_port, "/healthz", 200))
            assert health["checks"]["channels"]["status"] == "ok"
            assert 'messages_taken_total{channel="webhook:shop"} 1.0' in await asked(health_port, "/metrics", 200)
            claims = Claims(market=MARKET, scope="events", member="ann", until_s=2**40)
            token = sign_token(ensure_token_key(data), claims)
            headers = {"authorization": f"Bearer {token}", "last-event-id": "0"}
            url = f"http://127.0.0.1:{http_port}/members/ann/events"
            async with (
                httpx2.AsyncClient(trust_env=False, timeout=30) as client,
                client.stream("GET", url, headers=headers) as answer,
            ):
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        break
                assert "seat.confirmed" in line
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), 60) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[market]\ntimezone = 'Mars/Olympus'\n", b"there is no time zone 'Mars/Olympus'"),
        ("[market]\ntemplates = 'nowhere'\n", b"is not there"),
        (
            "[[webhooks]]\nname='a'\nurl='http://10.0.0.1/'\nsecret_files=['s']\n",
            b"a private, link-local or reserved address",
        ),
    ],
)
async def test_a_configuration_that_cannot_be_ends_the_process_with_one_sentence(
    setting: Setting, content: str, sentence: bytes
) -> None:
    data = setting.config().data_dir
    data.mkdir(parents=True)
    (data / "notifier.toml").write_text(content)
    async with process(setting) as running:
        _, errors = await asyncio.wait_for(running.communicate(), 60)
    assert running.returncode == 2
    assert sentence in errors and b"Traceback" not in errors


async def test_without_a_configuration_members_are_invited_on_their_own_subjects(setting: Setting) -> None:
    port, until_ns = free_port(), time.time_ns() + 3_600 * 10**9
    async with process(setting, port) as running:
        health = json.loads(await asked(port, "/healthz", 200))
        assert health["checks"].keys() == {"notifier", "dispatcher", "channels"}
        decided = (
            chose(1, "ann", consents=(consent(channel="nats"),)),
            invited(2, "ann", channel="nats", useful_until=until_ns),
        )
        # As of now: what was decided before it first ran is nobody's news.
        await setting.write(*(msgspec.structs.replace(each, at=time.time_ns()) for each in decided))
        await stored_more_than(setting, 0)
        running.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(running.wait(), 60) == 0
    (message,) = await setting.stored()
    (notice,) = json.loads(message.body)["notices"]
    assert (message.subject.rpartition(".")[2], notice["kind"]) == ("ann", "invitation.invited")


def ledger_config(setting: Setting, folder: Path) -> ServiceConfig:
    (folder / "market.key").write_text("ab" * 32)
    return ServiceConfig(
        service="ledger",
        market=MARKET,
        nats_url=setting.broker.url,
        user="ledger",
        nkey_seed_file=load_identity(setting.data, "ledger").seed_file,
        market_key_file=folder / "market.key",
        data_dir=folder / "ledger-data",
    )


async def archived_by_a_ledger(config: ServiceConfig, count: int) -> list[str]:
    """Run a ledger until so many notices to ann are archived; return what it says of them."""
    service = await connect_broker(config)
    await service.start()
    told: list[str] = []
    async with build_ledger()(config, service) as archiver:
        for _ in range(2_000):
            found = await archiver.in_store(lambda store: list(notices_of_member(store, "ann")))
            told = [notice.sentence for notice in found or []]
            if len(told) == count:
                break
            await asyncio.sleep(0.01)
    await service.stop()
    assert len(told) == count, told
    return told


async def test_the_ledger_archives_every_fact_once_across_its_own_restarts(setting: Setting, tmp_path: Path) -> None:
    config = ledger_config(setting, tmp_path)
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)]) as running:
        for first in (1, 11):
            seq = await setting.write(*(refund(first + at, "ann") for at in range(10)))
            await running.has_taken_in(seq)
            await running.is_done()
            told = await archived_by_a_ledger(config, first + 9)
    assert all("was delivered" in sentence for sentence in told)


async def test_facts_that_were_lost_on_their_way_to_the_ledger_are_archived_all_the_same(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, lost = JetStreamContext.PullSubscription.fetch, []

    async def fetch_over_a_bad_way(reader: JetStreamContext.PullSubscription, *args: Any, **rest: Any) -> list[Msg]:
        messages = await fetch(reader, *args, **rest)
        if not lost and len(messages) > 3:
            lost.extend(messages[1:3])
            del messages[1:3]
        return messages

    monkeypatch.setattr(JetStreamContext.PullSubscription, "fetch", fetch_over_a_bad_way)
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)]) as running:
        await running.has_taken_in(await setting.write(*(refund(1 + at, "ann") for at in range(10))))
        await running.is_done()
        await archived_by_a_ledger(ledger_config(setting, tmp_path), 10)
    assert len(lost) == 2
