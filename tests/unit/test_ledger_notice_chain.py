"""What somebody may do to archived notices behind the ledger's back, and where `verify` says that it was done."""

import shutil
import sqlite3
from pathlib import Path
from typing import Final

import pytest

from events.notice import encode_fact
from services.ledger.checkpointing import make_checkpoint
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.leaves import LeafMaker
from services.ledger.note import SigningKey
from services.ledger.notices import Arrived, archive_notices, archived_through
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify import VerifyReport, verify
from services.ledger.verify_tree import LogKeys
from tests.ledger_market import decided_records
from tests.ledger_records import MARKET, open_store
from tests.unit.test_ledger_notices import fact

MARKET_KEY: Final = bytes(range(32))
LOG: Final = SigningKey("example.com/groupbuy/main", bytes(range(1, 33)))
NOTICES: Final = 30


def add(store: LedgerStore, count: int, stream: str = "s1") -> None:
    first = archived_through(store, stream) + 1
    for begin in range(first, first + count, 7):
        numbers = range(begin, min(begin + 7, first + count))
        archive_notices(store, stream, [Arrived(number, encode_fact(fact(number=number))) for number in numbers])


@pytest.fixture(scope="module")
def sound_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with records, a tree, notices of two streams and a signed checkpoint."""
    data = tmp_path_factory.mktemp("sound")
    with open_store(data, market_key=MARKET_KEY) as store:
        store.append(decided_records(11, 60))
        add(store, NOTICES - 5)
        add(store, 5, stream="s2")
        (data / "kept").write_text(make_checkpoint(store, LOG).note)
    return data


@pytest.fixture
def ledger(sound_ledger: Path, tmp_path: Path) -> Path:
    """A copy of it to do harm to."""
    return shutil.copytree(sound_ledger, tmp_path / "data")


def verified(data: Path, *kept: bytes) -> VerifyReport:
    keys = LogKeys(LeafMaker(MARKET_KEY), LOG.verifier, kept=kept, must_be_signed=True)
    with LedgerStore.open("sqlite:", MARKET, data_dir=data, read_only=True) as store:
        return verify(store, keys=keys)


def tampered(data: Path, *statements: str) -> str:
    """Change the file behind the ledger's back and return the place at which the fault is found."""
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        for statement in statements:
            assert file.execute(statement).rowcount > 0, statement
    fault = verified(data).fault
    assert fault is not None, statements
    return fault.place


def test_untouched_notices_are_sound_also_while_more_come(ledger: Path) -> None:
    report = verified(ledger)
    assert report.fault is None and report.notices is not None
    assert (report.notices.archived, report.notices.adopted, report.notices.unchecked) == (NOTICES, 0, 0)
    with open_store(ledger, market_key=MARKET_KEY) as store:
        add(store, 10)
        assert verified(ledger).fault is None


@pytest.mark.parametrize(
    "change",
    [
        "body = replace(body, 'email', 'wechat')",
        "stream = 's3'",
        "seq = 1000",
        "at = at + 1",
        "as_of = as_of + 1",
        "member = 'm3'",
        "entry = '4.0.0'",
        "kind = 'result/groupbuy.notice.sent.v1'",
        "mac = zeroblob(32)",
        "mac = 'text'",
        "body = CAST(body AS TEXT)",
    ],
)
def test_a_notice_that_was_changed_is_found_by_its_number(ledger: Path, change: str) -> None:
    assert tampered(ledger, f"UPDATE ledger_notices SET {change} WHERE no = 9").startswith("notice 9")


def test_a_notice_that_was_deleted_is_found(ledger: Path) -> None:
    assert tampered(ledger, "DELETE FROM ledger_notices WHERE no = 12") == "notice 12"


def test_a_notice_taken_out_with_those_after_it_moved_up_is_found(ledger: Path) -> None:
    moved = [f"UPDATE ledger_notices SET no = {no - 1} WHERE no = {no}" for no in range(13, NOTICES + 1)]
    assert tampered(ledger, "DELETE FROM ledger_notices WHERE no = 12", *moved).startswith("notice 12 ")


def test_notices_that_were_put_in_are_found_wherever_they_stand(ledger: Path, tmp_path: Path) -> None:
    columns = "stream, seq + 1000, at, as_of, member, entry, kind, body"
    for number, no in enumerate(("NULL", str(NOTICES + 1), "0", "-7", "1000")):
        data = shutil.copytree(ledger, tmp_path / f"copy-{number}")
        inserted = f"INSERT INTO ledger_notices SELECT {columns}, {no}, mac FROM ledger_notices WHERE no = 4"
        assert "notice" in tampered(data, inserted), no


def test_notices_in_another_order_are_found(ledger: Path) -> None:
    moves = [f"UPDATE ledger_notices SET no = {to} WHERE no = {at}" for at, to in ((5, -1), (6, 5), (-1, 6))]
    assert tampered(ledger, *moves).startswith("notice 5 ")


