"""Batches of results that are sent ahead of the broker's answer: in order, whole, and none behind one that failed."""

import asyncio
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.broker_config import BrokerLimits
from events import subjects
from services.notifier.atomic import BATCH_MAX_MESSAGES, BATCH_USUAL_MAX_MESSAGES, FenceLost, PublishFailed
from services.notifier.channels import Bundle, Letter
from services.notifier.channels.nats import NatsChannel
from services.notifier.letters import mail_of
from tests.conftest import PUBLISHERS, Connect, provision_market
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import crowd
from tests.notifier_setting import RESULTS, Running, Setting, channel_of

MEMBERS = 20


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


async def results(setting: Setting, running: Running, *records: int) -> list[Bundle]:
    """Write records behind what a notifier follows, and return the results in them."""
    for seq in records:
        await setting.write(*crowd(seq, MEMBERS))
    return [mail_of(await running.notifier._journal.record_at(seq)).results for seq in records]


async def idle(setting: Setting) -> tuple[Running, NatsChannel]:
    """Return a notifier that has nothing to tell any more and follows nothing, and its channel of results."""
    await setting.write(*crowd(1, MEMBERS))
    running = await setting.start()
    await running.has_told(1)
    follower = running.notifier._follower
    assert follower is not None
    await follower.stop()
    return running, channel_of(running)


async def stray(running: Running, member: str) -> None:
    """Have somebody else write a message into the stream of results."""
    await running.service.jetstream.publish(subjects.result(MARKET, member), b"stray")


async def test_batches_on_their_way_together_are_stored_in_order(setting: Setting) -> None:
    running, channel = await idle(setting)
    first, second, third = await results(setting, running, 2, 3, 4)
    on_their_way = [channel.stage([bundle]) for bundle in (first, second, third)]
    assert None not in on_their_way
    await asyncio.gather(*[task for task in on_their_way if task is not None])
    assert channel.reached.position == third.position
    stored = await setting.stored(RESULTS)
    assert [message.subject for message in stored] == [
        subjects.result(MARKET, f"m-{record}-{at}") for record in (1, 2, 3, 4) for at in range(MEMBERS)
    ]
    await running.crash()
    await setting.assert_each_result_once()


async def test_behind_a_batch_that_was_not_stored_none_is_although_the_stream_ends_where_it_should(
    setting: Setting,
) -> None:
    """As many messages of somebody else as the first has: the fence of the second alone would hold."""
    running, channel = await idle(setting)
    first, second = await results(setting, running, 2, 3)
    for _ in range(MEMBERS):
        await stray(running, "m-9")
    tasks = [channel.stage([first]), channel.stage([second])]
    ends = await asyncio.gather(*[task for task in tasks if task is not None], return_exceptions=True)
    assert [type(end) for end in ends] == [FenceLost, PublishFailed]
    assert len(await setting.stored(RESULTS)) == 2 * MEMBERS
    assert channel.tally.conflicts == 1

    await channel.deliver([first, second])
    told = [message.subject for message in await setting.stored(RESULTS) if message.body != b"stray"]
    assert len(told) == len(set(told)) == 3 * MEMBERS
    await running.crash()


async def test_what_is_slipped_in_waits_for_batches_on_their_way_and_stands_behind_them(setting: Setting) -> None:
    running, channel = await idle(setting)
    first, second = await results(setting, running, 2, 3)
    tasks = [channel.stage([first]), channel.stage([second])]
    draw = [Letter("m-7", b'{"results":[]}', 1), Letter("m-8", b'{"results":[]}', 1)]
    await channel.slip_in(draw, Letter("$drawn", b"{}", 0))
    assert all(task is not None and task.done() for task in tasks)
    subjects_stored = [message.subject for message in await setting.stored(RESULTS)]
    assert subjects_stored[3 * MEMBERS :] == [subjects.result(MARKET, name) for name in ("m-7", "m-8", "$drawn")]
    await running.crash()


async def test_batches_on_their_way_when_the_broker_ends_are_told_once_whether_they_were_stored_or_not(
    setting: Setting,
) -> None:
    running, channel = await idle(setting)
    first, second = await results(setting, running, 2, 3)
    tasks = [channel.stage([first]), channel.stage([second])]
    await setting.broker.stop()
    ends = await asyncio.gather(*[task for task in tasks if task is not None], return_exceptions=True)
    assert all(end is None or isinstance(end, PublishFailed) for end in ends)
    await setting.broker.start()
    while not running.service.client.is_connected:
        await asyncio.sleep(0.05)
    await channel.deliver([first, second])
    await running.crash()
    await setting.assert_each_result_once()


async def test_few_results_are_not_staged(setting: Setting) -> None:
    """A batch costs the broker a store of its own, however few its messages are."""
    running, channel = await idle(setting)
    await setting.write(*crowd(2, 2))
    few = mail_of(await running.notifier._journal.record_at(2)).results
    assert channel.stage([few]) is None
    await running.crash()


async def test_a_broker_that_takes_smaller_batches_gets_smaller_batches(tmp_path: Path, connect: Connect) -> None:
    limits = BrokerLimits(batch_max_messages=BATCH_USUAL_MAX_MESSAGES)
    broker = EmbeddedBroker(tmp_path / "data", [MARKET], publishers=PUBLISHERS, limits=limits)
    await broker.start()
    try:
        await provision_market(broker)
        setting = Setting(broker, tmp_path / "data", JournalWriter((await connect(broker, "matcher")).client))
        await setting.write(*crowd(1, BATCH_USUAL_MAX_MESSAGES + MEMBERS))
        await setting.write(*crowd(2, 2 * BATCH_USUAL_MAX_MESSAGES))
        async with setting.running() as running:
            await running.has_told(2)
            assert channel_of(running)._end.batch_max_messages == BATCH_USUAL_MAX_MESSAGES
            assert channel_of(running).tally.conflicts == 0
        await setting.assert_each_result_once()
    finally:
        await broker.stop()


async def test_a_record_for_more_members_than_a_batch_takes_is_sent_ahead_as_several(setting: Setting) -> None:
    running, channel = await idle(setting)
    await setting.write(*crowd(2, BATCH_MAX_MESSAGES + MEMBERS))
    (small,) = await results(setting, running, 3)
    large = mail_of(await running.notifier._journal.record_at(2)).results
    tasks = [channel.stage([large]), channel.stage([small])]
    await asyncio.gather(*[task for task in tasks if task is not None])
    assert None not in tasks
    assert channel.reached.position == small.position
    await running.crash()
    await setting.assert_each_result_once()
