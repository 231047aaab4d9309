"""All processes together: what is accepted is decided once, archived once and told once, whoever is killed when."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.cli.archive import archive, archived_entries, wait_until_archived
from deploy.cli.delivered import count_results
from deploy.first_run import first_configuration, sample_offer, set_up_market
from deploy.permissions import PROVISIONER
from deploy.stack import Stack, StackPlan
from deploy.stack_files import free_service_port
from events import decisions as d
from events.outcomes import results_of
from events.record import Entry
from events.times import format_time_ns
from services.bus.client import GroupBuyClient, new_event

pytestmark = pytest.mark.slow
PROCESSES = ("matcher", "ledger", "notifier", "gateway", "broker")
ORDERS_PER_KILL = 120
IN_FLIGHT = 8


@pytest_asyncio.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A whole stack with a market that takes orders."""
    nats_port = free_service_port()
    plan = StackPlan(data=tmp_path / "data", nats_port=nats_port, http_port=free_service_port([nats_port]))
    async with Stack(plan, print) as running:
        now = format_time_ns(time.time_ns())
        await set_up_market(running, now, first_configuration(["local"]), [sample_offer()])
        yield running


async def _connect(stack: Stack) -> GroupBuyClient:
    seed = stack.data / "keys" / "local.nk"
    return await GroupBuyClient.connect(stack.address.nats_url, market=stack.market, publisher="local", seed_file=seed)


def _order(name: str) -> dict[str, object]:
    order = {
        "order": f"o-{name}",
        "member": f"m-{name}",
        "offer": "sample-tea",
        "lead": "if_needed",
        "payment": {"payment": f"p-{name}", "amount_minor": 990, "currency": "CNY"},
    }
    return new_event("order.posted", order, "/test", event_id=f"e-{name}")


async def _entries(stack: Stack) -> list[Entry]:
    await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
    with archive(stack.data, stack.market) as store:
        return list(archived_entries(store))


@pytest.mark.parametrize("victim", PROCESSES)
async def test_a_kill_at_any_instant_loses_nothing_and_does_nothing_twice(stack: Stack, victim: str) -> None:
    names = iter(range(ORDERS_PER_KILL))
    outcomes: dict[str, list[dict[str, object]]] = {}

    async def keep_ordering() -> None:
        async with await _connect(stack) as client:
            for name in names:
                outcomes[f"o-{name}"] = await client.submit(_order(str(name)))

    async def kill_meanwhile() -> None:
        for share in (4, 2):
            while len(outcomes) < ORDERS_PER_KILL // share:
                await asyncio.sleep(0.005)
            # It may still be on its way back from the first kill.
            while stack.supervisor.kill(victim) is None:
                await asyncio.sleep(0.005)

    await asyncio.gather(kill_meanwhile(), *(keep_ordering() for _ in range(IN_FLIGHT)))
    assert len(outcomes) == ORDERS_PER_KILL
    kinds = {outcome["kind"] for (outcome,) in outcomes.values()}
    assert kinds <= {"seat.confirmed", "duplicate"}

    entries = await _entries(stack)
    seats = Counter(x.order for entry in entries for x in entry.decisions if isinstance(x, d.SeatConfirmed))
    assert seats == Counter({f"o-{name}": 1 for name in range(ORDERS_PER_KILL)})
    filled = [
        seat.order for entry in entries for x in entry.decisions if isinstance(x, d.GroupFilled) for seat in x.seats
    ]
    assert sorted(filled) == sorted(seats)
    # Every input has exactly one outcome: positions follow each other without a gap and without a repetition.
    assert [(entry.seq, entry.index, entry.part) for entry in entries] == sorted(
        {(entry.seq, entry.index, entry.part) for entry in entries}
    )
    assert {entry.seq for entry in entries} == set(range(1, await stack.intake_last_seq() + 1))
    expected = sum(1 for entry in entries for _ in results_of(entry))
    async with stack.connected(PROVISIONER) as client:
        assert await count_results(client, stack.market, expected) == expected


async def test_everything_killed_at_once_comes_back_with_everything(stack: Stack) -> None:
    async with await _connect(stack) as client:
        before = await client.submit([_order(str(number)) for number in range(50)])
        for name in PROCESSES:
            stack.supervisor.kill(name)
        again = await client.submit([_order(f"later-{number}") for number in range(50)])
    assert [outcome["kind"] for outcome in (*before, *again)] == ["seat.confirmed"] * 100
    assert sum(isinstance(x, d.GroupFilled) for entry in await _entries(stack) for x in entry.decisions) == 50


async def test_a_stopped_stack_goes_on_where_it_ended(tmp_path: Path) -> None:
    plan = StackPlan(data=tmp_path / "data", nats_port=free_service_port(), http_port=free_service_port())
    async with Stack(plan, print) as first:
        now = format_time_ns(time.time_ns())
        assert await set_up_market(first, now, first_configuration(["local"]), [sample_offer()]) == 2
        async with await _connect(first) as client:
            (opened,) = await client.submit(_order("first"))
    async with Stack(plan, print) as second:
        assert await set_up_market(second, now, first_configuration(["local"]), [sample_offer()]) > 2
        async with await _connect(second) as client:
            (joined,) = await client.submit(_order("second"))
    assert joined["group"] == opened["group"]
    assert [also["kind"] for also in joined["also"]] == ["group.filled"]
