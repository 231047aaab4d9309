"""What somebody may do to a ledger behind its back, and where `verify` says that it was done."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from events import decisions as d
from events.record import hash_bytes
from services.ledger.faults import LedgerBroken, LedgerUnavailable
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify import Fault, VerifyReport, verify
from tests.ledger_market import decided_records
from tests.ledger_records import JOURNAL, MARKET, open_store

Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def sound_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of some hundred entries."""
    data = tmp_path_factory.mktemp("sound")
    with open_store(data) as store:
        for record in decided_records(11, 150):
            store.append([record])
    return data


@pytest.fixture
def ledger(sound_ledger: Path, tmp_path: Path) -> Path:
    """A copy of it to do harm to."""
    return shutil.copytree(sound_ledger, tmp_path / "data")


def tampered(data: Path, tamper: Tamper) -> VerifyReport:
    """Change the file behind the ledger's back and verify it."""
    with sqlite3.connect(ledger_file(data, MARKET)) as file:
        assert tamper(file) is not None
    return verified(data)


def verified(data: Path) -> VerifyReport:
    """Verify a ledger; one that cannot even be opened says where its fault is, too."""
    try:
        with LedgerStore.open("sqlite:", MARKET, data_dir=data, read_only=True) as store:
            return verify(store)
    except LedgerBroken as broken:
        fault = Fault(broken.place, broken.sentence)
    except LedgerUnavailable as unavailable:
        fault = Fault("the database", str(unavailable))
    return VerifyReport(market=MARKET, journal=JOURNAL, records=0, entries=0, fault=fault)


def body_of(file: sqlite3.Connection, seq: int) -> bytes:
    body: bytes = file.execute("SELECT state FROM stored_events WHERE originator_version = ?", (seq,)).fetchone()[0]
    return body


def rewrite(file: sqlite3.Connection, seq: int, body: bytes) -> sqlite3.Cursor:
    """Change a record and its stored hash, as whoever knows the ledger would."""
    file.execute("UPDATE ledger_records SET hash = ? WHERE record = ?", (bytes.fromhex(hash_bytes(body)), seq))
    return file.execute("UPDATE stored_events SET state = ? WHERE originator_version = ?", (body, seq))


def seqs(file: sqlite3.Connection) -> list[int]:
    return [row[0] for row in file.execute("SELECT record FROM ledger_records ORDER BY record")]


def test_an_untouched_ledger_is_sound(ledger: Path) -> None:
    seen: list[tuple[int, int]] = []
    with LedgerStore.open("sqlite:", MARKET, data_dir=ledger, read_only=True) as store:
        report = verify(store, lambda done, total: seen.append((done, total)))
        assert store.tip is not None
        assert report.is_sound
        assert (report.last_record, report.last_hash) == store.position
        assert report.entries == store.tip.entries > 150
        assert report.records == len(list(store.records()))
    assert seen[-1] == (report.entries, report.entries)


