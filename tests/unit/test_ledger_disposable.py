"""What follows from the records is disposable: index, summaries and tiles come back as they were."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.main import main
from services.ledger.checkpointing import make_checkpoint
from services.ledger.leaves import LeafMaker
from services.ledger.log_key import ensure_log_key, log_key_file
from services.ledger.postings import split_page
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify import verify
from services.ledger.verify_tree import LogKeys
from tests.ledger_market import decided_records
from tests.ledger_records import MARKET, open_store

KEY = bytes(range(32))
ORIGIN = f"localhost/groupbuy/{MARKET}"
RECORDS = decided_records(12, 200)

SUMMARIES = (
    "SELECT record, hash, size_bytes, first_leaf, entries, first_seq, first_index, first_part, last_at FROM @records"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a signed ledger and its keys."""
    key = ensure_log_key(log_key_file(tmp_path, MARKET), ORIGIN)
    (tmp_path / "keys" / f"market-{MARKET}.key").write_text(f"{KEY.hex()}\n")
    with open_store(tmp_path, market_key=KEY) as store:
        for first in range(0, len(RECORDS), 3):
            store.append(RECORDS[first : first + 3])
        make_checkpoint(store, key)
    return tmp_path


def derived(store: LedgerStore) -> dict[str, Any]:
    """Everything that follows from the records, whatever pieces it is kept in."""
    return {
        "summaries": store.query(f"{SUMMARIES} ORDER BY record"),
        "tiles": store.query("SELECT level, tile, body FROM @tiles ORDER BY level, tile"),
        "index": sorted(pair for run in store.runs() for body in store.pages_of(run) for pair in split_page(body)),
        "found": {name: list(store.find("member", name)) for name in ("m1", "m2", "nobody")},
    }


def looked_at(data: Path) -> dict[str, Any]:
    with open_store(data, read_only=True) as store:
        return derived(store)


def check(data: Path) -> None:
    """The ledger verifies whole, up to the checkpoint that was signed before."""
    verifier = ensure_log_key(log_key_file(data, MARKET), ORIGIN).verifier
    with open_store(data, read_only=True) as store:
        report = verify(store, keys=LogKeys(LeafMaker(KEY), verifier, must_be_signed=True))
    assert report.fault is None, report.fault


def deleted(data: Path, *tables: str) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        for table in tables:
            assert file.execute(f"DELETE FROM ledger_{table}").rowcount > 0


def restarted(data: Path) -> None:
    """Open the ledger as its service does when it starts."""
    with open_store(data, market_key=KEY) as store:
        while store.build_tree():
            pass


@pytest.mark.parametrize("tables", [("tiles",), ("records", "runs", "pages"), ("tiles", "records", "runs", "pages")])
def test_what_is_deleted_comes_back_equal_when_the_ledger_starts(tables: tuple[str, ...], data: Path) -> None:
    before = looked_at(data)
    deleted(data, *tables)
    restarted(data)
    assert looked_at(data) == before
    check(data)


def test_an_index_that_lost_its_end_comes_back(data: Path) -> None:
    before = looked_at(data)
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        middle = RECORDS[len(RECORDS) // 2].seq
        (first,) = file.execute("SELECT first_record FROM ledger_runs WHERE last_record >= ?", (middle,)).fetchone()
        runs = "SELECT run FROM ledger_runs WHERE first_record >= ?"
        file.execute(f"DELETE FROM ledger_pages WHERE run IN ({runs})", (first,))
        file.execute("DELETE FROM ledger_runs WHERE first_record >= ?", (first,))
        file.execute("DELETE FROM ledger_records WHERE record >= ?", (first,))
    restarted(data)
    assert looked_at(data) == before
    check(data)


def test_what_is_damaged_is_made_anew_on_command(data: Path, run: "Run") -> None:
    before = looked_at(data)
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("UPDATE ledger_tiles SET body = zeroblob(length(body)) WHERE level = 0")
        file.execute("DELETE FROM ledger_pages WHERE page % 2 = 0")
        file.execute("UPDATE ledger_records SET entries = entries + 1 WHERE record % 5 = 0")
    status, out, _ = run("rebuild", "--json")
    assert status == 0
    assert json.loads(out) == {
        "market": MARKET,
        "records": len(RECORDS),
        "entries": before["summaries"][-1][3] + before["summaries"][-1][4],
        "leaves": before["summaries"][-1][3] + before["summaries"][-1][4],
    }
    assert looked_at(data) == before
    check(data)


def test_what_cannot_be_rebuilt_gets_a_sentence(data: Path, run: "Run", tmp_path: Path) -> None:
    status, _, err = run("rebuild", "--market", "other")
    assert status == 2
    assert "there is no ledger" in err
    (data / "keys" / f"market-{MARKET}.key").write_text("00" * 32)
    status, _, err = run("rebuild")
    assert status == 2
    assert "another market key" in err


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `groupbuy ledger ...` and return its status and what it wrote to standard output and error."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments, "--data", str(data)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        return int(ended.value.code or 0), written.out, written.err

    return command
