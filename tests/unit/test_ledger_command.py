"""`groupbuy ledger` at the command line: facts on standard output, sentences on standard error, and the status."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.main import main
from events import decisions as d
from services.ledger.store import ledger_file
from tests import builders as b
from tests.ledger_records import (
    MARKET,
    expired,
    filled,
    open_market,
    open_store,
    paid_join,
    paid_post,
    refund_due,
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose ledger holds a filled group and an expired one."""
    journal = paid_join(paid_post(open_market(), "g3-0", "a"), "g3-0", "b", filled("g3-0", "a", "b")).seal()
    paid_post(journal, "g5-0", "c").wait(3_600).due(expired("g5-0", "c"), refund_due("c"))
    journal.input(d.ClockAdvanced(), event=b.ticked(), publisher="matcher").seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
    return tmp_path


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `groupbuy ledger ...` and return its status and what it wrote to standard output and error."""

    def command(*arguments: str, where: Path = data) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments, "--data", str(where)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return status or 0, written.out, written.err

    return command


def facts(run: Run, *arguments: str, status: int = 0) -> Any:
    """The JSON that a command prints."""
    ended, out, err = run(*arguments, "--json")
    assert ended == status, err
    return json.loads(out)


def test_verify_says_that_a_sound_ledger_is_sound(run: Run) -> None:
    report = facts(run, "verify")
    assert (report["records"], report["entries"]) == (2, 7)
    assert "fault" not in report
    status, out, _ = run("verify")
    assert status == 0
    assert out.startswith("2 records with 7 entries are what they were")


def test_verify_names_the_place_of_the_first_fault(run: Run, data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("UPDATE stored_events SET state = replace(state, 'tea', 'ten') WHERE originator_version = 1")
    assert facts(run, "verify", status=1)["fault"]["place"] == "record 1"
    status, out, _ = run("verify")
    assert status == 1
    assert out.startswith("record 1: ")


def test_show_prints_every_entry_of_an_order(run: Run) -> None:
    entries = facts(run, "show", "--order", "c")["entries"]
    assert [entry["entry"] for entry in entries] == ["5.0.0", "6.0.0"]
    status, out, _ = run("show", "--member", "of-c")
    assert status == 0
    assert "group g5-0 expired" in out


def test_what_is_not_known_ends_with_status_1_and_a_sentence(run: Run) -> None:
    status, out, err = run("show", "--order", "nobody")
    assert (status, out) == (1, "")
    assert err == "groupbuy: nothing in the ledger concerns order nobody\n"
    assert facts(run, "show", "--order", "nobody", status=1) == {"entries": []}
    assert run("replay", "--group", "g9-9")[0] == 1
    assert run("show", "--group", "g3-0", "--until", "99.0.0")[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "--order", "a", "--group", "g3-0"),
        ("show", "--order", "a b"),
        ("show", "--order", "a", "--until", "yesterday"),
        ("replay",),
        ("replay", "--group", "g3-0", "--until", "1.2.3.4"),
        ("nonsense",),
    ],
)
def test_unusable_arguments_end_with_status_2_and_a_sentence(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.strip()


def test_replay_prints_a_group_as_it_was(run: Run) -> None:
    state = facts(run, "replay", "--group", "g3-0", "--until", "3.0.0")
    assert (state["status"], state["seats_confirmed"], state["closed_entry"]) == ("open", 1, None)
    assert facts(run, "replay", "--group", "g3-0")["status"] == "filled"
    status, out, _ = run("replay", "--group", "g3-0")
    assert status == 0
    assert "filled (target)" in out


def test_audit_ends_with_status_0_when_everything_adds_up(run: Run) -> None:
    report = facts(run, "audit")
    assert report["clean"]
    assert report["checks"]["payments_unaccounted"] == {"checked": 3, "faults": 0, "examples": []}
    status, out, _ = run("audit")
    assert status == 0
    assert out.endswith("everything adds up\n")


def test_audit_ends_with_status_1_when_something_does_not(run: Run, tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a").wait(3_600).due(expired("g3-0", "a"))
    journal.input(d.ClockAdvanced(), event=b.ticked(), publisher="matcher").seal()
    other = tmp_path / "other"
    with open_store(other) as store:
        store.append(journal.records)
    status, out, _ = run("audit", "--json", where=other)
    assert status == 1
    assert not json.loads(out)["clean"]
    status, out, _ = run("audit", where=other)
    assert status == 1
    assert "entry 3.0.0: payment pay-a of order a" in out


def test_refunds_lists_what_is_owed(run: Run) -> None:
    assert [refund["refund"] for refund in facts(run, "refunds")["refunds"]] == ["r-c"]
    status, out, _ = run("refunds", "--unsettled")
    assert status == 0
    assert out.endswith("1 refund is not settled.\n")


def test_without_a_ledger_the_sentence_says_what_to_do(run: Run, tmp_path: Path) -> None:
    for command in (("verify",), ("audit",), ("refunds",), ("show", "--order", "a")):
        status, out, err = run(*command, where=tmp_path / "nowhere")
        assert (status, out) == (2, "")
        assert "there is no ledger at" in err
    assert not (tmp_path / "nowhere").exists()


def test_another_market_has_another_ledger(run: Run) -> None:
    status, _, err = run("verify", "--market", "elsewhere")
    assert status == 2
    assert "ledger-elsewhere.sqlite" in err


def test_a_file_that_is_no_ledger_is_refused_with_a_sentence(run: Run, data: Path, tmp_path: Path) -> None:
    other = shutil.copytree(data, tmp_path / "copy")
    for left in ledger_file(other, MARKET).parent.iterdir():
        left.unlink()
    ledger_file(other, MARKET).write_text("this is not a database, and long enough to be looked at" * 100)
    status, _, err = run("verify", where=other)
    assert status == 2
    assert "cannot be" in err


def test_reading_commands_change_nothing(run: Run, data: Path) -> None:
    before = ledger_file(data, MARKET).read_bytes()
    for command in (("verify",), ("audit",), ("refunds",), ("show", "--group", "g3-0"), ("replay", "--group", "g3-0")):
        assert run(*command)[0] == 0
    assert ledger_file(data, MARKET).read_bytes() == before