def test_an_empty_ledger_is_sound(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        report = verify(store)
    assert report.is_sound
    assert (report.records, report.last_record) == (0, None)


def test_a_changed_byte_is_found_at_its_record(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        seq = seqs(file)[7]
        body = bytearray(body_of(file, seq))
        body[len(body) // 2] ^= 1
        self_found.append(seq)
        return file.execute("UPDATE stored_events SET state = ? WHERE originator_version = ?", (bytes(body), seq))

    self_found: list[int] = []
    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert report.fault.place == f"record {self_found[0]}"
    assert report.records == 7


def test_a_changed_record_with_its_hash_changed_too_is_found_by_the_next(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        second, third = seqs(file)[6:8]
        places.append(third)
        return rewrite(file, second, body_of(file, second).replace(b'"rule":1', b'"rule":2'))

    places: list[int] = []
    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert report.fault.place == f"record {places[0]}"
    assert "was changed" in report.fault.sentence


def test_a_deleted_record_is_found(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        seq = seqs(file)[9]
        file.execute("DELETE FROM ledger_records WHERE record = ?", (seq,))
        return file.execute("DELETE FROM stored_events WHERE originator_version = ?", (seq,))

    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert "is missing" in report.fault.sentence


def test_a_record_deleted_from_the_archive_alone_is_found(ledger: Path) -> None:
    report = tampered(
        ledger, lambda file: file.execute("DELETE FROM stored_events WHERE originator_version = ?", (seqs(file)[4],))
    )
    assert report.fault is not None
    assert "it is not in the archive" in report.fault.sentence


def test_records_that_changed_places_are_found(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        first, second = seqs(file)[12:14]
        bodies = body_of(file, first), body_of(file, second)
        rewrite(file, first, bodies[1])
        places.append(first)
        return rewrite(file, second, bodies[0])

    places: list[int] = []
    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert report.fault.place == f"record {places[0]}"


def test_a_truncated_tail_is_found(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        last = seqs(file)[-1]
        file.execute("DELETE FROM ledger_records WHERE record = ?", (last,))
        return file.execute("DELETE FROM stored_events WHERE originator_version = ?", (last,))

    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert "cut off" in report.fault.sentence


def test_a_ledger_with_a_truncated_tail_is_not_written_to(ledger: Path) -> None:
    with sqlite3.connect(ledger_file(ledger, MARKET)) as file:
        last = seqs(file)[-1]
        file.execute("DELETE FROM ledger_records WHERE record = ?", (last,))
        file.execute("DELETE FROM stored_events WHERE originator_version = ?", (last,))
    with pytest.raises(LedgerBroken, match="cut off"):
        open_store(ledger)


def test_an_inserted_record_is_found(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        row = file.execute("SELECT originator_id, topic, state FROM stored_events LIMIT 1").fetchone()
        return file.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)",
            (row[0], 0, row[1], row[2]),
        )

    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert report.fault.place == "record 0"


def test_an_event_of_somebody_else_is_found(ledger: Path) -> None:
    report = tampered(
        ledger,
        lambda file: file.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES ('x', 5, 'y', 'z')"
        ),
    )
    assert report.fault is not None
    assert report.fault.place == "record 5"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stored_events SET topic = 'another' WHERE rowid = 3",
        "UPDATE stored_events SET originator_id = 'another' WHERE rowid = 3",
        "UPDATE stored_events SET originator_version = 100000 WHERE rowid = 3",
        "UPDATE ledger_records SET hash = zeroblob(32) WHERE record = (SELECT max(record) FROM ledger_records)",
        "UPDATE ledger_records SET first_leaf = first_leaf + 1 WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET entries = entries + 1 WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET last_at = last_at + 1 WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET first_seq = first_seq + 1 WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET first_part = first_part + 1 WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET size_bytes = 1 WHERE rowid % 7 = 3",
        "UPDATE tracking SET notification_id = notification_id + 1 WHERE application_name LIKE 'groupbuy%'",
        "UPDATE tracking SET notification_id = 1 WHERE application_name LIKE 'groupbuy%'",
        "DELETE FROM tracking WHERE application_name LIKE 'groupbuy%'",
        "DELETE FROM ledger_pages WHERE page = (SELECT min(page) FROM ledger_pages)",
        "DELETE FROM ledger_runs WHERE run = (SELECT min(run) FROM ledger_runs)",
        "UPDATE ledger_pages SET body = zeroblob(24) WHERE page = (SELECT max(page) FROM ledger_pages)",
        "UPDATE ledger_runs SET pairs = pairs + 1 WHERE run = (SELECT min(run) FROM ledger_runs)",
        "UPDATE ledger_runs SET first_record = 0 WHERE run = (SELECT max(run) FROM ledger_runs)",
        "UPDATE stored_events SET state = 'text' WHERE rowid = 3",
        "UPDATE ledger_records SET hash = 'text' WHERE rowid % 7 = 3",
        "UPDATE ledger_records SET entries = 'text' WHERE rowid % 7 = 3",
        "UPDATE ledger_pages SET body = 7 WHERE page = (SELECT max(page) FROM ledger_pages)",
        "UPDATE ledger_runs SET first_record = 'text' WHERE run = (SELECT max(run) FROM ledger_runs)",
        "UPDATE ledger_runs SET last_record = last_record + 1000 WHERE run = (SELECT max(run) FROM ledger_runs)",
    ],
)
def test_whatever_a_query_returns_may_not_be_changed(ledger: Path, change: str) -> None:
    report = tampered(ledger, lambda file: file.execute(change))
    assert report.fault is not None, change
    assert "record" in report.fault.place


def test_an_event_that_cannot_be_read_is_found(tmp_path: Path) -> None:
    from tests.ledger_records import JournalBuilder

    good, bad = JournalBuilder().input(d.ClockAdvanced()).seal(), b'{"type":"groupbuy.unheard.of.v1","data":{}}'
    good.input(d.ClockAdvanced(), event=bad).seal()
    with open_store(tmp_path) as store:
        store.append(good.records)
        report = verify(store)
    assert report.fault is not None
    assert report.fault.place == "record 2"
    assert "entry 0 cannot be read" in report.fault.sentence


def test_a_file_that_is_damaged_is_a_fault_and_no_traceback(ledger: Path) -> None:
    with sqlite3.connect(ledger_file(ledger, MARKET)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = ledger_file(ledger, MARKET)
    content = bytearray(path.read_bytes())
    content[5 * 4096 : -3 * 4096] = bytes(len(content) - 8 * 4096)
    path.write_bytes(content)
    report = verified(ledger)
    assert report.fault is not None


def test_a_ledger_that_grows_while_it_is_verified_is_sound(tmp_path: Path) -> None:
    records = decided_records(5, 120)
    half = len(records) // 2
    with open_store(tmp_path) as writer:
        for record in records[:half]:
            writer.append([record])
        later = iter(records[half:])

        def grow(_: int, __: int) -> None:
            record = next(later, None)
            if record is not None:
                writer.append([record])

        with open_store(tmp_path, read_only=True, identity=JOURNAL) as reader:
            report = verify(reader, grow)
    assert report.fault is None
    assert report.records == half


# Notes of the ledger


@pytest.mark.parametrize("names", ["'market'", "'journal', 'format'", "'market', 'journal', 'format'"])
def test_notes_that_are_gone_are_named_and_no_ledger_with_records_counts_as_empty(ledger: Path, names: str) -> None:
    report = tampered(ledger, lambda file: file.execute(f"DELETE FROM ledger_meta WHERE name IN ({names})"))
    assert report.fault is not None
    assert report.fault.place == "the ledger's notes (table ledger_meta)"
    assert report.fault.sentence.startswith(names)
    assert "records are archived" in report.fault.sentence


def test_a_writer_does_not_begin_anew_over_a_ledger_without_its_notes(ledger: Path) -> None:
    with sqlite3.connect(ledger_file(ledger, MARKET)) as file:
        file.execute("DELETE FROM ledger_meta")
    with pytest.raises(LedgerBroken, match="'market', 'journal', 'format' missing"):
        open_store(ledger)


def test_a_tail_that_was_cut_off_is_named_by_its_first_record(ledger: Path) -> None:
    def tamper(file: sqlite3.Connection) -> object:
        known = seqs(file)
        places.append(known[-5])
        return file.execute("DELETE FROM stored_events WHERE originator_version >= ?", (known[-5],))

    places: list[int] = []
    report = tampered(ledger, tamper)
    assert report.fault is not None
    assert report.fault.place == f"record {places[0]}"
    assert "nor are the 4 after it" in report.fault.sentence and "verify" not in report.fault.sentence
