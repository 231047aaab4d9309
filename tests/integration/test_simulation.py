"""The whole service in a deterministic simulation: some hundred seeds, the same run everywhere, bugs that are found."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.planted import ROOT, changed, hunt

CHUNK = 25
FIRST_SEEDS = range(1, 226, CHUNK)
TIMEOUT_S = 300
EASY_BUGS = ("take_a_lost_fence_for_a_commit", "drop_the_tail_of_a_batch", "cut_beyond_the_floor")
"""Found at the first seeds; `python -m tests.simulation.planted` hunts for all."""

FAMILIES = {"offer", "group", "seat", "refund", "play", "assist", "price", "member", "invitation", "dispute", "refused"}
"""What decisions are about: some seeds in a row meet all of it."""

pytestmark = pytest.mark.slow


def simulated(seeds: str, hash_seed: str = "0") -> dict[str, Any]:
    """Run seeds in a process of their own, and return its report."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", seeds, "--jobs", "1", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout, done.stderr[-2_000:]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("first", FIRST_SEEDS)
def test_whatever_goes_wrong_nothing_is_lost_and_nothing_is_done_twice(first: int) -> None:
    report = simulated(f"{first}..{first + CHUNK - 1}")
    assert report["seeds"] == CHUNK
    assert sum(report["faults"].values()) > 0
    assert {kind.partition(".")[0] for kind in report["decided"]} >= FAMILIES
    assert not report["violations"], report["violations"]


def test_one_seed_is_one_run_whatever_the_order_of_hashes() -> None:
    traces = {simulated("10..10", hash_seed)["trace"] for hash_seed in ("0", "1")}
    assert len(traces) == 1
    assert simulated("12..12")["trace"] not in traces


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_still_has_its_place(bug: Any) -> None:
    assert changed(bug) != (ROOT / bug.path).read_text()


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name in EASY_BUGS], ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Any) -> None:
    found = hunt(bug)
    assert found["seed"] is not None and found["what"]
