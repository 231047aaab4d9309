"""The report of `groupbuy bench all`: what it says of given figures, and that one part spoils no other."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli import bench as command
from tests.bench import bench_all, bench_peers, latency, sustained
from tests.bench.parts import NAMES
from tests.bench.peers import PeerMissing, PeerResult, redis
from tests.bench.report import figures, write_report
from tests.bench.report.machine import machine_facts

KEYS = (
    "singles_per_s batch100_per_s gateway_per_s stack_per_s p50_ms p99_ms restart_s bytes_per_group growth_ratio peers"
)


def _latency(p50_ms: float) -> dict[str, float]:
    return {"per_s": 100, "p50": p50_ms, "p90": p50_ms * 2, "p99": p50_ms * 4, "p99.9": p50_ms * 5, "max": p50_ms * 9}


def _measured() -> dict[str, dict[str, Any] | None]:
    """Return figures of every part, as the parts give them."""
    cell = {"size": 5, "demand": "scarce", "arrivals": "poisson", "members": 100, "optimum_share": 0.9}
    return {
        "peers": {
            "peers": {
                **dict.fromkeys(figures.PEERS, 1000),
                "postgres_procedure": 20_000,
                "postgres_procedure_64": 10_000,
            },
            "peers_overfilled_groups": {"naive": 3},
            "peers_stuck_groups": {"naive": 4},
            "peers_missing": {},
        },
        "pipeline": {
            "singles_per_s": 30_000,
            "batch100_per_s": 100_000,
            "gateway_per_s": 11_000,
            "no_rules_singles_per_s": 40_000,
            "decided_per_s": {"singles": 30_000, "batches_of_100": 100_000},
            "gateway_per_s_by_in_flight": {"1": 500, "64": 11_000},
            "latency_ms_gateway": {"10%": _latency(2.0)},
            "latency_ms_published": {"10%": _latency(3.0)},
        },
        "stack": {
            "stack_per_s": 21_000,
            "p50_ms": 5.0,
            "p99_ms": 26.0,
            "ack_p50_ms": 2.0,
            "latency_ms": {"publish to outcome": _latency(5.0)},
            "cpu_us_per_event": {"singles": {"broker": 140.0}, "batches": {"broker": 25.0, "load": 4.0}},
            "lag_events": [{"at_s": 2.0, "decided": 10, "archived": 20}, {"at_s": 4.0, "decided": 11, "archived": 19}],
        },
        "cluster": {"decided_per_s": {"singles": 5_000}},
        "growth": {
            "restart_s": 25.0,
            "bytes_per_group": 650,
            "growth_ratio": 1.1,
            "sizes": [
                {"open_groups": 1_000, "us_per_event": 10.0, "snapshot_start_s": 0.1},
                {"open_groups": 1_000_000, "us_per_event": 10.5, "snapshot_start_s": 2.5},
                {"open_groups": 10_000_000, "us_per_event": 11.0, "snapshot_start_s": 25.0},
            ],
        },
        "matching": {
            "merging_gain": 0.2,
            "merging_share_of_optimum": 0.8,
            "cells": [
                {
                    **cell,
                    "filled_share": {"merging": 0.7},
                    "wait_h": {"merging": 4.0},
                    "optimum_is": "bound",
                    "other_ways": {"at once": {"filled_share": 0.812, "wait_h": 2.5}},
                }
            ],
        },
        "profile": {"top_functions": {"rules": [{"function": "plain.py:admit", "percent": 5.0, "calls_per_event": 1}]}},
    }


def test_the_report_is_a_directory_of_table_json_and_plots(tmp_path: Path) -> None:
    write_report(tmp_path, _measured(), {"cores": 2})
    plots = ["growth", "lag", "latency", "loads", "matching", "processes", "rates"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        ["report.json", "report.txt", *(f"{name}.svg" for name in plots)]
    )
    for name in plots:
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(KEYS.split()) <= set(report)
    assert report["batch100_per_s"] == 100_000
    assert set(report["peers"]) == set(figures.PEERS)
    assert report["machine"] == {"cores": 2}
    assert report["not_measured"] == {}


def test_each_figure_stands_beside_its_floor_and_its_aim(tmp_path: Path) -> None:
    write_report(tmp_path, _measured(), {})
    said = [" ".join(line.split()) for line in (tmp_path / "report.txt").read_text().splitlines()]
    assert "decided joins/s, single-event backlog 30,000 25,000 35,000 floor reached" in said
    assert "the same over the stored procedure 5 5 floor reached" in said
    assert "single-event backlog, full rules over none 0.75 0.7 0.85 floor reached" in said
    assert "publish to outcome at 2,000 singles/s, p99, ms 26 ≤ 25 short of the floor" in said
    assert "the same over the broker's own acknowledgement 2.5 ≤ 2 short of the aim" in said
    assert "cost per event, most open groups over 1,000 1.1 ≤ 1.5 ≤ 1.2 aim reached" in said
    assert "naive 1,000 3 4" in said, "overfilled and stuck groups stand beside the rate"
    assert "plain.py:admit 5 1" in said, "the profile stays in the report"
    assert "restart with a million open groups, s 2.5 ≤ 8 ≤ 3 aim reached" in said, "not that of ten million"
    assert "10,000,000 11 25" in said
    assert "5, scarce, poisson 81.2 (2.5)" in said
    assert "batches 25 4" in said, "a process that only one load has does not shift the others"


def test_what_is_missing_is_named_with_the_reason_and_the_rest_is_reported(tmp_path: Path) -> None:
    parts = _measured()
    parts["stack"] = {"not_measured": "given up after 240 s"}
    parts["growth"] = None
    peers = parts["peers"]
    assert peers is not None
    del peers["peers"]["postgres_procedure"]
    peers["peers_missing"] = {"postgres_procedure": "PostgreSQL is not installed here"}
    report = write_report(tmp_path, parts, {})
    assert report["stack_per_s"] is None
    assert report["peers"]["postgres_procedure"] is None
    assert report["not_measured"] == {
        "stack": "given up after 240 s",
        "growth": "was not asked for",
        "peers.postgres_procedure": "PostgreSQL is not installed here",
    }
    ratio = next(row for row in report["targets"] if "over the stored procedure" in row["what"])
    assert (ratio["value"], ratio["verdict"]) == (None, "not measured")
    assert "PostgreSQL is not installed here" in (tmp_path / "report.txt").read_text()
    assert not (tmp_path / "lag.svg").exists()


def test_a_report_without_any_figure_says_so(tmp_path: Path) -> None:
    report = write_report(tmp_path, dict.fromkeys(NAMES), {})
    assert report["plots"] == []
    assert {row["verdict"] for row in report["targets"]} == {"not measured"}


def test_figures_of_a_busy_machine_are_not_to_be_quoted(tmp_path: Path) -> None:
    write_report(tmp_path, _measured(), {"busy_cores_before": 0.1})
    assert (tmp_path / "report.txt").read_text().startswith("Promised\n")
    write_report(tmp_path, _measured(), {"busy_cores_before": 1.4})
    said = (tmp_path / "report.txt").read_text()
    assert said.startswith("Promised, measured while others kept 1.4 cores busy: not to be quoted\n")


@pytest.mark.parametrize(
    ("better", "value", "verdict"),
    [
        ("more", 20.0, "aim reached"),
        ("more", 19.9, "floor reached"),
        ("more", 10.0, "floor reached"),
        ("more", 9.9, "short of the floor"),
        ("less", 20.0, "short of the floor"),
        ("less", 10.0, "floor reached"),
        ("less", 5.0, "aim reached"),
    ],
)
def test_a_figure_at_its_limit_reaches_it(better: Any, value: float, verdict: str) -> None:
    aim = 20.0 if better == "more" else 5.0
    assert figures.Target("what", "key", floor=10.0, aim=aim, better=better).verdict(value) == verdict


def test_a_part_measured_again_keeps_what_the_others_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, dict[str, Any]] = {"pipeline": {"singles_per_s": 1}, "stack": {"stack_per_s": 2}}
    monkeypatch.setattr(bench_all, "_measure", lambda part, *_, **__: dict(found[part.name]))
    bench_all.run(tmp_path, quick=True, only=["pipeline", "stack"], say=lambda _: None)
    found["stack"] = {"stack_per_s": 3}
    report = bench_all.run(tmp_path, quick=True, only=["stack"], say=lambda _: None)
    assert (report["singles_per_s"], report["stack_per_s"]) == (1, 3)
    assert report["quick"] is True


def test_a_part_that_there_is_not_is_refused_before_anything_is_compiled_or_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "choose_way", lambda **_: pytest.fail("the rules were compiled"))
    with pytest.raises(command.CommandError, match=r"no part speed: the parts are peers, pipeline"):
        CliRunner().invoke(command.bench_app, ["all", "--only", "speed"], catch_exceptions=False, standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_crashes_ends_with_its_status_and_last_words() -> None:
    code = "import sys; print('one', file=sys.stderr); sys.exit('the disk is full')"
    assert bench_all.in_a_process([sys.executable, "-c", code], 30) == (1, "one / the disk is full")


def test_a_part_that_takes_too_long_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(file)!r}).write_text(str(child.pid))\n"
        "print('begun', file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    assert bench_all.in_a_process([sys.executable, "-c", code], 5)[0] is None
    assert file.exists(), "it had started something"
    until_s = time.monotonic() + 20
    while _runs(file.read_text()) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not _runs(file.read_text())


def _runs(pid: str) -> bool:
    """Tell whether a process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_peer_that_is_not_here_or_fails_leaves_the_others_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: bool) -> dict[str, PeerResult]:
        raise PeerMissing("a is not installed: install a")

    def failing(_: bool) -> dict[str, PeerResult]:
        raise OSError("no space left")

    peers = (
        bench_peers.Peer(missing, ("a",)),
        bench_peers.Peer(failing, ("b",)),
        bench_peers.Peer(lambda _: {"c": PeerResult(7.4, overfilled=1)}, ("c",)),
    )
    monkeypatch.setattr(bench_peers, "PEERS", peers)
    found = bench_peers.run(quick=True)
    assert found["peers"] == {"c": 7}
    assert found["peers_overfilled_groups"] == {"c": 1}
    assert found["peers_missing"] == {"a": "a is not installed: install a", "b": "failed: no space left"}


def test_redis_that_is_not_installed_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis.shutil, "which", lambda _: None)
    with pytest.raises(PeerMissing, match="apt-get install redis-server"):
        redis.measure(True)


def test_the_facts_of_the_machine_are_told(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)
    assert facts["cores"] >= 1
    assert facts["kernel"]
    assert facts["processor"]
    assert 0 < facts["fsync_p50_us"] <= facts["fsync_p99_us"]
    assert "nats-server" in facts["broker"]


def test_a_lag_that_grows_is_told_from_one_that_sways() -> None:
    swaying = [{"at_s": 2.0 * i, "decided": 100 * (i % 3), "archived": 500} for i in range(60)]
    growing = [{**look, "archived": 500 + 30 * i} for i, look in enumerate(swaying)]
    assert abs(sustained.growth_per_s(swaying)) < 1
    assert sustained.growth_per_s(growing) == pytest.approx(15, abs=0.5)


def test_percentiles_never_pass_the_largest() -> None:
    found = latency.percentiles([1.0, 2.0, 3.0, 50.0])
    assert found["p50"] == 2.5
    assert found["p50"] <= found["p90"] <= found["p99"] <= found["p99.9"] <= found["max"] == 50.0
