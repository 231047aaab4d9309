"""Webhooks end to end: from the journal to a real backend, with every end a fact."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from starlette.responses import Response

from deploy.broker import EmbeddedBroker
from services.notifier.dispatch.dead_letters import dead_letters, endpoint_states, replay
from tests.conftest import Connect
from tests.dispatch_setting import (
    configured,
    dispatching,
    facts_of,
    filled,
    kinds_of,
    listed,
    opened,
    refund,
    webhook_line,
)
from tests.journal_writer import JournalWriter
from tests.notifier_journal import AT_NS
from tests.notifier_peers import SECRET, HandClock, WebhookPeer
from tests.notifier_setting import Setting, until

DAY_S = 86_400


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


async def test_a_backend_learns_what_each_member_saved_and_what_remains(setting: Setting) -> None:
    await setting.write(configured(1), listed(2), opened(3))
    seq = await setting.write(filled(4, members=("m-1", "m-2")))
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)], HandClock(AT_NS)) as running:
        await running.has_taken_in(seq)
        await running.is_done()
    assert {each.document["data"]["member"] for each in peer.posted} == {"m-1", "m-2"}
    document = peer.posted[0].document
    assert document["type"] == "groupbuy.result.filled"
    data = document["data"]
    assert (data["price_minor"], data["saved_minor"], data["remains_minor"]) == (8_000, 2_000, 0)
    assert kinds_of(await facts_of(setting)) == ["delivered", "delivered"]


async def test_a_message_is_signed_so_that_the_published_library_verifies_it(setting: Setting) -> None:
    await setting.write(refund(1))
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)]) as running:
        await until(lambda: peer.posted, "a message")
        await running.is_done()
    (posted,) = peer.posted
    read = Webhook(SECRET).verify(posted.body, posted.headers)
    assert read["data"]["refund"] == "r-1"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(posted.body.replace(b"r-1", b"r-2"), posted.headers)


async def test_tries_follow_the_schedule_with_the_same_id_until_it_is_dead_and_can_be_sent_again(
    setting: Setting,
) -> None:
    seq = await setting.write(refund(1))
    clock = HandClock(AT_NS)
    peer = WebhookPeer(answer=lambda _: Response(status_code=500))
    async with peer.up(), dispatching(setting, [webhook_line(peer)], clock) as running:
        await running.has_taken_in(seq)
        await until(lambda: len(peer.posted) == 1, "the first try")
        for tries, pause_s in enumerate((5, 300, 1_800, 7_200, 18_000, 36_000, 36_000), start=1):
            await _retries_are_written(setting, running.dispatcher.workers[0].tally, tries)
            clock.advance(pause_s * 0.89)
            await asyncio.sleep(0.02)
            assert len(peer.posted) == tries, "not before its time"
            clock.advance(pause_s * 0.22)
            await until(lambda tries=tries: len(peer.posted) == tries + 1, f"try {tries + 1}")
        await running.is_done()
        assert len({posted.headers["webhook-id"] for posted in peer.posted}) == 1
        (dead,) = dead_letters(running.store.outbox.database)
        assert "8 tries were in vain; the last: the endpoint answered 500" in dead.why
        peer.answer = lambda _: Response(status_code=200)
        replay(running.store.outbox.database, [dead.id], clock.now_ns())
        clock.advance(1)
        await until(lambda: len(peer.posted) == 9, "sent again")
        await running.is_done()
    facts = await facts_of(setting)
    assert kinds_of(facts) == ["deferred/try_again"] * 7 + ["failed", "delivered"]
    assert facts[-1].data.round == 2
    assert facts[-1].data.first == facts[-2].id
    assert peer.posted[-1].headers["webhook-id"] == peer.posted[0].headers["webhook-id"]


async def _retries_are_written(setting: Setting, tally: object, tries: int) -> None:
    for _ in range(1_000):
        if tally.retried >= tries and len(await facts_of(setting)) >= tries:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"no {tries} retries")


async def test_an_endpoint_that_answers_gone_is_switched_off_and_the_operator_told(setting: Setting) -> None:
    await setting.write(refund(1))
    gone, other = WebhookPeer(answer=lambda _: Response(status_code=410)), WebhookPeer()
    async with gone.up(), other.up():
        lines = [webhook_line(gone, "gone"), webhook_line(other, "ops", publishers=[])]
        async with dispatching(setting, lines, HandClock(AT_NS)) as running:
            await until(lambda: len(other.posted) == 2, "the refund, and the alert")
            seq = await setting.write(refund(2))
            await running.has_taken_in(seq)
            await running.is_done()
            state = endpoint_states(running.store.outbox.database)["webhook:gone"]
    assert state.disabled_at_ns is not None and "410" in (state.why or "")
    assert len(gone.posted) == 1, "nothing more is sent there"
    alert = next(each.document for each in other.posted if "operator_alert" in each.document["type"])
    assert alert["data"]["channel"] == "webhook:gone"
    dead = [fact for fact in await facts_of(setting) if fact.type.endswith("failed.v1")]
    assert [fact.data.channel for fact in dead] == ["webhook:gone", "webhook:gone"]


async def test_an_endpoint_that_fails_for_five_days_is_switched_off(setting: Setting) -> None:
    clock = HandClock(AT_NS)
    peer, other = WebhookPeer(answer=lambda _: Response(status_code=500)), WebhookPeer()
    async with peer.up(), other.up():
        lines = [webhook_line(peer, "ill", publishers=["shop-a"]), webhook_line(other, "ops")]
        async with dispatching(setting, lines, clock) as running:
            worker = running.dispatcher.workers[0]
            for day in range(6):
                await setting.write(refund(10 + day))
                await until(lambda day=day: len(peer.posted) >= 1 + day, "another try in vain")
                # Else its answer may count for the next day, and nothing be tried on the last.
                await until(lambda: not worker._tasks, "the answer is taken note of")
                clock.advance(DAY_S)
            await until(
                lambda: any("operator_alert" in each.document["type"] for each in other.posted), "the operator is told"
            )
            assert worker.condition.state.disabled_at_ns is not None
            assert "is switched off" in running.dispatcher.check_channels().sentence


async def test_redirections_are_not_followed(setting: Setting) -> None:
    seq = await setting.write(refund(1))
    peer = WebhookPeer(answer=lambda _: Response(status_code=307, headers={"location": "/elsewhere"}))
    async with peer.up(), dispatching(setting, [webhook_line(peer)], HandClock(AT_NS)) as running:
        await running.has_taken_in(seq)
        await running.is_done(waiting=1)
        await until(lambda: running.dispatcher.workers[0].tally.retried == 1, "it counts as failed")
    assert len(peer.posted) == 1


async def test_retry_after_is_honoured(setting: Setting) -> None:
    clock = HandClock(AT_NS)
    answers = [Response(status_code=503, headers={"retry-after": "600"}), Response(status_code=200)]
    peer = WebhookPeer(answer=lambda _: answers.pop(0))
    await setting.write(refund(1))
    async with peer.up(), dispatching(setting, [webhook_line(peer)], clock) as running:
        await until(lambda: running.dispatcher.workers[0].tally.retried == 1, "a try in vain")
        clock.advance(599)
        await asyncio.sleep(0.05)
        assert len(peer.posted) == 1
        clock.advance(2)
        await running.is_done()
    assert len(peer.posted) == 2


async def test_an_endpoint_that_is_down_delays_only_itself(setting: Setting) -> None:
    down, well = WebhookPeer(delay_s=3_600), WebhookPeer()
    async with down.up(), well.up():
        lines = [webhook_line(down, "down", concurrency=2), webhook_line(well, "well")]
        async with dispatching(setting, lines) as running:
            for seq in range(1, 21):
                await setting.write(refund(seq))
            await until(lambda: len(well.posted) == 20, "the others flow")
            assert len(down.posted) <= 2
            await running.is_done(waiting=20)
            assert (await running.store.do(running.store.outbox.waiting))["webhook:down"] == 20
    facts = await facts_of(setting)
    assert Counter((fact.data.channel, fact.type) for fact in facts) == {
        ("webhook:well", "groupbuy.notice.delivered.v1"): 20
    }


async def test_an_endpoint_gets_only_results_of_its_own_publishers(setting: Setting) -> None:
    seq = await setting.write(refund(1))
    async with WebhookPeer().up() as mine, WebhookPeer().up() as others:
        lines = [webhook_line(mine, "a", publishers=["shop-a"]), webhook_line(others, "b", publishers=["shop-b"])]
        async with dispatching(setting, lines) as running:
            await running.has_taken_in(seq)
            await running.is_done()
    assert (len(mine.posted), len(others.posted)) == (1, 0)


async def test_a_private_address_is_refused_with_its_reason_and_nothing_is_sent(setting: Setting) -> None:
    from services.notifier.channels.webhook import WebhookCourier
    from services.notifier.dispatch.dispatcher import Line
    from services.notifier.settings import WebhookSettings

    async with WebhookPeer().up() as peer:
        line = webhook_line(peer)
        found = WebhookSettings(name="shop-a", url=f"http://localhost:{peer.port}/hook", secret_files=["none"])
        guarded = Line(WebhookCourier(found, [SECRET]), line.route, line.pace)
        await setting.write(refund(1))
        async with dispatching(setting, [guarded]) as running:
            await until(lambda: running.dispatcher.workers[0].tally.dead == 1, "refused")
            await running.is_done()
    assert peer.posted == []
    (fact,) = await facts_of(setting)
    assert "localhost is 127.0.0.1, a private, link-local or reserved address" in (fact.data.why or "")
