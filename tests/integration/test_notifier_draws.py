"""Whoever holds tickets of a play that is drawn is told of it, won or not, once, however many they are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from events import decisions as d
from events import play_decisions as p
from events.notice import NoticeFact, ToldFact, decode_fact, decode_told, is_told
from events.record import Entry
from services.notifier.channels import Letter
from services.notifier.channels.told import ToldFacts
from services.notifier.dispatch.dispatcher import Line
from services.notifier.draw_teller import DrawTeller
from services.notifier.notifier import Notifier
from tests.conftest import Connect
from tests.dispatch_setting import NOTICES, Dispatching, email_line, entry, start_dispatcher, webhook_line
from tests.journal_writer import JournalWriter
from tests.notifier_journal import SHOP
from tests.notifier_peers import MailPeer, WebhookPeer
from tests.notifier_setting import RESULTS, Setting, until

PLAY = "tea.draw"


@pytest.fixture
async def setting(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> Setting:
    matcher = await connect(fresh_broker, "matcher")
    return Setting(fresh_broker, tmp_path / "data", JournalWriter(matcher.client))


class Whole:
    """A notifier with both of its pipelines, as the service runs it."""

    def __init__(self, notifier: Notifier, dispatching: Dispatching) -> None:
        self.notifier = notifier
        self.dispatching = dispatching

    async def has_told_everything(self, setting: Setting) -> None:
        """Wait until every record is told, every draw too, and every fact is published."""
        await self.dispatching.has_taken_in(setting.last_seq)
        await until(
            lambda: (
                self.notifier.alarm or all(c.reached.position.seq >= setting.last_seq for c in self.notifier.channels)
            ),
            "every record told",
        )
        assert self.notifier.alarm is None
        outbox = self.dispatching.store.outbox
        for _ in range(6_000):
            jobs = await self.dispatching.store.do(
                lambda: outbox.database.connection.execute("SELECT count(*) FROM draws").fetchone()[0]
            )
            if jobs == 0:
                break
            await asyncio.sleep(0.01)
        assert jobs == 0, "draws are still to be told"
        await self.dispatching.is_done()


def pages_until_it_hangs(draws: DrawTeller, pages: int) -> list[int]:
    """Have a teller hang right after a page stands in the stream; return where the members of each are counted."""
    written: list[int] = []
    slip_in = draws._results.slip_in

    async def slip_in_and_hang(letters: Sequence[Letter], marker: Letter) -> None:
        await slip_in(letters, marker)
        written.append(len(letters))
        if len(written) == pages:
            await asyncio.Event().wait()

    draws._results.slip_in = slip_in_and_hang  # type: ignore[method-assign]
    return written


async def start(setting: Setting, lines: Sequence[Line] = (), since_ns: int = 0) -> Whole:
    dispatching = await start_dispatcher(setting, lines, whole=True, since_ns=since_ns)
    assert dispatching.notifier is not None
    await dispatching.notifier.start()
    return Whole(dispatching.notifier, dispatching)


@asynccontextmanager
async def whole(setting: Setting, lines: Sequence[Line] = (), since_ns: int = 0) -> AsyncIterator[Whole]:
    running = await start(setting, lines, since_ns)
    try:
        yield running
    finally:
        await running.notifier.stop()
        await running.dispatching.stop()


def ticketed(seq: int, member: str, position: int, tickets: int = 1, play: str = PLAY) -> Entry:
    told = p.PlayTicketed(
        play=play, member=member, position=position, tickets=tickets, total=0, helpers=position, publisher=SHOP
    )
    return entry(seq, told)


def seats_ticketed(seq: int, members: Sequence[str]) -> Entry:
    seats = [d.SeatRef(order=f"o-{member}", member=member, publisher=SHOP, price_minor=1) for member in members]
    filled = d.GroupFilled(group="g-1", offer="tea", cause="target", size=len(seats), seats=seats)
    told = p.PlayTicketed(play=PLAY, group="g-1", page=1, tickets=1, total=len(seats), helpers=0, publisher=SHOP)
    return entry(seq, filled, told)


def closed(seq: int, winners: int | None, cause: str = "ended", play: str = PLAY) -> Entry:
    over = p.PlayClosed(
        play=play,
        form="lottery",
        cause=cause,  # type: ignore[arg-type]
        seed="00",
        helpers=1,
        tickets=1,
        entrants=1,
        winners=winners,
        publisher=SHOP,
    )
    return entry(seq, over)


def drawn(seq: int, winners: Sequence[str], of: int | None = None, first: int = 1) -> Entry:
    won = [
        p.PlayWon(
            play=PLAY,
            form="lottery",
            member=member,
            prize="tea",
            draw=at,
            draws=of or len(winners),
            helpers=1,
            publisher=SHOP,
        )
        for at, member in enumerate(winners, start=first)
    ]
    return entry(seq, *won)


async def lost(setting: Setting) -> Counter[str]:
    """Who was told on the own subject of not having won, and how often."""
    return Counter(
        message.subject.rpartition(".")[2]
        for message in await setting.stored(RESULTS)
        for document in message.documents
        if document["kind"] == "play.lost"
    )


async def facts(setting: Setting) -> list[NoticeFact | ToldFact]:
    bodies = [message.body for message in await setting.stored(NOTICES)]
    return [decode_told(body) if is_told(body) else decode_fact(body) for body in bodies]


async def test_everybody_with_a_ticket_gets_a_result_of_the_draw_won_or_not(setting: Setting) -> None:
    async with whole(setting) as running:
        await setting.write(ticketed(1, "ann", 1, 2), ticketed(2, "bob", 2), ticketed(3, "eve", 3))
        await setting.write(seats_ticketed(4, ["bob", "cid", "cid"]))
        await setting.write(closed(5, 2), drawn(6, ["ann"], of=2))
        await setting.write(drawn(7, ["eve"], of=2, first=2))
        await running.has_told_everything(setting)
    stored = await setting.stored(RESULTS)
    documents = [document for message in stored for document in message.documents]
    assert [x["member"] for x in documents if x["kind"] == "play.won"] == ["ann", "eve"]
    told = {x["member"]: x for x in documents if x["kind"] == "play.lost"}
    assert {member: x["tickets"] for member, x in told.items()} == {"bob": 2, "cid": 2}
    assert (told["bob"]["won"], told["bob"]["play"], told["bob"]["entry"]) == (False, PLAY, "5.0.0")
    about_draw = [fact for fact in await facts(setting) if isinstance(fact, ToldFact) and fact.data.kind == "draw"]
    (fact,) = about_draw
    assert (fact.data.decision, fact.data.told[0].members) == ("5.0.0/0", ["bob", "cid"])


async def test_tickets_that_were_taken_back_are_no_part_in_the_draw(setting: Setting) -> None:
    back = p.PlayCorrected(play=PLAY, form="lottery", position=1, helpers=1, tickets=1, publisher=SHOP)
    async with whole(setting) as running:
        await setting.write(ticketed(1, "ann", 1), ticketed(2, "bob", 2), ticketed(3, "cid", 3), entry(4, back))
        await setting.write(closed(5, 1), drawn(6, ["cid"]))
        await running.has_told_everything(setting)
    assert await lost(setting) == {"bob": 1}


async def test_nobody_has_lost_a_draw_that_was_cancelled(setting: Setting) -> None:
    async with whole(setting) as running:
        await setting.write(ticketed(1, "ann", 1), closed(2, None, cause="cancelled"))
        await running.has_told_everything(setting)
        left = running.dispatching.store.outbox.database.connection
        rows = await running.dispatching.store.do(lambda: left.execute("SELECT * FROM tickets").fetchall())
    assert await lost(setting) == {} and rows == []


async def test_a_draw_is_told_by_other_channels_too_to_who_has_chosen_them(setting: Setting) -> None:
    async with (
        MailPeer().up() as mail,
        WebhookPeer().up() as hook,
        whole(setting, [email_line(mail), webhook_line(hook)]) as running,
    ):
        await running.dispatching.address("bob", "email", "bob@example.com")
        await setting.write(ticketed(1, "ann", 1), ticketed(2, "bob", 2), ticketed(3, "cid", 3))
        await setting.write(closed(4, 1), drawn(5, ["cid"]))
        await running.has_told_everything(setting)
    assert [str(message["To"]) for message in mail.mails] == ["bob@example.com"]
    assert mail.mails[0]["Subject"] == "You have not won this time"
    told = Counter((posted.document["data"]["member"], posted.document["data"]["won"]) for posted in hook.posted)
    assert told == {("ann", False): 1, ("bob", False): 1, ("cid", True): 1}


async def test_a_notifier_that_starts_late_tells_draws_on_the_own_subject_and_nobody_elsewhere(
    setting: Setting,
) -> None:
    await setting.write(ticketed(1, "ann", 1), ticketed(2, "bob", 2), closed(3, 1), drawn(4, ["ann"]))
    async with WebhookPeer().up() as hook, whole(setting, [webhook_line(hook)], since_ns=2**62) as running:
        await running.has_told_everything(setting)
    assert await lost(setting) == {"bob": 1}
    assert hook.posted == []


async def test_thousands_are_told_once_although_the_notifier_crashes_in_the_middle_and_loses_its_files(
    setting: Setting,
) -> None:
    members = [f"m-{at:04}" for at in range(3_500)]
    for first in range(0, len(members), 500):
        page = members[first : first + 500]
        await setting.write(*(ticketed(first + at + 1, member, first + at + 1) for at, member in enumerate(page)))
    await setting.write(closed(5_000, 1), drawn(5_001, ["m-0000"]))
    dispatching = await start_dispatcher(setting, [], whole=True, since_ns=0)
    draws, notifier = dispatching.dispatcher.draws, dispatching.notifier
    assert draws is not None and notifier is not None
    # As if it were killed after the second page is in the stream and before anything says so.
    written = pages_until_it_hangs(draws, 2)
    await notifier.start()
    await until(lambda: len(written) == 2, "two pages")
    await notifier.stop()
    for task in dispatching.dispatcher._tasks:
        task.cancel()
    await dispatching.stop()
    assert 0 < draws.told < sum(written) < len(members) - 1, "it was stopped in the middle"
    for file in (setting.config().data_dir / "notifier").glob("outbox-*"):
        file.unlink()
    async with whole(setting) as running:
        await running.has_told_everything(setting)
    assert await lost(setting) == Counter(members[1:])
    listed = [
        member
        for fact in await facts(setting)
        if isinstance(fact, ToldFact) and fact.data.kind == "draw"
        for member in fact.data.told[0].members
    ]
    assert set(listed) == set(members[1:])


async def test_results_on_the_own_subjects_leave_facts_that_name_every_record_and_member(setting: Setting) -> None:
    async with whole(setting) as running:
        for seq in range(1, 6):
            await setting.write(*(ticketed(seq * 10 + at, f"m-{at}", 1, play=f"p-{seq}-{at}") for at in range(seq)))
        await running.has_told_everything(setting)
    # A restart in which nothing is new leaves nothing.
    async with whole(setting) as running:
        await running.has_told_everything(setting)
    told = [
        (each.record, member)
        for fact in await facts(setting)
        if isinstance(fact, ToldFact)
        for each in fact.data.told
        for member in each.members
    ]
    assert sorted(told) == sorted((seq, f"m-{at}") for seq in range(1, 6) for at in range(seq))


async def test_who_was_told_before_a_crash_has_its_fact_after_it(setting: Setting) -> None:
    running = await start(setting)
    await running.dispatching.has_taken_in(0)
    told = running.notifier.channels[2]
    assert isinstance(told, ToldFacts)
    # As if it were killed between the result and its fact.
    told.deliver = lambda _: asyncio.sleep(3600)  # type: ignore[method-assign, assignment, return-value]
    await setting.write(ticketed(1, "ann", 1))
    await until(lambda: running.notifier.results.reached.position.seq == 1, "told")
    await running.notifier.stop()
    await running.dispatching.stop()
    assert await facts(setting) == []
    async with whole(setting) as again:
        await again.has_told_everything(setting)
    (fact,) = await facts(setting)
    assert isinstance(fact, ToldFact) and fact.data.told[0].members == ["ann"]
    assert len(await setting.stored(RESULTS)) == 1
