"""After the broker's disk is lost the streams come back from the ledger, and the market goes on where that stands."""

import asyncio
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.archive import archive, archived_entries, wait_until_archived
from deploy.first_run import first_configuration, sample_offer, set_up_market
from deploy.permissions import LEDGER, PROVISIONER
from deploy.plan import SERVICES, StackPlan
from deploy.reach import http_get
from deploy.restore import Act, Restoration, Restored
from deploy.stack import Stack
from deploy.stack_files import StackError, free_service_port
from events import subjects
from events.market_decisions import MarketRestored
from events.record import Entry, hash_bytes
from events.times import format_time_ns
from services.bus.client import GroupBuyClient, new_event
from services.ledger.audit import audit
from services.ledger.replay_check import replay_check
from services.ledger.replay_part import Source
from services.ledger.verify import verify
from services.matcher.domain.facts import Facts
from services.matcher.zones import pinned_zones

pytestmark = pytest.mark.slow
ACT = Act(actor="amy", reason="disk_lost", ticket="t-1")
ORDERS = 12


def plan_over(data: Path) -> StackPlan:
    """A stack over a data folder, on free ports."""
    nats_port = free_service_port()
    return StackPlan(data=data, nats_port=nats_port, http_port=free_service_port([nats_port]))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The data folder of a market that has run and was stopped, and the events that were sent to it."""
    data = tmp_path_factory.mktemp("restore") / "data"
    return data, asyncio.run(run_a_market(plan_over(data)))


@pytest.fixture
def plan(pristine: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> StackPlan:
    """A stack over a copy of that folder."""
    data = tmp_path / "data"
    shutil.copytree(pristine[0], data)
    return plan_over(data)


def order_event(name: str) -> dict[str, Any]:
    """An order for a seat that is paid for."""
    order = {
        "order": f"o-{name}",
        "member": f"m-{name}",
        "offer": "sample-tea",
        "lead": "if_needed",
        "payment": {"payment": f"p-{name}", "amount_minor": 990, "currency": "CNY"},
    }
    return new_event("order.posted", order, "/test", event_id=f"e-{name}")


async def client_of(stack: Stack) -> GroupBuyClient:
    seed = stack.data / "keys" / "local.nk"
    return await GroupBuyClient.connect(stack.address.nats_url, market=stack.market, publisher="local", seed_file=seed)


async def run_a_market(plan: StackPlan) -> dict[str, dict[str, Any]]:
    """Run a market with some orders until all is archived and told, and stop; return the events by name."""
    events = {str(name): order_event(str(name)) for name in range(ORDERS)}
    async with Stack(plan, print) as stack:
        await set_up_market(stack, format_time_ns(time.time_ns()), first_configuration(["local"]), [sample_offer()])
        async with await client_of(stack) as client:
            for event in events.values():
                await client.submit(event)
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    return events


async def restore(plan: StackPlan, *, replace: bool = False) -> Restored:
    with archive(plan.data, plan.market) as store:
        restoration = Restoration(store, plan.data.resolve(), ACT, replace=replace, progress=lambda *_: None)
        return await restoration.run(None)


def lose_the_disk(plan: StackPlan) -> None:
    """Delete everything that the broker stored."""
    stored = plan.data / "broker" / "store"
    assert stored.is_dir()
    shutil.rmtree(stored)


def entries_of(plan: StackPlan) -> list[Entry]:
    with archive(plan.data, plan.market) as store:
        return list(archived_entries(store))


def bodies_of(plan: StackPlan) -> dict[int, bytes]:
    with archive(plan.data, plan.market) as store:
        return {record.seq: record.body for record in store.records()}


def check_ledger(plan: StackPlan) -> None:
    """The whole archive verifies, adds up, and is what the rules lead to."""
    key = bytes.fromhex((plan.data / "keys" / f"market-{plan.market}.key").read_text())
    with archive(plan.data, plan.market) as store:
        assert verify(store).fault is None
        assert audit(store).clean
        report = replay_check(store, Source(Facts(market_key=key), pinned_zones()))
        assert report.is_same, report


async def journal_messages(stack: Stack) -> dict[int, tuple[str | None, bytes]]:
    """Every message of the journal by sequence: its id and its bytes."""
    found: dict[int, tuple[str | None, bytes]] = {}
    async with stack.connected(PROVISIONER) as client:
        jetstream = client.jetstream()
        stream = subjects.journal_stream(stack.market)
        last_seq = (await jetstream.stream_info(stream)).state.last_seq
        for seq in range(1, last_seq + 1):
            message = await jetstream.get_msg(stream, seq=seq)
            found[seq] = (message.headers or {}).get(subjects.HEADER_MESSAGE_ID), message.data or b""
    return found


async def results_told(stack: Stack) -> int:
    """How many messages to members stand in the results stream."""
    async with stack.connected(PROVISIONER) as client:
        info = await client.jetstream().stream_info(subjects.results_stream(stack.market), subjects_filter=">")
        return sum(count for subject, count in (info.state.subjects or {}).items() if not subject.endswith("$position"))


@pytest.fixture
def lost(plan: StackPlan, pristine: tuple[Path, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The events of a market that has run, whose broker's disk is lost."""
    lose_the_disk(plan)
    return pristine[1]