def test_an_end_that_was_cut_off_is_found_whatever_the_note_says_then(ledger: Path, tmp_path: Path) -> None:
    cut = f"DELETE FROM ledger_notices WHERE no > {NOTICES - 3}"
    for number, change in enumerate(
        (
            (),
            ("DELETE FROM ledger_meta WHERE name = 'notices'",),
            (f"UPDATE ledger_meta SET value = replace(value, '{NOTICES} ', '{NOTICES - 3} ') WHERE name = 'notices'",),
        )
    ):
        data = shutil.copytree(ledger, tmp_path / f"copy-{number}")
        assert "notice" in tampered(data, cut, *change), change


def test_notices_put_back_to_an_older_state_contradict_the_signed_checkpoint_and_one_kept_elsewhere(
    ledger: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older.sqlite"
    shutil.copy(ledger_file(ledger, MARKET), older)
    with open_store(ledger, market_key=MARKET_KEY) as store:
        before = store.checkpoint()
        add(store, 8)
        kept = make_checkpoint(store, LOG).note.encode()
    with sqlite3.connect(older) as file:
        (head,) = file.execute("SELECT value FROM ledger_meta WHERE name = 'notices'").fetchone()
    put_back = (
        f"DELETE FROM ledger_notices WHERE no > {NOTICES}",
        f"UPDATE ledger_meta SET value = '{head}' WHERE name = 'notices'",
    )
    assert tampered(ledger, *put_back) == "the checkpoint"
    with sqlite3.connect(ledger_file(ledger, MARKET)) as file:
        file.execute("UPDATE ledger_meta SET value = ? WHERE name = 'checkpoint'", (before,))
    assert verified(ledger).fault is None, "all of it put back is what it was: only somebody outside can tell"
    fault = verified(ledger, kept).fault
    assert fault is not None and fault.place == "the kept checkpoint" and "notices" in fault.sentence


def test_a_writer_goes_on_from_no_chain_that_was_cut_off_or_lost_its_note(ledger: Path, tmp_path: Path) -> None:
    for number, change in enumerate(
        (f"DELETE FROM ledger_notices WHERE no = {NOTICES}", "DELETE FROM ledger_meta WHERE name = 'notices'")
    ):
        data = shutil.copytree(ledger, tmp_path / f"copy-{number}")
        with sqlite3.connect(ledger_file(data, MARKET)) as file:
            file.execute(change)
        with pytest.raises(LedgerBroken, match="notice"):
            open_store(data, market_key=MARKET_KEY)


def test_notices_of_an_older_program_are_named_unchecked_and_chained_at_the_next_start(tmp_path: Path) -> None:
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        store.append(decided_records(11, 20))
    with sqlite3.connect(ledger_file(tmp_path, MARKET)) as file:
        file.execute("DELETE FROM ledger_meta WHERE name = 'notices'")
        file.execute("DROP INDEX ledger_notices_by_no")
        for column in ("no", "mac"):
            file.execute(f"ALTER TABLE ledger_notices DROP COLUMN {column}")
        rows = [("s1", seq, seq, 3, "m2", "3.0.0", "k", b"{}") for seq in range(1, 452)]
        file.executemany("INSERT INTO ledger_notices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    keys = LogKeys(LeafMaker(MARKET_KEY), LOG.verifier)
    with LedgerStore.open("sqlite:", MARKET, data_dir=tmp_path, read_only=True) as store:
        found = verify(store, keys=keys)
        assert found.fault is None and found.notices is not None
        assert (found.notices.archived, found.notices.unchecked) == (451, 451)
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        add(store, 2)
        found = verify(store, keys=keys)
    assert found.fault is None and found.notices is not None
    assert (found.notices.archived, found.notices.adopted, found.notices.unchecked) == (453, 451, 0)
    with sqlite3.connect(ledger_file(tmp_path, MARKET)) as file:
        file.execute("UPDATE ledger_notices SET member = 'm3' WHERE no = 20")
    with LedgerStore.open("sqlite:", MARKET, data_dir=tmp_path, read_only=True) as store:
        fault = verify(store, keys=keys).fault
    assert fault is not None and fault.place.startswith("notice 20 ")


def test_after_a_write_that_failed_the_chain_goes_on_from_what_is_stored(tmp_path: Path) -> None:
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        store.append(decided_records(11, 20))
        add(store, 5)
        with pytest.raises(LedgerError):
            archive_notices(store, "s1", [Arrived(5, encode_fact(fact(number=5)))])
        add(store, 5)
        make_checkpoint(store, LOG)
    report = verified(tmp_path)
    assert report.fault is None and report.notices is not None and report.notices.archived == 10
