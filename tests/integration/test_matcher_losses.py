"""A matcher whose broker has lost what it acknowledged: it says what is missing, and decides nothing from there on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.ports import free_port
from events import subjects
from tests.builders import market, offer, posted
from tests.conftest import MARKET
from tests.integration.matcher_process import MarketLog, MatcherProcess

SHOP = "shop-a"
JOURNAL = subjects.journal_stream(MARKET)
INTAKE = subjects.intake_stream(MARKET)


@pytest.fixture
async def log(fresh_broker: EmbeddedBroker) -> AsyncIterator[MarketLog]:
    """Both logs of a market that takes orders."""
    found = MarketLog(fresh_broker)
    await found.publish("operator", market(publishers={SHOP: ["offer", "order", "refund"]}))
    await found.publish(SHOP, offer(size=2, hold_s=0))
    yield found
    await found.close()


@pytest.fixture
async def matcher(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[MatcherProcess]:
    """A matcher that is not started yet."""
    process = MatcherProcess(fresh_broker, tmp_path / "matcher", free_port())
    yield process
    await process.stop()


async def cut_journal(log: MarketLog, kept: int, identity: str | None = None) -> None:
    """Make the journal anew with its first `kept` records, as a broker does that has lost the end of its file."""
    provisioner = (await log.client("provisioner")).jetstream()
    config = (await provisioner.stream_info(JOURNAL)).config
    held = [await provisioner.get_msg(JOURNAL, seq=seq) for seq in range(1, kept + 1)]
    await provisioner.delete_stream(JOURNAL)
    if identity is not None:
        config = config.evolve(metadata={subjects.IDENTITY_METADATA: identity})
    await provisioner.add_stream(config)
    writer = (await log.client("matcher")).jetstream()
    for message in held:
        await writer.publish(subjects.journal(MARKET), message.data or b"", headers=dict(message.headers or {}))


async def make_intake_anew(log: MarketLog) -> None:
    """Make the intake anew with the same messages at their places, stored at another time; they may be deleted now."""
    provisioner = (await log.client("provisioner")).jetstream()
    config = (await provisioner.stream_info(INTAKE)).config
    held = await log.messages()
    await provisioner.delete_stream(INTAKE)
    await provisioner.add_stream(config.evolve(deny_delete=False))
    for message in held:
        assert await log.publish_body(message.publisher, message.family, message.body) == message.seq


async def decide_some(log: MarketLog, matcher: MatcherProcess, orders: int = 4) -> int:
    """Have orders decided one by one, and kill the matcher before it saves a snapshot; return the records."""
    await matcher.start()
    for _ in range(orders):
        await log.decided_until(await log.publish(SHOP, posted(lead="if_needed")))
    await matcher.kill()
    return len(await log.records())


async def test_a_journal_that_lost_its_end_is_not_decided_anew(log: MarketLog, matcher: MatcherProcess) -> None:
    last = await decide_some(log, matcher)
    await cut_journal(log, last - 2)
    await matcher.start()
    sentence = await matcher.unhealthy_because("rolled back")
    assert f"records {last - 1} to {last} are missing" in sentence
    assert len(await log.records()) == last - 2


async def test_a_journal_that_was_made_anew_is_not_decided_anew(log: MarketLog, matcher: MatcherProcess) -> None:
    await decide_some(log, matcher)
    await cut_journal(log, 0, identity="another")
    await matcher.start()
    assert "another now" in await matcher.unhealthy_because("recreated")
    assert await log.records() == []


async def test_without_its_folder_a_matcher_goes_on_from_what_there_is(log: MarketLog, matcher: MatcherProcess) -> None:
    last = await decide_some(log, matcher)
    await cut_journal(log, last - 2)
    for mark in (matcher.folder / "data").rglob("*.mark"):
        mark.unlink()
    await matcher.start()
    await log.decided_until(await log.publish(SHOP, posted(lead="if_needed")))


async def test_what_the_broker_lost_undecided_is_never_passed_over(log: MarketLog, matcher: MatcherProcess) -> None:
    await make_intake_anew(log)
    await decide_some(log, matcher)
    undecided = [await log.publish(SHOP, posted(lead="if_needed")) for _ in range(5)]
    provisioner = (await log.client("provisioner")).jetstream()
    for seq in undecided[2:4]:
        await provisioner.delete_msg(INTAKE, seq)
    await matcher.start()
    sentence = await matcher.unhealthy_because("missing")
    assert f"messages {undecided[2]} to {undecided[3]} of {INTAKE} are missing" in sentence
    entries = await log.decided_until(undecided[1])
    assert max(entry.seq for entry in entries) == undecided[1]


async def test_the_same_bytes_at_the_same_place_are_not_the_message_that_was_decided_before_a_loss(
    log: MarketLog, matcher: MatcherProcess
) -> None:
    await decide_some(log, matcher)
    decided = await log.entries()
    await make_intake_anew(log)
    await matcher.start()
    assert "is not the one that was decided" in await matcher.unhealthy_because("rolled back")
    assert await log.entries() == decided
