"""`groupbuy ledger replay | diff | what-if` at the command line: facts, sentences, status, and no traceback ever."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cli.main import main
from services.ledger.market_key import read_market_key
from tests.builders import cancelled, joined, offer, paid, posted
from tests.ledger_market import Story
from tests.ledger_records import MARKET, open_store
from tests.model.both import MARKET_KEY

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a ledger in which a group filled, and the market's key."""
    story = Story(offer()).at(10).tell(posted("o1", "ann"), joined("o2", "bob"))
    story.at(20).tell(paid("o1", payment="p1"), paid("o2", payment="p2")).at(30).tell(cancelled("o2"))
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / f"market-{MARKET}.key").write_text(f"{MARKET_KEY.hex()}\n")
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        store.append(story.records())
    return tmp_path


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `groupbuy ledger ...` and return its status and what it wrote to standard output and error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments, "--data", str(data)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return status or 0, written.out, written.err

    return command


def test_a_ledger_that_was_decided_by_the_rules_is_said_to_be(run: Run) -> None:
    status, out, _ = run("replay", "--check")
    assert status == 0
    assert "7 entries of 7 inputs, 1.0.0 to 7.0.0, are byte for byte what the rules lead to" in out


def test_replay_from_a_position_says_what_was_only_applied(run: Run) -> None:
    status, out, _ = run("replay", "--check", "--from", "5", "--json")
    report = json.loads(out)
    assert (status, report["evolved"], report["entries"], report["first_entry"]) == (0, 4, 3, "5.0.0")


def test_a_market_key_that_is_not_this_markets_is_refused(run: Run, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    other.write_text("00" * 32)
    status, _, err = run("replay", "--check", "--facts", str(other))
    assert status == 2
    assert "made with another market key" in err
    assert read_market_key(data / "keys" / f"market-{MARKET}.key") == MARKET_KEY


def test_without_the_markets_key_what_needs_no_secret_is_checked(run: Run, data: Path) -> None:
    (data / "keys" / f"market-{MARKET}.key").unlink()
    assert run("replay", "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("replay",), 2, "name one of --check"),
        (("replay", "--check", "--order", "o1"), 2, "name one of --check"),
        (("replay", "--order", "o1", "--member", "ann"), 2, "name one of --check"),
        (("replay", "--check", "--until", "3"), 2, "--check reads to the end"),
        (("replay", "--order", "o1", "--from", "3"), 2, "--from and --facts go with --check"),
        (("replay", "--check", "--from", "nowhere"), 2, "not a position"),
        (("replay", "--check", "--from", "99"), 1, "past the end"),
        (("replay", "--check", "--facts", "/nowhere/at/all"), 2, "no market key"),
        (("replay", "--order", "o9"), 1, "there is no order o9"),
        (("replay", "--member", "nobody"), 1, "nothing in the ledger concerns member nobody"),
        (("replay", "--play", "p9"), 1, "nothing in the ledger concerns play p9"),
        (("replay", "--group", "g 9"), 2, "cannot be a group"),
        (("replay", "--order", "o1", "--until", "99"), 1, "past the end"),
        (("replay", "--order", "o1", "--until", "soon"), 2, "neither a position"),
        (("diff", "1", "99"), 1, "past the end"),
        (("diff", "7", "2"), 2, "comes before"),
        (("diff", "x", "2"), 2, "neither a position"),
        (("restore",), 2, "Missing option"),
        (("restore", "--actor", "a my", "--ticket", "t-1"), 2, "--actor 'a my'"),
        (("restore", "--actor", "amy", "--ticket", "t-1", "--market", "other"), 2, "there is no ledger"),
        (("restore", "--actor", "amy", "--ticket", "t-1", "--nats-url", "nats://127.0.0.1:9"), 2, "127.0.0.1:9"),
        (("what-if",), 2, "--without ENTRY"),
        (("what-if", "--without", "x"), 2, "not a position"),
        (("what-if", "--without", "99"), 1, "there is no entry 99.0.0"),
        (("what-if", "--at", "soon", "3"), 2, "neither a position"),
        (("what-if", "--at", "3", "3"), 2, "expected a time first"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_a_sentence_and_a_status(
    arguments: tuple[str, ...], status: int, said: str, run: Run
) -> None:
    ended, out, err = run(*arguments)
    assert ended == status, out + err
    assert said in err


def test_how_an_order_and_a_member_stood_is_told_in_words_and_in_json(run: Run) -> None:
    status, out, _ = run("replay", "--order", "o2", "--until", "6")
    assert status == 0
    assert "filled in group g3-0" in out
    status, out, _ = run("replay", "--member", "bob", "--json")
    assert json.loads(out)["orders"][0]["status"] == "left"


def test_what_changed_between_two_entries_is_told_in_words_and_in_json(run: Run) -> None:
    status, out, _ = run("diff", "4", "6")
    assert status == 0
    assert "~ group g3-0:" in out
    status, out, _ = run("diff", "4", "6", "--json")
    document = json.loads(out)
    assert (document["entries"], document["decided"]["group.filled"]) == (2, 1)
    assert {change["what"] for change in document["changes"]} >= {"group", "order"}


def test_what_would_be_otherwise_is_told_in_words_and_in_json(run: Run) -> None:
    status, out, _ = run("what-if", "--without", "4")
    assert status == 0
    assert "If the event of entry 4.0.0 had never come" in out
    status, out, _ = run("what-if", "--at", "2026-01-01T00:00:25Z", "4", "--json")
    document = json.loads(out)
    assert status == 0
    assert document["outcomes_changed"] == len(document["outcomes"]) > 0
