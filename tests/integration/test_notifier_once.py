"""Each result and each outcome once and all of them, whatever crashes: against a real broker."""

import asyncio
import random
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.permissions import NOTIFIER
from services.bus.journal import JournalBroken
from services.notifier.channels import Bundle
from services.notifier.letters import mail_of
from services.notifier.notifier import Notifier
from tests.conftest import Connect
from tests.journal_writer import MARKET, JournalWriter
from tests.notifier_journal import confirmed, crowd, expired, knock, refused
from tests.notifier_setting import OUTCOMES, RESULTS, Setting, channel_of, until


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


async def test_every_result_reaches_its_member_and_every_outcome_its_publisher(setting: Setting) -> None:
    await setting.write(confirmed(1), refused(2))
    async with setting.running() as running:
        await running.has_told(1)
        await setting.write(confirmed(3, 0), confirmed(3, 1, fills=2))
        await setting.write(knock(4))
        await setting.write(expired(5, [("ann", "shop-a"), ("bob", "shop-b")]))
        await running.has_told(4)
        assert running.notifier.lag == 0
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()
    assert ("shop-b", "5.0.0", "group.expired") in await setting.told(OUTCOMES)


async def test_a_publisher_gets_only_its_own(setting: Setting, connect: Connect) -> None:
    await setting.write(confirmed(1, publisher="shop-a"), confirmed(2, publisher="shop-b"))
    await setting.write(expired(3, [("ann", "shop-a"), ("bob", "shop-b")]))
    await setting.tell_everything()
    for shop, other in (("shop-a", "shop-b"), ("shop-b", "shop-a")):
        js = (await connect(setting.broker, shop)).client.jetstream()
        reader = await js.pull_subscribe_bind(f"outcomes-{shop}", OUTCOMES)
        messages = await reader.fetch(2, timeout=5)
        assert {message.subject for message in messages} == {f"groupbuy.main.outcome.{shop}"}
        assert all(other.encode() not in message.data for message in messages)
        with pytest.raises(TimeoutError):
            await reader.fetch(1, timeout=0.2)


async def test_a_redelivered_record_sends_nothing_twice(setting: Setting) -> None:
    """The follower may hand over the same records again, and a restarted notifier reads some again."""
    await setting.write(*crowd(1, 30))
    await setting.write(confirmed(2))
    async with setting.running() as running:
        await running.has_told(2)
        records = [await running.notifier._journal.record_at(seq) for seq in (1, 2)]
        for _ in range(3):
            await running.notifier._tell(records)
    await setting.tell_everything()
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_a_record_that_comes_again_after_doubt_sends_nothing_twice(setting: Setting) -> None:
    """Without its memory of what was sent, a channel asks its stream."""
    await setting.write(*crowd(1, 30))
    async with setting.running() as running:
        await running.has_told(1)
        mail = mail_of(await running.notifier._journal.record_at(1))
        channel_of(running)._end.is_sure = False
        await channel_of(running).deliver([mail.results])
    await setting.assert_each_result_once()


