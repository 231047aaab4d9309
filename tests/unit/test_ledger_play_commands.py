"""`groupbuy ledger check-draw`, `tree` and `show --play` at the command line."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.main import main
from services.ledger.store import ledger_file
from tests.builders import assist, bargain, lottery, play_closed, voided
from tests.ledger_plays import PlayJournal
from tests.ledger_records import MARKET

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose ledger holds a lottery that was drawn and a bargain that is open."""
    journal = PlayJournal(lottery("draw-1"), bargain("cut-1"))
    journal.add(*(assist("draw-1", f"h{n}", via=f"s{n % 4}") for n in range(9)))
    journal.add(assist("cut-1", "h1", assist="a1"), voided("cut-1", "a1", "h1"), play_closed("draw-1"))
    journal.archive(tmp_path).close()
    return tmp_path


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `groupbuy ledger ...` and return its status and what it wrote to standard output and error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return status or 0, written.out, written.err

    return command


def facts(run: Run, *arguments: str, status: int = 0) -> Any:
    ended, out, err = run(*arguments, "--json")
    assert ended == status, err
    return json.loads(out)


def test_check_draw_says_that_a_fair_draw_agrees(run: Run, data: Path) -> None:
    report = facts(run, "check-draw", "draw-1", "--data", str(data))
    assert report["agrees"] and len(report["figures"]["winners"]) == 3
    status, out, _ = run("check-draw", "draw-1", "--data", str(data))
    assert status == 0 and "everything is as the seed has it" in out and "kettle to member s" in out


def test_what_was_exported_is_checked_without_a_ledger(run: Run, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "draw.json"
    status, _, err = run("check-draw", "draw-1", "--data", str(data), "--export", str(file))
    assert status == 0 and str(file) in err
    assert facts(run, "check-draw", "--from", str(file))["agrees"]
    forged = tmp_path / "forged.json"
    forged.write_text(file.read_text().replace('"tickets":9', '"tickets":10'))
    assert not facts(run, "check-draw", "--from", str(forged), status=1)["agrees"]
    status, out, _ = run("check-draw", "--from", str(forged))
    assert status == 1 and "the number of tickets is told as 10, it is 9" in out
    assert run("check-draw", "cut-1", "--from", str(file))[0] == 2


def test_a_ledger_that_was_tampered_with_does_not_agree(run: Run, data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        other = """replace(state, '"member":"s1","prize"', '"member":"s9","prize"')"""
        file.execute(f"UPDATE stored_events SET state = CAST({other} AS BLOB)")
    assert not facts(run, "check-draw", "draw-1", "--data", str(data), status=1)["agrees"]


def test_an_open_play_cannot_be_checked_and_an_unknown_one_is_not_found(run: Run, data: Path) -> None:
    status, _, err = run("check-draw", "cut-1", "--data", str(data))
    assert status == 1 and "is open" in err
    assert run("check-draw", "nothing", "--data", str(data))[0] == 1
    assert run("check-draw", "--data", str(data))[0] == 2
    assert run("check-draw", "--from", str(data / "missing.json"))[0] == 2
    (data / "bad.json").write_text("{}")
    assert run("check-draw", "--from", str(data / "bad.json"))[0] == 2
    assert run("check-draw", "draw-1", "--data", str(data), "--export", str(data / "no" / "where"))[0] == 2
    assert run("check-draw", "a b", "--data", str(data))[0] != 0


def test_the_tree_is_shown(run: Run, data: Path) -> None:
    tree = facts(run, "tree", "draw-1", "--data", str(data))
    assert (tree["helpers"], tree["depth"], tree["roots"]) == (9, 1, ["s0", "s1", "s2", "s3"])
    status, out, _ = run("tree", "draw-1", "--data", str(data))
    assert status == 0 and "9 helpers, 9 counted" in out and "\n    h0  counted" in out
    assert run("tree", "nothing", "--data", str(data))[0] == 1


def test_the_story_of_a_play_and_of_a_helper_is_told_in_words(run: Run, data: Path) -> None:
    status, out, _ = run("show", "--play", "cut-1", "--data", str(data))
    assert status == 0
    assert "bargain cut-1 of member owner is open until" in out
    assert "assist a1 of member h1 in play cut-1 counts: 1 helper, 9 more may come" in out
    assert "assist a1 of member h1 in play cut-1, counted before, is void, by amy, reason complaint, ticket t-1" in out
    assert "bargain cut-1 is recomputed: 0 helpers, price 39.90 CNY" in out
    assert "cut-1" in run("show", "--member", "h1", "--data", str(data))[1]
    assert "wins" in run("show", "--play", "draw-1", "--data", str(data))[1]
