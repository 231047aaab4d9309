"""A stream that the broker has given up is noticed by the broker's log, and a restart waits for room."""

import shutil
from pathlib import Path

import pytest

from deploy.broker_log import ROOM_BYTES, StuckStore

FULL = (
    "[1] 2026/11/26 10:01:24 [ERR] JetStream failed to store a msg on stream '$G > i': write 1.blk: "
    "no space left on device\n"
)
CRITICAL = "[1] 2026/11/26 10:01:24 [ERR] Filestore [i] Critical write error: write 1.blk: no space left on device\n"
PLAIN = "[1] 2026/11/26 10:01:24 [INF] Server is ready\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with what an earlier process said."""
    log = tmp_path / "nats.log"
    log.write_text(CRITICAL)
    return log


def say(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


@pytest.mark.parametrize("sentence", [FULL, CRITICAL])
def test_a_stream_that_takes_no_more_writes_needs_a_restart(log: Path, tmp_path: Path, sentence: str) -> None:
    stuck = StuckStore(log, tmp_path)
    assert not stuck.restart_helps()
    say(log, PLAIN + sentence + PLAIN)
    assert stuck.restart_helps()
    assert stuck.restart_helps()


def test_a_line_that_is_written_in_two_parts_is_understood(log: Path, tmp_path: Path) -> None:
    stuck = StuckStore(log, tmp_path)
    say(log, FULL[:90])
    assert not stuck.restart_helps()
    say(log, FULL[90:])
    assert stuck.restart_helps()


def test_a_log_that_was_rotated_is_read_from_its_beginning(log: Path, tmp_path: Path) -> None:
    stuck = StuckStore(log, tmp_path)
    log.write_text("")
    assert not stuck.restart_helps()
    say(log, FULL)
    assert stuck.restart_helps()


def test_without_room_a_restart_would_not_help(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [ROOM_BYTES - 1]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    stuck = StuckStore(log, tmp_path)
    say(log, FULL)
    assert not stuck.restart_helps()
    free[0] = ROOM_BYTES
    assert stuck.restart_helps()


def test_an_ordinary_log_is_no_reason(log: Path, tmp_path: Path) -> None:
    stuck = StuckStore(log, tmp_path)
    say(log, PLAIN * 100)
    assert not stuck.restart_helps()
