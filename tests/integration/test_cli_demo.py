"""`groupbuy demo`: a market's day comes to the same end, whether its processes are killed or not."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli_process import processes_over, run_cli

pytestmark = pytest.mark.slow
LAUNCHES = "400"
OF_THIS_RUN = ("duplicates", "kills", "p50_ms", "p99_ms")
PROCESSES = {"broker", "gateway", "ledger", "matcher", "notifier"}


def _demo(data: Path, *options: str) -> dict[str, Any]:
    finished = run_cli("demo", "--launches", LAUNCHES, "--data", data, "--json", *options)
    assert finished.status == 0, finished.err
    assert processes_over(data) == set()
    (document,) = finished.documents
    return document


@pytest.fixture(scope="module")
def in_peace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A day without kills: its data and its figures."""
    data = tmp_path_factory.mktemp("demo") / "data"
    return data, _demo(data)


def test_a_day_fills_groups_in_every_way_and_its_money_adds_up(in_peace: tuple[Path, dict[str, Any]]) -> None:
    _, figures = in_peace
    assert figures["launches"] == int(LAUNCHES)
    assert all(count > 0 for count in figures["groups_filled"].values()), figures["groups_filled"]
    assert figures["paid_minor"] == figures["honoured_minor"] + figures["owed_back_minor"]
    assert figures["refunded_minor"] == figures["owed_back_minor"] > 0
    assert figures["results_delivered"] == figures["results"] > 0
    assert figures["audit_findings"] == []
    assert figures["kills"] == {}
    assert figures["duplicates"] == 0


def test_the_stories_it_ends_with_are_in_the_ledger(in_peace: tuple[Path, dict[str, Any]]) -> None:
    data, figures = in_peace
    assert set(figures["stories"]) == {"filled", "refused", "refunded"}
    for member in figures["stories"].values():
        shown = run_cli("ledger", "show", "--member", member, "--market", "demo", "--data", data)
        assert shown.status == 0, shown.err
        assert member in shown.out


def test_killing_every_process_again_and_again_changes_nothing_in_the_table(
    in_peace: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, calm = in_peace
    killed = _demo(tmp_path / "data", "--kill")
    assert set(killed["kills"]) == PROCESSES
    assert {key: value for key, value in killed.items() if key not in OF_THIS_RUN} == {
        key: value for key, value in calm.items() if key not in OF_THIS_RUN
    }
