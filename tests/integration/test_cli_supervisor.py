"""The supervisor: what dies comes back, what is stopped stays stopped, nothing outlives it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import deploy.supervisor
from deploy.logs import limit_log
from deploy.supervisor import BACKOFF_MAX_S, STEADY_AFTER_S, Backoff, ServiceChild, Supervisor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
SUPERVISE = """
import asyncio, sys
from pathlib import Path
from deploy.supervisor import ServiceChild, Supervisor

async def main():
    manner, log = Path(sys.argv[1]), Path(sys.argv[2])
    child = ServiceChild("worker", "tests.integration.stand_in", manner, log)
    await Supervisor([child], print).start()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _child(tmp_path: Path, name: str = "worker", manner: str = "stay") -> ServiceChild:
    file = tmp_path / f"{name}.manner"
    file.write_text(manner)
    return ServiceChild(name, "tests.integration.stand_in", file, tmp_path / f"{name}.log")


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    """Whether a process still runs; one that ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_service_that_is_killed_comes_back_and_it_is_said_aloud(tmp_path: Path) -> None:
    child = _child(tmp_path)
    said: list[str] = []
    supervisor = Supervisor([child], said.append)
    await supervisor.start()
    try:
        first = supervisor.kill("worker")
        await _until(lambda: child.pid not in (None, first))
        assert said == ["worker was killed by SIGKILL; starting it again in 0.2 s"]
        assert supervisor.restarts == {"worker": 1}
    finally:
        await supervisor.stop()
    assert child.pid is None


async def test_a_service_that_ends_by_itself_is_quoted_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.supervisor, "BACKOFF_MAX_S", 0.2)
    said: list[str] = []
    supervisor = Supervisor([_child(tmp_path, manner="die")], said.append)
    await supervisor.start()
    try:
        await _until(lambda: len(said) >= 2)
    finally:
        await supervisor.stop()
    assert said[0].startswith("worker ended with status 1: cannot work: nothing is as it should be; starting it again")


async def test_a_service_that_is_stopped_on_purpose_stays_stopped_until_it_is_started_again(tmp_path: Path) -> None:
    child = _child(tmp_path)
    said: list[str] = []
    supervisor = Supervisor([child], said.append)
    await supervisor.start()
    try:
        await child.stop()
        await asyncio.sleep(0.5)
        assert child.pid is None
        await child.start()
        first = supervisor.kill("worker")
        await _until(lambda: child.pid not in (None, first))
        assert len(said) == 1
    finally:
        await supervisor.stop()


async def test_a_service_that_is_removed_is_not_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    removed, other = _child(tmp_path, "matcher@east"), _child(tmp_path, "matcher")
    supervisor = Supervisor([removed, other], lambda _: None, ["matcher"])
    await supervisor.start()
    try:
        pid, kept = removed.pid, other.pid
        await supervisor.remove(["matcher@east"])
        assert pid is not None and not _alive(pid)
        assert [child.name for child in supervisor.children] == ["matcher"]
        assert kept is not None and other.pid == kept and _alive(kept)
    finally:
        await supervisor.stop()
    assert not _alive(kept)


async def test_services_end_in_the_order_asked_for_each_after_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [_child(tmp_path, name) for name in ("first", "second", "third")]
    ended: list[tuple[str, list[str]]] = []
    stop = ServiceChild.stop

    async def noted(child: ServiceChild) -> None:
        await stop(child)
        ended.append((child.name, [other.name for other in children if other.pid is not None]))

    monkeypatch.setattr(ServiceChild, "stop", noted)
    supervisor = Supervisor(children, print, ("second", "first"))
    await supervisor.start()
    await supervisor.stop()
    assert ended == [("second", ["first", "third"]), ("first", ["third"]), ("third", [])]


async def test_a_service_that_does_not_want_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy.supervisor, "STOP_TIMEOUT_S", 0.5)
    child = _child(tmp_path, manner="stubborn")
    supervisor = Supervisor([child], print)
    await supervisor.start()
    pid = child.pid
    assert pid is not None
    # Until it has set its mind on ignoring the request, the request would end it.
    await asyncio.sleep(0.5)
    await supervisor.stop()
    assert not _alive(pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel ends orphans on Linux only")
async def test_no_service_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    manner = tmp_path / "manner"
    manner.write_text("stubborn")
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(manner), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(await asyncio.to_thread(supervisor.stdout.readline))
        assert _alive(pid)
        supervisor.send_signal(signal.SIGKILL)
    await _until(lambda: not _alive(pid))


def test_restarts_come_slower_and_slower_within_a_bound_and_fast_again_after_a_steady_time() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s(0) for _ in range(12)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(delays) == BACKOFF_MAX_S
    assert backoff.delay_s(STEADY_AFTER_S) == 0.2


def test_a_log_that_grew_too_large_starts_anew_and_keeps_its_newest_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.logs, "LOG_MAX_BYTES", 100)
    log = tmp_path / "matcher.log"
    log.write_text("old " * 20 + "new " * 20)
    with log.open("a") as writer:
        limit_log(log)
        writer.write("next")
    assert log.read_text() == "next"
    assert set((tmp_path / "matcher.log.old").read_text().split()) <= {"w", "new"}
