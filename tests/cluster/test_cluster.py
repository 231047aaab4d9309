"""Three brokers, two copies of each service: whatever dies, nothing is lost and nothing is done twice."""

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from deploy.nodes import make_nodes
from deploy.reach import http_get
from deploy.stack import Stack, StackPlan
from deploy.stack_files import StackError
from services.notifier.dispatch.database import outbox_file
from tests.cluster import faults
from tests.cluster.setting import PATIENCE_S, ROOT, Cluster, Load, check_everything, running_cluster

RATE_PER_S = 20
PARTITION_S = 3.0

pytestmark = pytest.mark.slow


async def test_nothing_is_lost_and_nothing_done_twice_when_matcher_node_and_way_fail(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await _both_gateways_serve(cluster)
        async with Load(cluster, RATE_PER_S) as load:
            # Two that lead learn of each other only by something to decide.
            await cluster.until_standing_by()
            first = await cluster.leader()
            await faults.kill_leader(cluster)
            assert await cluster.leader() != first, "the one that stood by decides now"
            await faults.kill_node(cluster)
            await faults.until_replicated(cluster)
            await faults.cut_off_leading_node(cluster, PARTITION_S)
            await faults.until_replicated(cluster)
        assert load.acknowledged
        await check_everything(cluster, load.acknowledged)
    kept = [path.relative_to(tmp_path) for path in tmp_path.rglob(outbox_file(tmp_path, "main").name)]
    assert kept == [outbox_file(Path(), "main")], "one notifier dispatches: two outboxes would send everything twice"


async def _both_gateways_serve(cluster: Cluster) -> None:
    address = cluster.stack.address
    assert address.http_url is not None and len(address.more_http_urls) == 1
    for url in (address.http_url, *address.more_http_urls):
        until_s, status, told = time.monotonic() + PATIENCE_S, 0, b""
        while status != 200:
            assert time.monotonic() < until_s, told
            with contextlib.suppress(OSError, TimeoutError):
                status, told = await http_get(f"{url}/healthz")


async def test_a_cluster_does_not_start_over_the_market_of_a_single_broker(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, ["main"]):
        pass
    with pytest.raises(StackError, match=r"holds a market on a single broker.*ledger restore"):
        make_nodes(tmp_path, ["main"], publishers=["local"])


async def test_a_market_moves_from_a_single_broker_into_a_cluster_by_its_ledger(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, nodes=1, copies=1) as single, Load(single, RATE_PER_S) as load:
        await asyncio.sleep(1.0)
        await load.end()
        await single.until_all_decided()
        await single.until_level()
    before = load.acknowledged
    (tmp_path / "broker").rename(tmp_path / "broker-before")
    restored = subprocess.run(
        [
            *(sys.executable, "-m", "deploy.cli.main", "ledger", "restore", "--cluster", "--json"),
            *("--actor", "ops", "--ticket", "T-1", "--reason", "move", "--data", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert restored.returncode == 0, restored.stderr
    async with running_cluster(tmp_path, copies=1) as cluster:
        async with Load(cluster, RATE_PER_S, first=10_000) as more:
            await asyncio.sleep(1.0)
        assert await faults.until_replicated(cluster)
        # Restored streams of outcomes are empty, and count as told through what was archived.
        await check_everything(cluster, before + more.acknowledged, told_before=len(before))


async def test_a_single_broker_does_not_start_over_the_market_of_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "node-1" / "store").mkdir(parents=True)
    stack = Stack(StackPlan(data=tmp_path), lambda _: None)
    with pytest.raises(StackError, match=r"holds a market on a cluster of brokers.*--cluster"):
        await asyncio.wait_for(stack.start(), 30)


def test_a_cluster_of_ones_own_over_brokers_of_somebody_else_is_refused() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "up", "--cluster", "--nats", "nats://127.0.0.1:1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2
    assert "give one of the two" in found.stderr