@pytest.mark.parametrize("seed", range(3))
async def test_a_notifier_that_crashes_at_any_instant_loses_nothing_and_repeats_nothing(
    setting: Setting, seed: int
) -> None:
    chance = random.Random(seed)
    for seq in range(1, 60):
        await setting.write(*crowd(seq, chance.choice((1, 1, 2, 5, 40, 300))))
    crashes = 0
    for _ in range(40):
        running = await setting.start()
        for _ in range(chance.randrange(1, 60)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.choice((0.0, 0.002, 0.01, 0.03)))
        await running.crash()
        crashes += 1
    assert crashes == 40
    await setting.tell_everything()
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_two_notifiers_at_once_tell_everything_once(setting: Setting) -> None:
    for seq in range(1, 20):
        await setting.write(*crowd(seq, 25))
    async with setting.running() as first, setting.running() as second:
        for seq in range(20, 60):
            await setting.write(*crowd(seq, 1 + seq % 20))
        await first.has_told(setting.last_seq)
        await second.has_told(setting.last_seq)
        channels = [channel_of(running, stream) for running in (first, second) for stream in (RESULTS, OUTCOMES)]
        conflicts = sum(channel.tally.conflicts for channel in channels)
    assert conflicts > 0, "they have met"
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_a_record_with_three_thousand_results_is_completed_after_a_crash_in_the_middle(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await setting.write(*crowd(2, 3_000))
    running = await setting.start()
    while channel_of(running).reached.ordinal < 1_000:
        await asyncio.sleep(0)
    await running.crash()
    half = len(await setting.stored())
    assert 1 + 1_000 <= half < 1 + 3_000, "it crashed in the middle"
    await setting.write(confirmed(3))
    await setting.tell_everything()
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_what_a_member_hears_of_many_records_is_one_message_when_they_go_out_together(setting: Setting) -> None:
    for seq in range(1, 40):
        await setting.write(confirmed(seq), confirmed(seq, 1, member="m-everywhere"))
    await setting.tell_everything()
    messages = len(await setting.stored())
    told = await setting.told()
    assert len(told) == 2 * 39
    assert messages < len(told) - 30, "a member of every record is not told as often as there are records"
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_half_a_record_is_not_continued_by_a_version_that_makes_other_letters(setting: Setting) -> None:
    await setting.write(*crowd(1, 3_000))
    running = await setting.start()
    while channel_of(running).reached.ordinal < 1_000:
        await asyncio.sleep(0)
    await running.crash()
    service = await setting.connect()
    notifier = Notifier(service, MARKET, NOTIFIER)
    await notifier.results.open()
    letters = mail_of(await notifier._journal.record_at(1)).results.letters
    with pytest.raises(JournalBroken, match=r"of 3000 messages of record 1, which make 2999 here: another version"):
        await notifier.results.deliver([Bundle(1, setting.writer.prev, letters[:-1])])
    await service.stop()


async def test_outcomes_wait_neither_for_results_nor_for_each_other(setting: Setting) -> None:
    async with setting.running() as running:
        await setting.write(confirmed(1))
        await running.has_told(1)
        async with channel_of(running)._lock:
            for seq in range(2, 30):
                await setting.write(confirmed(seq))
            await until(lambda: channel_of(running, OUTCOMES).reached.position.seq == 29, "every outcome")
            assert channel_of(running).reached.position.seq == 1
            assert running.notifier.lag >= 28
        await running.has_told(29)
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_records_that_say_nothing_are_not_all_read_again(setting: Setting) -> None:
    """The position alone is written now and then, where no member can see it."""
    await setting.write(confirmed(1))
    for seq in range(2, 700):
        await setting.write(knock(seq))
    await setting.tell_everything()
    markers = [message for message in await setting.stored() if message.subject.endswith(".$position")]
    assert len(markers) == 2
    async with setting.running() as running:
        await running.has_told(setting.last_seq)
        assert running.notifier.progress.records < 300
    await setting.assert_each_result_once()


@pytest.mark.slow
async def test_a_broker_that_is_killed_meanwhile_loses_nothing(setting: Setting) -> None:
    for seq in range(1, 30):
        await setting.write(*crowd(seq, 200))
    async with setting.running() as running:
        await asyncio.sleep(0.05)
        for _ in range(2):
            setting.broker.kill()
            await setting.broker.start()
            await asyncio.sleep(0.3)
        await asyncio.wait_for(_eventually_told(setting), 60)
        await running.has_told(setting.last_seq)
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def _eventually_told(setting: Setting) -> None:
    """A killed broker is an alarm while it is away: look at the streams instead."""
    while len(await setting.told(RESULTS)) < 29 * 200 or len(await setting.told(OUTCOMES)) < 29 * 200:
        await asyncio.sleep(0.3)