async def test_after_the_disk_is_lost_everything_goes_on_where_the_ledger_stands(
    plan: StackPlan, lost: dict[str, dict[str, Any]]
) -> None:
    before = bodies_of(plan)
    originals = {entry.publisher: entry for entry in entries_of(plan)}
    assert originals
    restored = await restore(plan)
    assert restored.record == max(before)
    async with Stack(plan, print) as stack:
        journal = await journal_messages(stack)
        assert {seq: body for seq, (_, body) in journal.items() if seq in before} == before
        assert all(journal[seq][0] == hash_bytes(body) for seq, body in before.items())
        async with await client_of(stack) as client:
            (again,) = await client.submit(lost["3"])
            assert (again["kind"], again["original"]) == ("duplicate", "seat.confirmed")
            (new,) = await client.submit(order_event("new"))
            assert new["kind"] == "seat.confirmed"
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
        status, body = await http_get(f"{stack.address.services['notifier']}/healthz")
        assert status == 200, body
        until = time.monotonic() + 20
        while await results_told(stack) == 0 and time.monotonic() < until:
            await asyncio.sleep(0.05)
        # Only what is new is told: nobody hears again what was archived.
        assert await results_told(stack) <= 3
    entries = entries_of(plan)
    acts = [entry for entry in entries if isinstance(entry.decisions[0], MarketRestored)]
    assert [(entry.seq, entry.publisher) for entry in acts] == [(restored.intake_message + 1, "operator")]
    assert acts[0].decisions[0].actor == "amy"
    check_ledger(plan)


async def test_what_can_be_missing_is_all_that_came_after_what_is_archived(
    plan: StackPlan, lost: dict[str, dict[str, Any]]
) -> None:
    restored = await restore(plan)
    assert not restored.nothing_missing
    assert restored.may_be_missing[0].startswith(
        f"events that the broker acknowledged after intake message {restored.intake_message}"
    )
    assert restored.lost_events == 0


async def test_what_was_acknowledged_and_not_archived_is_told_and_may_be_sent_again(plan: StackPlan) -> None:
    without_ledger = dataclasses.replace(plan, services=tuple(name for name in SERVICES if name != LEDGER))
    async with Stack(without_ledger, print) as stack, await client_of(stack) as client:
        (told,) = await client.submit(order_event("late"))
        assert told["kind"] == "seat.confirmed"
    lose_the_disk(plan)
    restored = await restore(plan)
    # The matcher's own snapshot knows more than the ledger: evidence of what is missing, and in the way.
    assert any("which the matcher had committed" in sentence for sentence in restored.may_be_missing)
    assert len(restored.snapshots_set_aside) == 1
    async with Stack(plan, print) as stack, await client_of(stack) as client:
        (again,) = await client.submit(order_event("late"))
        assert again["kind"] == "seat.confirmed"
        assert again["entry"] != told["entry"]
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    check_ledger(plan)


async def test_a_restoration_that_was_interrupted_goes_on(plan: StackPlan, lost: dict[str, dict[str, Any]]) -> None:
    class Cut(Exception):
        pass

    def cut(done: int, _: int) -> None:
        if done > 6:
            raise Cut

    with archive(plan.data, plan.market) as store, pytest.raises(Cut):
        await Restoration(store, plan.data.resolve(), ACT, replace=False, progress=cut).run(None)
    first = await restore(plan)
    second = await restore(plan)
    assert second.streams[subjects.journal_stream(plan.market)] == "kept"
    assert first.intake_message == second.intake_message
    async with Stack(plan, print) as stack, await client_of(stack) as client:
        (new,) = await client.submit(order_event("new"))
        assert new["kind"] == "seat.confirmed"
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    assert sum(isinstance(entry.decisions[0], MarketRestored) for entry in entries_of(plan)) == 1


async def test_a_lost_journal_alone_loses_nothing(plan: StackPlan) -> None:
    async with _broker_only(plan) as stack, stack.connected(PROVISIONER) as client:
        await client.jetstream().delete_stream(subjects.journal_stream(plan.market))
    restored = await restore(plan)
    assert restored.nothing_missing
    assert restored.streams[subjects.intake_stream(plan.market)] == "kept"
    async with Stack(plan, print) as stack, await client_of(stack) as client:
        (new,) = await client.submit(order_event("new"))
        assert new["kind"] == "seat.confirmed"
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    assert not any(isinstance(entry.decisions[0], MarketRestored) for entry in entries_of(plan))
    check_ledger(plan)


async def test_streams_that_hold_something_else_are_not_replaced_unasked(plan: StackPlan) -> None:
    lose_the_disk(plan)
    # Whoever starts the stack before restoring gets streams that know nothing, and may publish into them.
    async with _broker_only(plan) as stack, await client_of(stack) as client:
        await client.publish(order_event("too-early"))
    with pytest.raises(StackError, match=r"intake \(other, 1 message\).*--replace"):
        await restore(plan)
    restored = await restore(plan, replace=True)
    assert "made anew" in restored.streams[subjects.intake_stream(plan.market)]


async def test_an_intact_market_is_left_as_it_is(plan: StackPlan) -> None:
    restored = await restore(plan)
    assert restored.nothing_missing
    assert set(restored.streams.values()) == {"kept"}


async def test_without_an_operators_act_no_matcher_decides_from_another_intake(plan: StackPlan) -> None:
    async with _broker_only(plan) as stack, stack.connected(PROVISIONER) as client:
        await client.jetstream().delete_stream(subjects.intake_stream(plan.market))
    with pytest.raises(StackError, match=r"was recreated.*groupbuy ledger restore"):
        async with Stack(plan, print):
            pass


def _broker_only(plan: StackPlan) -> Stack:
    return Stack(dataclasses.replace(plan, services=()), print)
