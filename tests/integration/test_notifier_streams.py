"""Streams that are ahead, behind, made again, emptied or full of strays: the notifier goes on or says why it cannot."""

import asyncio
import json
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.permissions import NOTIFIER
from events import subjects
from services.notifier.channels.nats import NatsChannel
from services.notifier.channels.place import HEADER_PLACE
from services.notifier.letters import mail_of
from services.notifier.notifier import Notifier
from tests.conftest import Connect, provision_market
from tests.journal_writer import MARKET, JournalWriter, record_of
from tests.notifier_journal import confirmed, crowd, knock, refused
from tests.notifier_setting import JOURNAL, OUTCOMES, RESULTS, Setting, channel_of


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


async def remake(setting: Setting, stream: str) -> None:
    """Delete a stream and make another of the same name."""
    async with setting.operator() as js:
        await js.delete_stream(stream)
    await provision_market(setting.broker)


async def alarm_of(setting: Setting, sent_through: int | None = None) -> str:
    """Start a notifier that must refuse to work, and return why."""
    async with setting.running(sent_through) as running:
        alarm = await running.stopped()
        assert running.notifier.check().status == "unhealthy"
        return alarm


# --- the journal is not what the streams know ---


async def test_a_journal_that_was_rolled_back_stops_the_notifier(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await setting.write(confirmed(2))
    await setting.tell_everything()
    await remake(setting, JOURNAL)
    await JournalWriter(setting.writer.client).append([confirmed(1)])
    before = await setting.told()
    alarm = await alarm_of(setting)
    assert "groupbuy-main-results holds what record 2 of the journal said" in alarm
    assert "messages 2 to 2 are missing" in alarm
    assert await setting.told() == before


async def test_a_journal_with_another_record_at_the_same_place_stops_the_notifier(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await setting.tell_everything()
    await remake(setting, JOURNAL)
    other = JournalWriter(setting.writer.client)
    await other.append([confirmed(7)])
    await other.append([confirmed(8)])
    assert "message 1 of groupbuy-main-journal is not the record that was dealt with" in await alarm_of(setting)
    assert await setting.told() == [("m-1-0", "1.0.0", "seat.confirmed")]


async def test_a_journal_that_is_made_again_while_it_is_followed_stops_the_notifier(setting: Setting) -> None:
    await setting.write(confirmed(1))
    async with setting.running() as running:
        await running.has_told(1)
        await remake(setting, JOURNAL)
        assert "recreated" in await running.stopped()


async def test_a_broken_chain_stops_the_notifier_and_says_where(setting: Setting) -> None:
    await setting.write(confirmed(1))
    setting.writer.prev = "f" * 64
    await setting.writer.append([confirmed(2)])
    alarm = await alarm_of(setting)
    assert "broken before message 2" in alarm
    assert await setting.told() == [("m-1-0", "1.0.0", "seat.confirmed")]


async def test_what_stands_before_a_record_that_cannot_be_read_is_told(setting: Setting) -> None:
    await setting.write(confirmed(1))
    body = record_of([refused(2)], setting.writer.prev).replace(b'"kind":"refused"', b'"kind":"unheard-of"')
    await setting.writer.append_body(body)
    await setting.writer.append([confirmed(3)])
    assert "record 2 holds an entry that this version of the notifier cannot read" in await alarm_of(setting)
    assert await setting.told() == [("m-1-0", "1.0.0", "seat.confirmed")]


# --- an output stream is not what it was ---


async def test_a_stream_that_was_made_again_is_not_filled_from_the_start_unasked(setting: Setting) -> None:
    """Or every member would get the results of years again."""
    await setting.write(confirmed(1))
    await setting.write(confirmed(2))
    await setting.tell_everything()
    await remake(setting, RESULTS)
    alarm = await alarm_of(setting)
    assert "groupbuy-main-results is newer than the journal and holds nothing" in alarm
    assert "--sent-through SEQ" in alarm
    assert await setting.stored() == []


@pytest.mark.parametrize(("sent_through", "expected"), [(0, ["1.0.0", "2.0.0", "3.0.0"]), (2, ["3.0.0"])])
async def test_an_operator_may_declare_what_counts_as_sent(
    setting: Setting, sent_through: int, expected: list[str]
) -> None:
    for seq in (1, 2, 3):
        await setting.write(confirmed(seq))
    await setting.tell_everything()
    await remake(setting, RESULTS)
    async with setting.running(sent_through) as running:
        await running.has_told(3)
    await setting.tell_everything()
    assert [entry for _, entry, _ in await setting.told()] == expected
    await setting.assert_each_outcome_once()


async def test_what_is_declared_as_sent_must_be_a_record(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await remake(setting, RESULTS)
    assert "record 9 of groupbuy-main-journal is needed and is missing" in await alarm_of(setting, sent_through=9)


async def test_a_stream_that_was_emptied_does_not_get_everything_again(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await setting.tell_everything()
    async with setting.operator() as js:
        await js.purge_stream(RESULTS)
    assert "is empty, although it held messages once" in await alarm_of(setting)
    async with setting.running(sent_through=1) as running:
        await setting.write(confirmed(2))
        await running.has_told(2)
    assert await setting.told() == [("m-2-0", "2.0.0", "seat.confirmed")]


async def test_an_emptied_stream_does_not_matter_to_the_notifier_that_wrote_it(setting: Setting) -> None:
    await setting.write(confirmed(1))
    async with setting.running() as running:
        await running.has_told(1)
        async with setting.operator() as js:
            await js.purge_stream(RESULTS)
        await setting.write(confirmed(2))
        await running.has_told(2)
    assert await setting.told() == [("m-2-0", "2.0.0", "seat.confirmed")]


async def test_a_stream_whose_end_was_deleted_is_not_filled_up_unasked(setting: Setting) -> None:
    await setting.write(*crowd(1, 3))
    await setting.tell_everything()
    async with setting.operator() as js:
        await js.delete_msg(RESULTS, 3)
    assert "ends at 3, but the message there was deleted" in await alarm_of(setting)


async def test_a_stream_that_lost_confirmed_messages_stops_the_notifier(setting: Setting) -> None:
    await setting.write(*crowd(1, 3))
    async with setting.running() as running:
        await running.has_told(1)
        async with setting.operator() as js:
            config = (await js.stream_info(RESULTS)).config
            await js.delete_stream(RESULTS)
            await js.add_stream(config)
        await setting.write(confirmed(2))
        assert "it lost 1 to 3" in await running.stopped()


async def test_a_stream_that_is_made_again_while_it_is_written_stops_the_notifier(setting: Setting) -> None:
    await setting.write(confirmed(1))
    async with setting.running() as running:
        await running.has_told(1)
        await remake(setting, RESULTS)
        await setting.write(confirmed(2))
        assert "was recreated while it was written" in await running.stopped()


async def test_a_missing_stream_is_named(setting: Setting) -> None:
    async with setting.operator() as js:
        await js.delete_stream(OUTCOMES)
    assert "the stream groupbuy-main-outcomes does not exist: provision the market first" in await alarm_of(setting)


async def test_streams_that_are_behind_each_other_are_each_continued_where_they_are(setting: Setting) -> None:
    """A crash between the two leaves them at different records."""
    for seq in range(1, 9):
        await setting.write(*crowd(seq, 3))
    service = await setting.connect()
    notifier = Notifier(service, MARKET, NOTIFIER)
    await notifier.results.open()
    mails = [mail_of(await notifier._journal.record_at(seq)) for seq in range(1, 6)]
    await notifier.results.deliver([mail.results for mail in mails])
    await notifier.outcomes.open()
    await notifier.outcomes.deliver([mail.outcomes for mail in mails[:2]])
    await service.stop()
    await setting.tell_everything()
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


# --- strays ---


async def test_strays_at_the_end_of_a_stream_do_not_move_its_position(setting: Setting) -> None:
    """A publisher can have the broker's answers, and copies of its own outcomes, delivered to any subject."""
    await setting.write(confirmed(1))
    await setting.write(confirmed(2))
    await setting.tell_everything()
    service = await setting.connect()
    for stream, subject in (
        (RESULTS, subjects.result("main", "m-1-0")),
        (OUTCOMES, subjects.outcome("main", "shop-a")),
    ):
        first = (await setting.stored(stream))[0]
        for headers in ({}, {HEADER_PLACE: first.headers[HEADER_PLACE]}, {HEADER_PLACE: "nonsense"}):
            await service.jetstream.publish(subject, b'{"stream":"x","seq":1}', headers=headers or None)
    await service.stop()
    await setting.write(confirmed(3))
    async with setting.running() as running:
        await running.has_told(3)
        assert channel_of(running).tally.strays == 3
    await setting.assert_each_result_once()
    await setting.assert_each_outcome_once()


async def test_what_a_publisher_has_delivered_to_other_subjects_moves_no_position(
    setting: Setting, connect: Connect
) -> None:
    """Its acknowledgements come as strays; copies of its outcomes are refused by the fence that they carry."""
    await setting.write(confirmed(1))
    await setting.write(*crowd(2, 20))
    await setting.tell_everything()
    shop = (await connect(setting.broker, "shop-a")).client
    foreign = subjects.result("main", "m-9")
    await shop.publish(subjects.intake("main", "shop-a", "order"), b"{}", reply=foreign)
    request = json.dumps({"batch": 1, "expires": 2_000_000_000}).encode()
    for target in (subjects.outcome("main", "shop-a"), foreign):
        await shop.publish(f"$JS.API.CONSUMER.MSG.NEXT.{OUTCOMES}.outcomes-shop-a", request, reply=target)
    await shop.flush()
    await setting.write(confirmed(3))
    await setting.tell_everything()
    await setting.tell_everything()
    own = [message for message in await setting.stored() if message.subject != foreign]
    assert len(own) == 1 + 20 + 1
    while len(await setting.stored()) == len(own):
        await asyncio.sleep(0.05)
    await setting.assert_each_outcome_once()


async def test_a_stray_between_two_publishes_costs_one_more_look(setting: Setting) -> None:
    await setting.write(confirmed(1))
    async with setting.running() as running:
        await running.has_told(1)
        await running.service.jetstream.publish(subjects.result("main", "m-1-0"), b"stray")
        await setting.write(*crowd(2, 40))
        await running.has_told(2)
        assert channel_of(running).tally.conflicts == 1
        await running.service.jetstream.publish(subjects.result("main", "m-1-0"), b"stray")
        await setting.write(*crowd(3, 3))
        await running.has_told(3)
        assert channel_of(running).tally.conflicts == 2
    stored = [message for message in await setting.stored() if message.body != b"stray"]
    assert len(stored) == 1 + 40 + 3


async def test_strays_that_came_before_anything_was_sent_do_not_matter(setting: Setting) -> None:
    service = await setting.connect()
    await service.jetstream.publish(subjects.result("main", "m-1-0"), b"stray")
    await service.stop()
    await setting.write(confirmed(1))
    await setting.tell_everything()
    assert [message.body == b"stray" for message in await setting.stored()] == [True, False]


# --- time ---


async def test_the_position_is_written_anew_before_it_grows_too_old(setting: Setting) -> None:
    await setting.write(confirmed(1))
    await setting.write(knock(2))
    async with setting.operator() as js:
        config = (await js.stream_info(RESULTS)).config
        await js.update_stream(config.evolve(max_age=4.0))
    async with setting.running() as running:
        await running.has_told(2)
        channel: NatsChannel = channel_of(running)
        await channel.renew()
        assert channel.tally.markers == 0
        await asyncio.sleep(1.1)
        await channel.renew()
        assert channel.tally.markers == 1
    marker = (await setting.stored())[-1]
    assert marker.subject == "groupbuy.main.result.$position"
    assert json.loads(marker.body)["record"] == 2
    await until_only_one_is_left(setting)
    await setting.write(confirmed(3))
    await setting.tell_everything()
    assert [entry for _, entry, _ in await setting.told()] == ["3.0.0"]


async def until_only_one_is_left(setting: Setting) -> None:
    """Wait until the stream's age has taken all messages but the last."""
    async with setting.operator() as js:
        for _ in range(600):
            if (await js.stream_info(RESULTS)).state.messages == 1:
                return
            await asyncio.sleep(0.05)
    pytest.fail("the old messages are still there")
