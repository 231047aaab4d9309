"""`groupbuy up`: one command, a market that takes a first order, and an end without traces."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deploy.broker import EmbeddedBroker
from deploy.stack import Stack, StackPlan
from deploy.stack_files import StackError, free_service_port
from events.times import format_time_ns
from tests.integration.cli_process import PATIENCE_S, Up, http, processes_over, run_cli_async, running, up

__all__ = ["running"]

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
LINUX = sys.platform.startswith("linux")


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def _order(name: str) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "type": "groupbuy.order.posted.v1",
            "id": f"e-{name}",
            "source": "/test",
            "time": format_time_ns(time.time_ns()),
            "data": {"order": f"o-{name}", "member": f"m-{name}", "offer": "sample-tea", "lead": "if_needed"},
        }
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_printed_curl_line_posts_a_first_order_as_it_is_pasted(running: Up) -> None:
    shell = await asyncio.create_subprocess_exec("sh", "-c", running.curl_line, stdout=asyncio.subprocess.PIPE)
    answer, _ = await shell.communicate()
    (outcome,) = msgspec.json.decode(answer)["outcomes"]
    assert (outcome["kind"], outcome["offer"]) == ("seat.held", "sample-tea")
    assert outcome["payable_minor"] == 990


async def test_a_healthy_stack_says_so_and_shows_the_figures_of_every_service(running: Up) -> None:
    status, health = await http(f"{running.address.http_url}/healthz")
    assert (status, msgspec.json.decode(health)["status"]) == (200, "ok")
    status, metrics = await http(f"{running.address.http_url}/metrics")
    assert status == 200
    for service in ("matcher", "gateway", "ledger", "notifier"):
        assert f"groupbuy_{service}_" in metrics


async def test_the_token_of_local_is_shown_and_kept_where_only_its_owner_reads(running: Up) -> None:
    assert running.token in running.welcome
    for path in [*(running.data / "keys").iterdir(), *(running.data / "config").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for name in ("keys", "config"):
        assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o700
    headers = {"Authorization": "Bearer wrong", "Content-Type": "application/cloudevents+json"}
    url = f"{running.address.http_url}/markets/main/events"
    assert (await http(url, body=_order("x"), headers=headers))[0] in (401, 403)


async def test_a_second_stack_over_the_same_data_is_refused(running: Up) -> None:
    second = await run_cli_async("up", "--data", running.data)
    assert second.status == 2
    assert f"(process {running.process.pid}, market main) already runs over" in second.err
    # The first one has not noticed.
    assert (await http(f"{running.address.http_url}/healthz"))[0] == 200


async def test_ctrl_c_ends_everything_and_the_next_start_goes_on_from_there(tmp_path: Path) -> None:
    data, order = tmp_path / "data", _order("1")
    headers = {"Content-Type": "application/cloudevents+json"}
    async with up(data) as running:
        headers["Authorization"] = f"Bearer {running.token}"
        _, first = await http(f"{running.address.http_url}/markets/main/events", body=order, headers=headers)
        assert len(running.processes()) == 5
        ended = await running.interrupt()
        assert ended.status == 0
        assert "what was accepted is kept" in ended.err
        assert "starting it again" not in ended.err
    assert processes_over(data) == set()
    async with up(data) as running:
        _, again = await http(f"{running.address.http_url}/markets/main/events", body=order, headers=headers)
    (first_outcome,) = msgspec.json.decode(first)["outcomes"]
    (again_outcome,) = msgspec.json.decode(again)["outcomes"]
    assert again_outcome["kind"] == "duplicate"
    assert again_outcome["of"] == first_outcome["entry"]


@pytest.mark.skipif(not LINUX, reason="the kernel ends orphans on Linux only")
async def test_no_process_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        children = running.processes()
        assert len(children) == 5
        running.process.kill()
        await running.process.wait()
        await _until(lambda: not processes_over(running.data))
    # Nothing is left that would keep the next one from starting.
    async with up(tmp_path / "data"):
        pass


async def test_a_killed_service_is_started_again_and_it_is_said_aloud(running: Up) -> None:
    matcher = _pid_of(running.processes(), "services.matcher")
    os.kill(matcher, signal.SIGKILL)
    assert running.process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        while (
            "matcher was killed by SIGKILL; starting it again" not in (await running.process.stderr.readline()).decode()
        ):
            pass
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/cloudevents+json"}
    url = f"{running.address.http_url}/markets/main/events"
    status, answer = await http(url, body=_order("after"), headers=headers)
    assert status == 200
    assert msgspec.json.decode(answer)["outcomes"][0]["kind"] == "seat.held"


async def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = await run_cli_async("up", "--data", tmp_path / "data", "--nats-port", str(taken.getsockname()[1]))
    assert refused.status == 2
    assert "--nats-port" in refused.err
    assert processes_over(tmp_path / "data") == set()


async def test_a_data_directory_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = await run_cli_async("up", "--data", tmp_path / "file")
    assert refused.status == 2
    assert "--data" in refused.err


async def test_a_market_that_is_no_name_is_refused(tmp_path: Path) -> None:
    refused = await run_cli_async("up", "--data", tmp_path / "data", "--market", "my market")
    assert refused.status == 2
    assert "market 'my market' is no name" in refused.err


async def test_a_foreign_broker_is_only_looked_at_unless_its_streams_may_be_made(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with EmbeddedBroker(data, ["main"], port=free_service_port()) as broker:
        plan = StackPlan(data=data, nats_url=broker.url, services=("matcher",))
        with pytest.raises(StackError, match="lacks groupbuy-main-intake, groupbuy-main-journal"):
            await Stack(plan, print).start()
        allowed = StackPlan(data=data, nats_url=broker.url, services=("matcher",), may_provision=True)
        async with Stack(allowed, print):
            pass
        async with Stack(plan, print) as stack:
            assert stack.address.nats_url == broker.url
            assert await stack.intake_last_seq() == 0


async def test_a_foreign_broker_that_does_not_know_our_users_gets_a_configuration_to_copy(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "theirs", ["main"], port=free_service_port()) as broker:
        plan = StackPlan(data=tmp_path / "ours", nats_url=broker.url, services=())
        with pytest.raises(StackError, match=r"nats-example\.conf") as refused:
            await Stack(plan, print).start()
    assert "provisioner" in str(refused.value)
    example = (tmp_path / "ours" / "config" / "nats-example.conf").read_text()
    assert "groupbuy.main.journal" in example


def _pid_of(pids: set[int], module: str) -> int:
    for pid in pids:
        if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise AssertionError(f"{module} does not run")
