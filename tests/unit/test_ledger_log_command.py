"""`groupbuy ledger key | prove | verify`: keys and proofs of a signed ledger, and what is said when one is wrong."""

import base64
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from deploy.cli.main import main
from services.ledger.checkpoint import Checkpoint, open_checkpoint, origin_of, sign_checkpoint
from services.ledger.checkpointing import make_checkpoint
from services.ledger.log_key import ensure_log_key, log_key_file, read_log_key
from services.ledger.merkle import verify_inclusion
from services.ledger.note import SigningKey, VerifierKey
from services.ledger.store import ledger_file
from tests.ledger_market import decided_records
from tests.ledger_records import MARKET, open_store

KEY: Final = bytes(range(32))
RECORDS: Final = decided_records(12, 120)
ORIGIN: Final = origin_of("localhost", MARKET)
STRANGER: Final = SigningKey(ORIGIN, bytes(32)).verifier.text()

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a signed ledger and its keys."""
    key = ensure_log_key(log_key_file(tmp_path, MARKET), ORIGIN)
    (tmp_path / "keys" / f"market-{MARKET}.key").write_text(f"{KEY.hex()}\n")
    with open_store(tmp_path, market_key=KEY) as store:
        store.append(RECORDS)
        make_checkpoint(store, key)
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


def test_the_verifier_key_is_printed(run: Run) -> None:
    status, out, _ = run("key")
    assert (status, VerifierKey.parse(out.strip()).name) == (0, ORIGIN)
    assert json.loads(run("key", "--json")[1]) == {"origin": ORIGIN, "verifier_key": out.strip()}


def test_a_proof_holds_all_that_somebody_else_needs_to_check_it(run: Run) -> None:
    status, out, _ = run("prove", "1.0.0", "--json")
    proof = json.loads(out)
    assert status == 0
    signed = open_checkpoint(proof["checkpoint"].encode(), VerifierKey.parse(run("key")[1].strip()))
    hashes = list(map(base64.b64decode, proof["proof"]))
    verify_inclusion(proof["leaf_index"], signed.size, base64.b64decode(proof["leaf_hash"]), hashes, signed.root)
    assert proof["leaf_index"] == 0


def test_a_proof_is_told_in_words(run: Run) -> None:
    status, out, _ = run("prove", "1.0.0")
    assert status == 0
    assert out.startswith("Entry 1.0.0 is leaf 0 of ")
    assert ORIGIN in out


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("prove", "999999.0.0"), 1, "no entry 999999.0.0"),
        (("prove", "first"), 2, "not a position"),
        (("prove", "1.2.3.4"), 2, "not a position"),
        (("prove", "1.0.0", "--key", STRANGER), 1, "not by a key that is trusted"),
        (("prove", "1.0.0", "--key", "nonsense"), 2, "--key"),
        (("verify", "--key", "nonsense"), 2, "--key"),
    ],
)
def test_what_cannot_be_proved_is_said(run: Run, arguments: tuple[str, ...], status: int, sentence: str) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (status, "")
    assert sentence in err


def test_verify_checks_the_tree_and_the_checkpoint(run: Run) -> None:
    status, out, _ = run("verify", "--json")
    tree = json.loads(out)["tree"]
    assert (status, tree["leaves"]) == (0, tree["signed_leaves"])
    assert "leaves are signed" in run("verify")[1]
    status, out, _ = run("verify", "--key", STRANGER, "--json")
    assert (status, json.loads(out)["fault"]["place"]) == (1, "the checkpoint")


def test_verify_finds_a_tile_that_was_changed(run: Run, data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("UPDATE ledger_tiles SET body = zeroblob(length(body)) WHERE level = 0 AND tile = 0")
    status, out, _ = run("verify")
    assert status == 1
    assert out.startswith("tile 0/0: its hash of leaf 0 ")


def test_a_tree_is_not_taken_for_checked_when_a_key_is_missing(run: Run, data: Path) -> None:
    market_key = data / "keys" / f"market-{MARKET}.key"
    content = market_key.read_text()
    market_key.unlink()
    status, _, err = run("verify")
    assert status == 2
    assert "no market key" in err
    market_key.write_text("too short")
    assert run("verify")[0] == 2
    market_key.write_text(bytes(32).hex())
    status, out, _ = run("verify")
    assert status == 1
    assert out.startswith("the market key: ")
    market_key.write_text(content)
    log_key_file(data, MARKET).unlink()
    status, _, err = run("verify")
    assert status == 2
    assert "no log key" in err


def test_a_ledger_of_an_older_program_is_verified_without_a_tree(run: Run, data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("DROP TABLE ledger_tiles")
        file.execute("DELETE FROM ledger_meta WHERE name IN ('market_key', 'checkpoint')")
    status, out, _ = run("verify")
    assert status == 0
    assert "no tree over them yet" in out
    status, _, err = run("prove", "1.0.0")
    assert status == 1
    assert "no tree yet" in err


def test_verify_asks_what_a_witness_keeps_and_tells_when_the_end_is_missing_or_the_log_is_another(
    run: Run, data: Path, tmp_path: Path
) -> None:
    key = read_log_key(log_key_file(data, MARKET))
    with open_store(data, read_only=True) as store:
        note, size = store.checkpoint() or "", store.tiles.size()
    kept = tmp_path / "kept"
    for text, status, word in (
        (note, 0, "what they were"),
        (sign_checkpoint(key, Checkpoint(ORIGIN, size + 1, bytes(32))), 1, "its end is missing"),
        (sign_checkpoint(key, Checkpoint(ORIGIN, size - 1, bytes(32))), 1, "it is not that log"),
        ("nothing of the kind", 1, "no checkpoint of this log"),
    ):
        kept.write_text(text)
        found, out, _ = run("verify", "--witness", str(kept))
        assert (found, word in out) == (status, True), out
    assert run("verify", "--witness", str(tmp_path / "nowhere"))[0] == 2


# Against what was kept elsewhere


def test_a_ledger_that_grew_out_of_what_was_kept_elsewhere_is_sound(run: Run, data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with open_store(data, market_key=KEY) as store:
        kept.write_text(store.checkpoint() or "")
    assert run("verify", "--against", str(kept))[0] == 0


def test_a_ledger_that_is_shorter_than_what_was_kept_elsewhere_is_found(run: Run, data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    key = ensure_log_key(log_key_file(data, MARKET), ORIGIN)
    with open_store(data, market_key=KEY) as store:
        assert store.tree is not None
        longer = Checkpoint(ORIGIN, store.tree.size + 7, bytes(32))
        kept.write_text(sign_checkpoint(key, longer))
    status, out, _ = run("verify", "--against", str(kept))
    assert status == 1
    assert out.startswith("the kept checkpoint: ")
    assert "its end is missing" in out


@pytest.mark.parametrize("content", [None, "", "no note", "a\n\n— b AAAA\n"])
def test_what_is_no_checkpoint_cannot_be_verified_against(content: str | None, run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    if content is not None:
        kept.write_text(content)
    status, _, err = run("verify", "--against", str(kept))
    assert status == 2
    assert "--against" in err


def test_a_checkpoint_that_was_deleted_is_missed(run: Run, data: Path) -> None:
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        file.execute("DELETE FROM ledger_meta WHERE name = 'checkpoint'")
    status, out, _ = run("verify")
    assert status == 1
    assert out.startswith("the checkpoint: there is none, although")
