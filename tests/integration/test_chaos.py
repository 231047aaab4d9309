"""Real processes under real faults, in short: `make chaos` plays longer, and with a backlog of a million."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.damage import DAMAGES
from tests.chaos.disks import Disk, NoDisks
from tests.chaos.planted import PLANTED
from tests.simulation.planted import ROOT, plant

TIMEOUT_S = 600
SHORT_S = "6"
LOSS_SEED = "31"
"""Of this one the end of the journal is cut off."""

pytestmark = pytest.mark.slow


def chaos(folder: Path, *arguments: str) -> dict[str, Any]:
    """Play rounds in a process of their own, whose folders lie in `folder`, and return the report."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--short", "--json", "--rounds", "1", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout, done.stderr[-2_000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert not report["violations"], report["violations"]
    assert done.returncode == 0
    return report


@pytest.mark.parametrize(("seed", "database"), [(2, "sqlite"), (3, "postgresql")])
def test_whatever_is_done_to_the_processes_every_promise_holds(seed: int, database: str, tmp_path: Path) -> None:
    arguments = ("--seed", str(seed), "--database", database, "--faults", SHORT_S, "--losses", "0")
    report = chaos(tmp_path, *arguments)
    assert sum(report["faults"].values()) > 0
    assert report["events"] > 0 and report["entries"] > 0 and report["results"] > 0
    # Whoever made the folders has also removed them, and what was mounted in them.
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("chaos-")] == []


def test_a_broker_whose_disk_was_full_takes_events_again_once_there_is_room(tmp_path: Path) -> None:
    report = chaos(tmp_path, "--only", "full disk under broker", "--faults", "4", "--losses", "0")
    if "full disk under broker" in report["skipped"]:
        pytest.skip(report["skipped"]["full disk under broker"])
    assert report["faults"]["full disk under broker"] > 0


def test_what_the_broker_lost_is_named_and_what_was_archived_comes_back(tmp_path: Path) -> None:
    report = chaos(tmp_path, "--seed", LOSS_SEED, "--faults", "0", "--losses", "1")
    assert report["losses"] == {"journal cut: noticed and restored": 1}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.bug.name)
def test_every_planted_bug_still_has_its_place(planted: Any, tmp_path: Path) -> None:
    plant(planted.bug, tmp_path)
    assert (tmp_path / planted.bug.path).read_text() != (ROOT / planted.bug.path).read_text()


def test_every_stream_that_must_not_be_lost_is_damaged() -> None:
    assert {damage.stream for damage in DAMAGES} == {"", "journal", "intake", "results", "outcomes"}


def test_where_no_disk_can_be_mounted_the_reason_is_said(tmp_path: Path) -> None:
    # Not even who may mount may do so with a size that is none.
    with pytest.raises(NoDisks, match=r"mount is not permitted here: .+"):
        Disk(tmp_path / "disk", -1).mount()
