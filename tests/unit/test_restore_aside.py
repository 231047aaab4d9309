"""After a restoration no service refuses to start for the sake of records that are lost for good; the rest is kept."""

from pathlib import Path

import pytest

from deploy.restore_aside import PutAside
from services.bus.journal_chain import JournalPosition
from services.ledger.store import LedgerStore
from services.matcher.high_water import HighWater
from services.matcher.log import Standing
from services.notifier.dispatch.database import Database, note, outbox_file
from tests.ledger_market import decided_records
from tests.ledger_records import MARKET, open_store

RECORDS = decided_records(12, 40)
KEPT = len(RECORDS) - 3
TIP, LOST = RECORDS[KEPT - 1], RECORDS[-1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a second copy, whose ledger lacks the last three records."""
    with open_store(tmp_path) as store:
        store.append(RECORDS[:KEPT])
    (tmp_path / "copies" / "2").mkdir(parents=True)
    return tmp_path


def mark(folder: Path, store: LedgerStore, seq: int, own_hash: str) -> HighWater:
    high_water = HighWater(folder / "matcher", MARKET)
    high_water.note(store.identity, Standing(seq=seq, hash=own_hash))
    return high_water


def make_outbox(data: Path, position: JournalPosition) -> Path:
    database = Database(outbox_file(data, MARKET))
    with database.transaction() as connection:
        note(connection, "seq", str(position.seq))
        note(connection, "hash", position.hash)
    database.close()
    return outbox_file(data, MARKET)


def put_aside(data: Path) -> PutAside:
    with open_store(data, read_only=True) as store:
        assert store.tip is not None
        aside = PutAside(store, store.tip, data)
        aside.run()
        return aside


def test_marks_of_lost_records_are_set_aside_for_every_copy(data: Path) -> None:
    with open_store(data, read_only=True) as store:
        marks = [mark(folder, store, LOST.seq, LOST.hash) for folder in (data, data / "copies" / "2")]
    aside = put_aside(data)
    assert [high_water.read() for high_water in marks] == [None, None]
    assert aside.missing == [
        f"records {TIP.seq + 1} to {LOST.seq}, which the matcher had committed (they covered intake messages up to 0)"
    ]


def test_a_mark_of_an_archived_record_stays(data: Path) -> None:
    with open_store(data, read_only=True) as store:
        high_water = mark(data, store, TIP.seq, TIP.hash)
    assert put_aside(data).missing == []
    assert high_water.read() is not None


def test_an_outbox_that_took_in_lost_records_is_set_aside_and_one_that_did_not_stays(data: Path) -> None:
    file = make_outbox(data, JournalPosition(TIP.seq, TIP.hash))
    assert put_aside(data).outbox is None
    assert file.exists()
    make_outbox(data, JournalPosition(LOST.seq, LOST.hash))
    aside = put_aside(data)
    assert aside.outbox == f"{file.name}.set-aside"
    assert not file.exists()
    assert file.with_name(aside.outbox).exists()
    assert "0 messages by other channels" in aside.missing[0]
