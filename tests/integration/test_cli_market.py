"""`groupbuy market`: a market is added to what runs, and nothing of the others is restarted."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from deploy.added_markets import AddedMarket, note_added
from deploy.cli.archive import archive, wait_until_archived
from deploy.first_run import SAMPLE_OFFER
from deploy.identity import load_identity
from deploy.permissions import PROVISIONER
from deploy.reach import close_quietly, connect_as
from deploy.stack_files import MarketAddress, free_service_port, is_port_free, read_address
from events import subjects
from events.times import format_time_ns
from services.bus.client import GroupBuyClient, new_event
from tests.integration.cli_process import PATIENCE_S, Up, http, run_cli_async, up

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
DECIDED = {"seat.held", "duplicate"}
"""A duplicate is what a publisher hears that had to ask again."""
NORTH_PORT = free_service_port()
STARTED = format_time_ns(time.time_ns())


class Shop:
    """A publisher of one market that posts one order after the other, each of another member."""

    def __init__(self, client: GroupBuyClient, market: str) -> None:
        self._client = client
        self._market = market
        self.answers: list[dict[str, Any]] = []
        self.closed = False

    async def order(self) -> None:
        name = f"{self._market}-{len(self.answers)}"
        order = {"order": f"o-{name}", "member": f"m-{name}", "offer": SAMPLE_OFFER, "lead": "if_needed"}
        self.answers += await self._client.submit(new_event("order.posted", order, "/shop"), give_up_s=PATIENCE_S)

    async def order_until_closed(self) -> None:
        # Not until cancelled: the client's library loses that when an answer comes at the same time.
        while not self.closed:
            await self.order()


@asynccontextmanager
async def shop(data: Path, market: str) -> AsyncIterator[Shop]:
    address = read_address(data)
    assert address is not None
    seed_file = load_identity(data, "local").seed_file
    async with await GroupBuyClient.connect(address.nats_url, market=market, seed_file=seed_file) as client:
        yield Shop(client, market)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """Run a stack over a data directory to which a market was added before."""
    data = tmp_path_factory.mktemp("markets") / "data"
    data.mkdir(mode=0o700)
    prepared = await run_cli_async("market", "add", "north", "--http-port", str(NORTH_PORT), "--data", data, "--json")
    assert prepared.documents == [{"market": "north", "state": "prepared"}]
    async with up(data) as stack:
        await _until(lambda: stack.address.added.get("north", MarketAddress()).http_url)
        yield stack


async def test_a_market_that_was_added_before_begins_with_the_next_stack(running: Up) -> None:
    url = f"http://127.0.0.1:{NORTH_PORT}/markets/north/events"
    assert (await _post(running, url, "m-1"))["kind"] == "seat.held"


async def test_a_market_is_added_while_the_others_go_on_and_no_process_of_theirs_is_restarted(running: Up) -> None:
    data, before = running.data, running.processes()
    async with shop(data, "main") as old:
        ordering = asyncio.create_task(old.order_until_closed())
        await _until(lambda: len(old.answers) > 0)
        added = await run_cli_async("market", "add", "east", "--data", data, "--json")
        decided = len(old.answers)
        assert added.status == 0, added.err
        assert before < running.processes()
        assert len(running.processes() - before) == 4, "matcher, ledger, notifier and gateway of the new market"
        async with shop(data, "east") as new:
            await new.order()
            assert new.answers[0]["kind"] in DECIDED
            (url,) = added.documents[0]["gateways"]
            assert (await _post(running, url, "m-2"))["kind"] == "seat.held"
        await _until(lambda: len(old.answers) > decided)
        old.closed = True
        await ordering
        assert {answer["kind"] for answer in old.answers} <= DECIDED
    await _has_results(data, "east", {"m-east-0", "m-2"})
    # Configuration, offer, two orders.
    await wait_until_archived(data, "east", 4)
    await _until_signed(data, "east")
    for check in ("verify", "audit"):
        assert (await run_cli_async("ledger", check, "--market", "east", "--data", data)).status == 0

    again = await run_cli_async("market", "add", "east", "--data", data)
    assert (again.status, "the market east is there already" in again.err) == (2, True)
    removed = await run_cli_async("market", "remove", "east", "--data", data, "--json")
    assert removed.documents == [{"market": "east", "state": "stopped"}]
    assert running.processes() == before
    async with shop(data, "main") as old:
        await old.order()


async def test_a_market_that_cannot_be_served_is_told_and_harms_no_other(running: Up) -> None:
    before = running.processes()
    taken = int((running.address.http_url or "").rpartition(":")[2])
    assert not is_port_free(taken)
    note_added(running.data, "west", AddedMarket(http_port=taken))
    await _until(lambda: "west" in running.address.added)
    listed = await run_cli_async("market", "list", "--data", running.data, "--json")
    states = {row["market"]: row["state"] for row in listed.documents}
    assert (states["main"], states["west"]) == ("served", "in trouble")
    assert f"port {taken} on 127.0.0.1 cannot be used" in listed.out
    refused = await run_cli_async("publish", "--market", "west", "-", "--data", running.data)
    assert (refused.status, ", not west: `groupbuy market add west" in refused.err) == (2, True)
    assert (await run_cli_async("market", "remove", "west", "--data", running.data)).status == 0
    assert "west" not in running.address.added
    assert running.processes() == before


async def test_a_market_is_added_to_a_running_cluster_and_no_process_of_the_others_is_restarted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with up(data, "--cluster") as running:
        before = running.processes()
        async with shop(data, "main") as old:
            await old.order()
            added = await run_cli_async("market", "add", "east", "--data", data, "--json")
            assert added.status == 0, added.err
            await old.order()
            assert {answer["kind"] for answer in old.answers} <= DECIDED
        assert before < running.processes()
        assert len(running.processes() - before) == 8, "two copies of each service of the new market"
        for number, url in enumerate(added.documents[0]["gateways"]):
            assert (await _post(running, url, f"m-{number}"))["kind"] == "seat.held"
        await _has_results(data, "east", {"m-0", "m-1"})
        await wait_until_archived(data, "east", 4)
        await _until_signed(data, "east")
        for folder in (data, data / "copies" / "2"):
            assert (await run_cli_async("ledger", "verify", "--market", "east", "--data", folder)).status == 0


async def _post(running: Up, url: str, member: str) -> dict[str, Any]:
    """Post a member's order to a gateway, the same one each time; return its outcome."""
    order = {"order": f"o-{member}", "member": member, "offer": SAMPLE_OFFER, "lead": "if_needed"}
    event = new_event("order.posted", order, "/curl", f"e-{member}", STARTED)
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/cloudevents+json"}
    status, answer = await http(url, body=msgspec.json.encode(event), headers=headers)
    assert status == 200, answer
    outcome: dict[str, Any] = msgspec.json.decode(answer)["outcomes"][0]
    return outcome


async def _has_results(data: Path, market: str, members: set[str]) -> None:
    """Wait until each of the members has a result."""
    address = read_address(data)
    assert address is not None
    client = await connect_as(data, address.nats_url, PROVISIONER)
    try:
        async with asyncio.timeout(PATIENCE_S):
            missing = members
            while missing:
                stream = subjects.results_stream(market)
                info = await client.jetstream().stream_info(stream, subjects_filter=">")
                missing = {name for name in members if subjects.result(market, name) not in (info.state.subjects or {})}
    finally:
        await close_quietly(client)


async def _until_signed(data: Path, market: str) -> None:
    """Wait for the first checkpoint: a tree without one is taken for a loss, and it is signed once a second."""
    with archive(data, market) as store:
        await _until(store.checkpoint)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.05)
