"""The vault: encrypted, able to forget, and never a way into the log; and erasing a member."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.cli.main import main
from services.ledger.acts import acts_file, read_acts
from services.ledger.dossier.check import verify_dossier
from services.ledger.faults import BadQuestion, LedgerBroken, LedgerError, NotFound
from services.ledger.vault.vault import CONTENT_MAX_BYTES, Erased, Vault, vault_file, vault_key_file
from services.ledger.vault.vault_key import ensure_vault_key
from tests.builders import T0, claimed, resolved, ticked
from tests.dispute_market import FILLED, at, decided, signed_ledger
from tests.ledger_records import MARKET

Run = Callable[..., tuple[int, str, str]]
SECRET = b"call me: +86 138 1234 5678, li.lei@example.com"


def vault_over(data: Path) -> Vault:
    return Vault(vault_file(data, MARKET), ensure_vault_key(vault_key_file(data, MARKET)))


@pytest.fixture
def run(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capfdbinary.readouterr()
        assert b"Traceback" not in written.out + written.err
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return ended.value.code or 0, written.out.decode(), written.err.decode()

    return command


def test_a_text_comes_back_under_its_commitment_which_says_nothing_of_it(tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        commitment = vault.put("m-1", SECRET, T0)
        again = vault.put("m-1", SECRET, T0)
        found = vault.get(commitment)
    assert (found.owner, found.content) == ("m-1", SECRET)
    assert hashlib.sha256(found.salt + found.content).hexdigest() == commitment
    assert commitment != again, "the same text twice has two salts"


def test_nothing_in_the_vault_can_be_read_from_its_files(tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        vault.put("m-1", SECRET, T0)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET[:20] not in path.read_bytes(), path
            assert path.stat().st_mode & 0o077 == 0, path


def test_erasing_a_member_leaves_the_fact_and_nothing_else(tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        mine, others = vault.put("m-1", SECRET, T0), vault.put("m-2", b"stays", T0)
        sealed = sqlite3.connect(vault_file(tmp_path, MARKET)).execute("SELECT sealed FROM texts").fetchone()[0]
        vault.ask_to_erase("m-1", T0 + 1, [])
        assert vault.erase("m-1", T0 + 2) == 1
        with pytest.raises(Erased) as erased:
            vault.get(mine)
        assert erased.value.at_ns == T0 + 2
        assert vault.get(others).content == b"stays"
        with pytest.raises(BadQuestion, match="erased"):
            vault.put("m-1", b"again", T0 + 3)
    assert sealed not in vault_file(tmp_path, MARKET).read_bytes(), "not even the ciphertext is left"
    assert not list(vault_file(tmp_path, MARKET).parent.glob("*-journal")) + list(tmp_path.rglob("*-wal"))


def test_a_text_that_was_changed_swapped_or_opened_with_another_key_is_not_given_back(tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        one, other = vault.put("m-1", b"one", T0), vault.put("m-1", b"other", T0)
    database = sqlite3.connect(vault_file(tmp_path, MARKET))
    (sealed,) = database.execute("SELECT sealed FROM texts WHERE commitment = ?", (other,)).fetchone()
    database.execute("UPDATE texts SET sealed = ? WHERE commitment = ?", (sealed, one))
    database.execute("UPDATE texts SET sealed = ? WHERE commitment = ?", (sealed[:-1] + b"\x00", other))
    database.commit()
    with vault_over(tmp_path) as vault:
        for commitment in (one, other):
            with pytest.raises(LedgerBroken):
                vault.get(commitment)
    with Vault(vault_file(tmp_path, MARKET), bytes(32)) as vault, pytest.raises(LedgerBroken):
        vault.get(one)


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        for owner, content in (("no name", b""), ("m.1", b""), ("m-1", bytes(CONTENT_MAX_BYTES + 1))):
            with pytest.raises(BadQuestion):
                vault.put(owner, content, T0)
        with pytest.raises(NotFound):
            vault.get("ab" * 32)


def test_a_vault_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = vault_key_file(tmp_path, MARKET)
    ensure_vault_key(path)
    path.chmod(0o644)
    with pytest.raises(LedgerError, match="chmod 600"):
        ensure_vault_key(path)
    path.chmod(0o600)
    path.write_text("abcd")
    with pytest.raises(LedgerError, match="bytes"):
        ensure_vault_key(path)


# Commands


def test_put_and_get_give_a_text_back(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "statement.txt"
    file.write_bytes(SECRET)
    status, said, _ = run("vault", "put", str(file), "--member", "m-1")
    assert status == 0
    assert run("vault", "get", said.strip())[:2] == (0, SECRET.decode())
    out = tmp_path / "back.txt"
    assert run("vault", "get", said.strip(), "--out", str(out))[0] == 0
    assert out.read_bytes() == SECRET
    for wrong, arguments in (
        (1, ("vault", "get", "ab" * 32)),
        (1, ("vault", "get", "../x")),
        (2, ("vault", "put", str(tmp_path / "none"), "--member", "m-1")),
        (2, ("vault", "put", str(file), "--member", "138 1234")),
        (2, ("vault", "get", said.strip(), "--out", str(tmp_path / "no" / "f"))),
        (2, ("member", "erase", "../m")),
    ):
        assert run(*arguments)[0] == wrong, arguments


def test_erasing_waits_visibly_while_a_dispute_is_open_and_proofs_hold_afterwards(run: Run, tmp_path: Path) -> None:
    with vault_over(tmp_path) as vault:
        statement = vault.put("m-1", SECRET, T0)
    disputed = (*FILLED[:3], claimed("o1", "m-1", statement=statement))
    records = decided(*disputed, at(4 * 86_400, ticked()), resolved(), at(30 * 86_400, ticked()))
    key = signed_ledger(tmp_path, records[: len(disputed) + 1])
    status, said, _ = run("member", "erase", "m-1", "--actor", "cs-7")
    assert (status, "WAITS while these are open: d-1" in said) == (1, True)
    assert run("member", "erasures")[0] == 1
    assert run("vault", "get", statement)[0] == 0, "evidence is kept while it is needed"

    signed_ledger(tmp_path, records)
    status, said, _ = run("member", "erase", "m-1", "--actor", "cs-7")
    assert (status, "m-1 is erased since" in said) == (0, True)
    assert run("member", "erasures")[0] == 0
    status, _, error = run("vault", "get", statement)
    assert (status, "was erased" in error) == (1, True)
    acts = [(act.act, act.facts["member"]) for act in read_acts(acts_file(tmp_path, MARKET))]
    assert acts == [("member.erasure_waits", "m-1"), ("member.erased", "m-1")]
    assert run("member", "erase", "m-1")[0] == 0, "asked again, it is done already"

    out = tmp_path / "d.zip"
    assert run("ledger", "dossier", "--dispute", "d-1", "--for", "member", "--out", str(out))[0] == 0
    assert verify_dossier(out.read_bytes(), key.verifier).sound, "proofs hold"
    assert b"erased 20" in out.read_bytes() and SECRET[:12] not in out.read_bytes()
    assert run("ledger", "verify")[0] == 0
    assert run("ledger", "audit")[0] == 0
    status, said, _ = run("ledger", "prove", "5.0.0", "--json")
    assert (status, json.loads(said)["entry"]) == (0, "5.0.0")
