"""`groupbuy import beibei`: real records through the real broker, matcher and ledger, counted right.

The second opinion is a count of a few lines that knows nothing of the service: launches of one item wait in a list for
a stranger, each until its deadline.
"""

import lzma
import os
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from deploy.stack_files import market_exists
from tests.integration.cli_process import ROOT, processes_over, run_cli

pytestmark = pytest.mark.slow
RECORDS = ROOT.parent / "shared" / "data" / "beibei"
FAILED, FILLED = RECORDS / "failed-100k.txt.xz", RECORDS / "filled-100k.txt.xz"
KEYS = (
    "records",
    "events",
    "groups_opened",
    "groups_filled",
    "groups_expired",
    "groups_open",
    "launches_filled_by_strangers",
    "ledger_entries",
)


def _recorded(path: Path) -> Path:
    if not path.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"the records are not here: {path}")
    return path


def _count(lines: Iterable[str], ttl_s: int) -> dict[str, int]:
    """Count what must come of the records, without the service."""
    waiting: dict[str, list[tuple[int, str]]] = defaultdict(list)
    opened = filled = expired = strangers = now = 0
    for now, line in enumerate(lines):
        member, item, *participants = line.split()
        if participants:
            opened, filled = opened + 1, filled + 1
            continue
        still = [(since, who) for since, who in waiting[item] if now - since < ttl_s]
        expired += len(waiting[item]) - len(still)
        waiting[item] = still
        other = next((found for found in still if found[1] != member), None)
        if other is None:
            opened += 1
            still.append((now, member))
        else:
            filled, strangers = filled + 1, strangers + 2
            still.remove(other)
    for still in waiting.values():
        expired += sum(now - since >= ttl_s for since, _ in still)
    return {
        "groups_opened": opened,
        "groups_filled": filled,
        "groups_expired": expired,
        "groups_open": opened - filled - expired,
        "launches_filled_by_strangers": strangers,
    }


def _lines(path: Path, limit: int) -> list[str]:
    with lzma.open(path, "rt") as file:
        return list(islice(file, limit))


def _import(path: Path, data: Path, *options: str) -> dict[str, int]:
    finished = run_cli("import", "beibei", path, "--data", data, "--json", *options)
    assert finished.status == 0, finished.err
    (document,) = finished.documents
    assert set(KEYS) <= set(document)
    assert processes_over(data) == set()
    return document


def test_the_first_twenty_thousand_failed_launches_come_out_as_counted_by_others(tmp_path: Path) -> None:
    figures = _import(_recorded(FAILED), tmp_path / "data", "--ttl", "5000", "--limit", "20000")
    assert figures["records"] == 20_000
    assert (figures["groups_opened"], figures["groups_filled"]) == (13_632, 6_368)
    assert figures["launches_filled_by_strangers"] == 12_736
    audit = run_cli("ledger", "audit", "--data", tmp_path / "data", "--market", "beibei")
    assert audit.status == 0, audit.out


@pytest.mark.parametrize(
    ("path", "ttl_s", "limit"), [(FAILED, 7, 3_000), (FAILED, 86_400, 6_000), (FILLED, 5_000, 4_000)]
)
def test_real_records_come_out_as_a_naive_count_says(tmp_path: Path, path: Path, ttl_s: int, limit: int) -> None:
    figures = _import(_recorded(path), tmp_path / "data", "--ttl", str(ttl_s), "--limit", str(limit))
    assert {key: figures[key] for key in KEYS if key.startswith(("groups", "launches"))} == _count(
        _lines(path, limit), ttl_s
    )
    assert figures["records"] == limit
    assert figures["ledger_entries"] >= figures["events"] > limit


@pytest.mark.parametrize("ttl_s", [1, 40])
def test_few_members_who_meet_themselves_and_their_friends_come_out_as_a_naive_count_says(
    tmp_path: Path, ttl_s: int
) -> None:
    """With four members on three items somebody often finds only a group of their own."""
    rng = Random(ttl_s)
    lines = []
    for _ in range(2_500):
        member, *others = rng.sample(range(4), rng.choice((1, 1, 1, 2, 3)))
        lines.append("\t".join(map(str, [member, rng.randrange(3), *others])))
    path = tmp_path / "records.txt"
    path.write_text("\n".join(lines))
    figures = _import(path, tmp_path / "data", "--ttl", str(ttl_s))
    expected = _count(lines, ttl_s)
    assert {key: figures[key] for key in expected} == expected


def test_a_second_import_takes_a_market_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "records.txt"
    path.write_text("1\t2\n3\t2\n")
    first = _import(path, tmp_path / "data")
    second = _import(path, tmp_path / "data")
    assert (first["market"], second["market"]) == ("beibei", "beibei-2")
    assert first["groups_filled"] == second["groups_filled"] == 1
    shown = run_cli("ledger", "show", "--member", "m3", "--data", tmp_path / "data", "--market", "beibei-2")
    assert shown.status == 0
    assert "is filled" in shown.out


def test_a_group_of_hundreds_of_friends_is_filled_whole(tmp_path: Path) -> None:
    """Its seats are named in pages; the figures must not count pages for groups."""
    path = tmp_path / "records.txt"
    path.write_text("\t".join(map(str, ["1", "7", *range(2, 401)])) + "\n5\t7\n")
    figures = _import(path, tmp_path / "data")
    assert (figures["groups_opened"], figures["groups_filled"], figures["groups_open"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("1\t2\n3\n", "line 2 of"),
        ("1\t2\n3\t4\tx\n", "line 2 of"),
        ("1\t2\t2\t1\n", "line 1 of"),
        ("", "holds no records"),
    ],
)
def test_a_file_with_a_wrong_line_starts_nothing(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "records.txt"
    path.write_text(content)
    refused = run_cli("import", "beibei", path, "--data", tmp_path / "data")
    assert refused.status == 2
    assert complaint in refused.err
    assert "expected" in refused.err
    assert not (tmp_path / "data").exists()
    assert not market_exists(tmp_path / "data", "beibei")


@pytest.mark.parametrize("options", [["--ttl", "0"], ["--limit", "0"], ["--ttl", "soon"]])
def test_senseless_options_are_refused(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "records.txt"
    path.write_text("1\t2\n")
    refused = run_cli("import", "beibei", path, "--data", tmp_path / "data", *options)
    assert refused.status == 2
    assert options[0] in refused.err
