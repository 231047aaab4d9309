"""Members are told at their time, in their language, gathered, once; or not at all, with the reason."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from starlette.responses import Response

from deploy.broker import EmbeddedBroker
from events.member import QuietHours
from services.notifier.dispatch.database import OutboxError
from services.notifier.dispatch.dead_letters import dead_letters, replay
from services.notifier.policy.purposes import Purpose
from services.notifier.policy.quiet import parse_quiet_hours
from services.notifier.texts.texts import Texts
from tests.conftest import Connect
from tests.dispatch_setting import (
    NOTICES,
    Dispatching,
    chose,
    configured,
    consent,
    dispatching,
    email_line,
    facts_of,
    filled,
    invited,
    kinds_of,
    listed,
    opened,
    refund,
    start_dispatcher,
    webhook_line,
    wechat_line,
)
from tests.journal_writer import JournalWriter
from tests.notifier_journal import AT_NS
from tests.notifier_peers import HandClock, MailPeer, WebhookPeer, WechatPeer
from tests.notifier_setting import Setting, until

HOUR_S = 3_600
ANN, BOB = "ann@example.com", "bob@example.com"
OPENID = "o" * 28
# AT_NS is 2026-09-21 14:13:20 UTC.
ALL_DAY = {"quiet": parse_quiet_hours("14:00-16:00")}


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


async def known_address(setting: Setting, member: str = "m-1", kind: str = "email", address: str = ANN) -> None:
    running = await start_dispatcher(setting, [])
    await running.address(member, kind, address)
    await running.stop()


async def test_a_result_waits_for_the_end_of_quiet_hours_and_then_comes(setting: Setting) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], clock, market=ALL_DAY) as running:
        await setting.write(refund(1))
        await running.has_taken_in(1)
        await running.is_done(waiting=1)
        await until(lambda: running.dispatcher.publisher.published == 1, "put off")
        assert peer.mails == []
        clock.advance(2 * HOUR_S)
        await running.is_done()
    assert [mail["To"] for mail in peer.mails] == [ANN]
    facts = await facts_of(setting)
    assert kinds_of(facts) == ["deferred/quiet_hours", "sent"]
    assert facts[0].data.until_ns == AT_NS + (16 * HOUR_S - (14 * HOUR_S + 13 * 60 + 20)) * 10**9


async def test_choices_count_as_they_stand_when_it_is_sent_and_not_when_it_was_decided(setting: Setting) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], clock, market=ALL_DAY) as running:
        await setting.write(chose(1, consents=(consent(),)))
        await setting.write(invited(2))
        await running.has_taken_in(2)
        await running.is_done(waiting=1)
        withdrawn = consent(standing=False, withdrawn_at=AT_NS + 3)
        seq = await setting.write(chose(3, consents=(withdrawn,)))
        await running.has_taken_in(seq)
        clock.advance(2 * HOUR_S)
        await running.is_done()
    assert peer.mails == []
    assert kinds_of(await facts_of(setting)) == ["deferred/quiet_hours", "suppressed/no_consent"]


async def test_an_invitation_goes_only_the_way_that_was_asked_for_and_names_what_allows_it(setting: Setting) -> None:
    await known_address(setting)
    async with MailPeer().up() as mail, WebhookPeer().up() as hook:
        lines = [email_line(mail), webhook_line(hook)]
        async with dispatching(setting, lines, HandClock(AT_NS)) as running:
            await setting.write(chose(1, consents=(consent(),)))
            seq = await setting.write(invited(2, inviter="m-9"))
            await running.has_taken_in(seq)
            await running.is_done()
    assert len(mail.mails) == 1 and hook.posted == []
    assert "m-9 invites you" in mail.mails[0].get_content() or "m-9 invites you" in mail.mails[0]["Subject"]
    (fact,) = await facts_of(setting)
    assert (fact.data.permission, fact.data.inviter, fact.data.as_of) == ("standing", "m-9", 2)


async def test_an_invitation_to_a_group_that_is_over_is_not_sent(setting: Setting) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], clock, market=ALL_DAY) as running:
        await setting.write(configured(1), listed(2), opened(3), chose(4, consents=(consent(),)))
        await setting.write(invited(5, group="g-1", pool=None))
        await running.has_taken_in(2)
        await running.is_done(waiting=1)
        seq = await setting.write(filled(6, members=("m-7",)))
        await running.has_taken_in(seq)
        clock.advance(2 * HOUR_S)
        await running.is_done()
    assert kinds_of(await facts_of(setting)) == ["deferred/quiet_hours", "suppressed/past_usefulness"]


async def test_results_of_one_group_within_the_window_come_as_one_message_and_none_is_lost(setting: Setting) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer, 60)], clock) as running:
        for seq in range(1, 8):
            await setting.write(refund(seq, group="g-1", amount_minor=seq))
        await setting.write(refund(8, group="g-2", amount_minor=8))
        await running.has_taken_in(8)
        assert peer.mails == []
        clock.advance(61)
        await running.is_done()
    subjects_ = sorted(mail["Subject"] for mail in peer.mails)
    assert subjects_ == ["0.08 CNY goes back to you", "7 messages for you"]
    digest = next(mail for mail in peer.mails if mail["Subject"].startswith("7"))
    assert all(f"0.0{amount} CNY goes back to you" in digest.get_content() for amount in range(1, 8))
    facts = await facts_of(setting)
    assert kinds_of(facts) == ["sent"] * 8
    assert len({fact.data.digest for fact in facts if fact.data.group == "g-1"}) == 1
    assert len({fact.data.notice for fact in facts}) == 8


async def test_who_wants_no_digests_gets_each_result_by_itself(setting: Setting) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer, 60)], clock) as running:
        await setting.write(chose(1, purposes=("result",)))
        await setting.write(refund(2, group="g-1"), refund(3, group="g-1"))
        await running.has_taken_in(2)
        clock.advance(61)
        await running.is_done()
    assert len(peer.mails) == 2


async def test_a_result_comes_in_the_language_of_the_member(setting: Setting) -> None:
    await known_address(setting)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], HandClock(AT_NS)) as running:
        await setting.write(chose(1, language="zh"))
        seq = await setting.write(refund(2))
        await running.has_taken_in(seq)
        await running.is_done()
    assert peer.mails[0]["Subject"] == "5.00元 将退还给您"


async def test_who_has_left_no_address_has_not_chosen_the_channel_and_who_removes_it_is_not_told(
    setting: Setting,
) -> None:
    await known_address(setting)
    clock = HandClock(AT_NS)
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], clock, market=ALL_DAY) as running:
        await setting.write(refund(1, "nobody"), refund(2, "m-1"))
        await running.has_taken_in(1)
        await running.is_done(waiting=1)
        await running.store.do(lambda: running.store.addresses.remove("m-1"))
        clock.advance(2 * HOUR_S)
        await running.is_done()
    facts = await facts_of(setting)
    assert [(fact.data.member, fact.data.reason) for fact in facts] == [("m-1", "quiet_hours"), ("m-1", "no_address")]


async def test_one_time_grants_are_consumed_one_by_one(setting: Setting) -> None:
    await known_address(setting, kind="wechat", address=OPENID)
    async with WechatPeer().up() as peer:
        peer.grant(OPENID, "T-refund", 5)
        async with dispatching(setting, [wechat_line(peer)], HandClock(AT_NS)) as running:
            granted = consent("result", "wechat", standing=False, granted=2)
            await setting.write(chose(1, consents=(granted,)))
            seq = await setting.write(*(refund(2 + at) for at in range(5)))
            await running.has_taken_in(seq)
            await running.is_done()
    assert len(peer.taken) == 2, "as many as the member has allowed, whatever the platform would take"
    assert Counter(kinds_of(await facts_of(setting))) == {"sent": 2, "suppressed/no_grant": 3}


async def test_a_grant_that_the_platform_does_not_know_is_a_reason_and_not_a_failure(setting: Setting) -> None:
    await known_address(setting, kind="wechat", address=OPENID)
    async with WechatPeer().up() as peer:
        peer.openids.add(OPENID)
        async with dispatching(setting, [wechat_line(peer)], HandClock(AT_NS)) as running:
            await setting.write(chose(1, consents=(consent("result", "wechat", standing=False, granted=1),)))
            seq = await setting.write(refund(2))
            await running.has_taken_in(seq)
            await running.is_done()
    (fact,) = await facts_of(setting)
    assert fact.data.reason == "no_grant" and "43101" in (fact.data.why or "")


async def test_poison_goes_to_the_dead_letters_with_its_reason_and_the_others_get_through(setting: Setting) -> None:
    await known_address(setting)
    await known_address(setting, "m-2", address=BOB)
    running = await start_dispatcher(setting, [])
    # Put there behind the back of the check: as an older version might have.
    await running.store.do(
        lambda: running.store.addresses._connection.execute(
            "UPDATE addresses SET address = 'ann@example.com\r\nBcc: all@example.com' WHERE member = 'm-1'"
        )
    )
    await running.stop()
    async with MailPeer().up() as peer, dispatching(setting, [email_line(peer)], HandClock(AT_NS)) as running:
        seq = await setting.write(refund(1, "m-1"), refund(2, "m-2"))
        await running.has_taken_in(seq)
        await running.is_done()
        (dead,) = dead_letters(running.store.outbox.database)
        assert dead.member == "m-1" and "line break" in dead.why
        await running.address("m-1", "email", ANN)
        replay(running.store.outbox.database, None, AT_NS)
        running.dispatcher.wake()
        await running.is_done()
    assert sorted(str(mail["To"]) for mail in peer.mails) == [ANN, BOB]
    facts = await facts_of(setting)
    assert Counter(kinds_of(facts)) == {"failed": 1, "sent": 2}
    again = next(fact for fact in facts if fact.data.round == 2)
    assert again.data.first == next(fact.id for fact in facts if fact.type.endswith("failed.v1"))


async def test_a_template_that_raises_at_sending_is_poison_for_its_message_alone(
    setting: Setting, tmp_path: Path
) -> None:
    """Every sample passes at start, and still a real amount may be more than a template bears."""
    await known_address(setting)
    (tmp_path / "refund_due.txt").write_text("{{ 100 // (refund_minor - 7) }}\n{{ refund_minor|money(currency) }}")
    async with MailPeer().up() as peer:
        line = email_line(peer, texts=Texts(tmp_path))
        async with dispatching(setting, [line], HandClock(AT_NS)) as running:
            seq = await setting.write(refund(1, amount_minor=7), refund(2, amount_minor=8))
            await running.has_taken_in(seq)
            await running.is_done()
            (dead,) = dead_letters(running.store.outbox.database)
    assert "refund_due.txt, line 1: ZeroDivisionError" in dead.why
    assert [mail.get_content().strip() for mail in peer.mails] == ["0.08 CNY"]


async def test_what_waits_on_a_channel_that_is_taken_out_of_the_configuration_is_not_forgotten(
    setting: Setting,
) -> None:
    clock = HandClock(AT_NS)
    ill = WebhookPeer(answer=lambda _: Response(status_code=500))
    async with ill.up(), dispatching(setting, [webhook_line(ill)], clock) as running:
        await running.has_taken_in(await setting.write(refund(1)))
        await until(lambda: running.dispatcher.workers[0].tally.retried == 1, "a try")
    async with WebhookPeer().up() as peer:
        async with dispatching(setting, [], clock) as running:
            await running.is_done()
            (dead,) = dead_letters(running.store.outbox.database)
            assert dead.why == "the channel webhook:shop-a is not in the configuration any more"
        async with dispatching(setting, [webhook_line(peer)], clock) as running:
            replay(running.store.outbox.database, None, AT_NS)
            running.dispatcher.wake()
            await running.is_done()
        assert len(peer.posted) == 1


async def test_a_mail_server_that_is_down_keeps_its_backlog_on_disk_and_drains_when_it_is_back(
    setting: Setting,
) -> None:
    await known_address(setting)
    clock, peer = HandClock(AT_NS), MailPeer()
    async with peer.up():
        pass
    async with WebhookPeer().up() as hook:
        lines = [email_line(peer), webhook_line(hook)]
        async with dispatching(setting, lines, clock) as running:
            seq = await setting.write(*(refund(1 + at) for at in range(30)))
            await running.has_taken_in(seq)
            await until(lambda: len(hook.posted) == 30, "others flow")
            await until(lambda: running.dispatcher.workers[0].condition.pauses >= 1, "the channel pauses as a whole")
            await running.is_done(waiting=30)
            assert running.dispatcher.workers[0].tally.dead == 0
        async with peer.up(), dispatching(setting, lines[:1], clock) as running:
            for _ in range(50):
                clock.advance(60)
                await running.is_done(waiting=29)
                if len(peer.mails) == 30:
                    break
            await running.is_done()
    assert len({mail["Message-ID"] for mail in peer.mails}) == len(peer.mails) == 30
    facts = await facts_of(setting)
    assert Counter(zip([fact.data.channel for fact in facts], kinds_of(facts), strict=True)) == {
        ("email", "sent"): 30,
        ("webhook:shop-a", "delivered"): 30,
    }


async def test_a_message_past_its_usefulness_is_suppressed_with_that_reason(setting: Setting) -> None:
    await known_address(setting)
    useful = {Purpose.RESULT: HOUR_S}
    async with MailPeer().up() as peer:
        line, clock = email_line(peer), HandClock(AT_NS)
        async with dispatching(setting, [line], clock, market=ALL_DAY, useful_for_s=useful) as running:
            seq = await setting.write(refund(1))
            await running.has_taken_in(seq)
            await running.is_done()
    assert peer.mails == []
    assert kinds_of(await facts_of(setting)) == ["suppressed/past_usefulness"]


async def test_what_was_decided_before_the_dispatcher_was_first_used_is_nobodys_news(setting: Setting) -> None:
    await setting.write(refund(1))
    clock = HandClock(AT_NS + 10)
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)], clock, since_ns=None) as running:
        seq = await setting.write(refund(100))
        await running.has_taken_in(seq)
        await running.is_done()
    assert [posted.document["data"]["refund"] for posted in peer.posted] == ["r-100"]


async def test_choices_on_disk_survive_a_restart(setting: Setting) -> None:
    await known_address(setting)
    quiet = QuietHours(begins="14:00", ends="15:00")
    async with MailPeer().up() as peer:
        async with dispatching(setting, [email_line(peer)], HandClock(AT_NS)) as running:
            await running.has_taken_in(await setting.write(chose(1, quiet=quiet, timezone="UTC")))
        async with dispatching(setting, [email_line(peer)], HandClock(AT_NS)) as running:
            await running.has_taken_in(await setting.write(refund(2)))
            await running.is_done(waiting=1)
            await until(lambda: running.dispatcher.publisher.published == 1, "a fact")
    assert kinds_of(await facts_of(setting)) == ["deferred/quiet_hours"]


async def test_a_dispatcher_that_is_stopped_while_it_starts_leaves_nothing_running(setting: Setting) -> None:
    """A reader that nobody knows of would go on for ever, over files that are closed."""
    await setting.write(refund(1))
    for _ in range(3):
        running = await start_dispatcher(setting, [])
        await running.stop()
        left = [task.get_name() for task in asyncio.all_tasks() if not task.done()]
        assert not [name for name in left if name.startswith(("journal", "notifier"))], left


async def test_a_second_notifier_does_not_send_from_the_same_outbox(setting: Setting) -> None:
    async with dispatching(setting, []):
        with pytest.raises(OutboxError, match="another notifier sends from"):
            await start_dispatcher(setting, [])


async def test_facts_are_published_once_whatever_happens_to_the_publisher(setting: Setting) -> None:
    running: Dispatching
    async with WebhookPeer().up() as peer:
        for first in range(0, 60, 20):
            async with dispatching(setting, [webhook_line(peer)], HandClock(AT_NS)) as running:
                seq = await setting.write(*(refund(1 + first + at) for at in range(20)))
                await running.has_taken_in(seq)
                await until(lambda first=first: len(peer.posted) == first + 20, "sent")
                running.dispatcher.publisher._end = None
        async with dispatching(setting, [], HandClock(AT_NS)) as running:
            # As after a crash between publishing and forgetting.
            running.dispatcher.publisher._end = None
            await running.is_done()
    facts = await facts_of(setting)
    assert len({fact.id for fact in facts}) == len(facts) == 60
    numbers = [int(stored.headers["Groupbuy-Fact"].split()[1]) for stored in await setting.stored(NOTICES)]
    assert numbers == list(range(1, 61))


async def test_a_slow_provider_is_not_sent_more_than_it_takes(setting: Setting) -> None:
    clock = HandClock(AT_NS)
    peer = WebhookPeer(answer=lambda _: Response(status_code=200))
    async with peer.up(), dispatching(setting, [webhook_line(peer, per_s=2.0)], clock) as running:
        seq = await setting.write(*(refund(1 + at) for at in range(10)))
        await running.has_taken_in(seq)
        await running.is_done(waiting=8)
        for seconds in range(1, 5):
            assert len(peer.posted) <= 2 + 2 * seconds
            clock.advance(1)
            await running.is_done(waiting=8 - 2 * seconds)
    assert len(peer.posted) == 10


async def test_a_clock_that_is_set_back_holds_up_no_slow_provider(setting: Setting) -> None:
    clock = HandClock(AT_NS)
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer, per_s=1.0)], clock) as running:
        clock.advance(HOUR_S)
        await running.has_taken_in(await setting.write(refund(1)))
        await running.is_done()
        clock.advance(-HOUR_S)
        await running.has_taken_in(await setting.write(refund(2)))
        clock.advance(1)
        await running.is_done()
    assert len(peer.posted) == 2


async def test_a_clock_that_is_set_back_lengthens_no_pause(setting: Setting) -> None:
    clock = HandClock(AT_NS)
    async with WebhookPeer().up() as peer, dispatching(setting, [webhook_line(peer)], clock) as running:
        clock.advance(HOUR_S)
        (worker,) = running.dispatcher.workers
        worker.condition.pause(100)
        assert worker.condition.paused_until_ns(clock.now_ns()) == clock.now_ns() + 100 * 10**9
        clock.advance(-HOUR_S)
        assert worker.condition.paused_until_ns(clock.now_ns()) is None
        await running.has_taken_in(await setting.write(refund(1)))
        await running.is_done()
    assert len(peer.posted) == 1
