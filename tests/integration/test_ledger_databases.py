"""One suite for both databases: whatever the ledger promises, it promises over SQLite and over PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

from events import decisions as d
from events.limits import RECORD_MAX_BYTES
from events.notice import encode_fact
from services.ledger.application import LedgerApplication
from services.ledger.audit import audit
from services.ledger.faults import LedgerBroken, LedgerError, LedgerUnavailable
from services.ledger.lean import decode_lean_record
from services.ledger.names import entities_of
from services.ledger.notices import (
    Arrived,
    archive_notices,
    archived_through,
    notices_of_entry,
    notices_of_member,
    sent_invitations,
)
from services.ledger.recorders import UNCHECKED_COLUMN
from services.ledger.refunds import refunds
from services.ledger.replay import replay_group
from services.ledger.store import LedgerStore
from services.ledger.verify import verify
from tests.ledger_market import decided_records
from tests.ledger_postgres import postgres_server
from tests.ledger_records import JOURNAL, MARKET, BuiltRecord, JournalBuilder, changed, open_market, paid_post
from tests.unit.test_ledger_notices import fact

TICK = d.ClockAdvanced()
Open = Callable[..., LedgerStore]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of this module's own."""
    with postgres_server(tmp_path_factory.mktemp("postgres") / "data") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open the ledger of this test, as often as one likes; everything is closed afterwards."""
    url = "sqlite:"
    if request.param == "postgres":
        url = fresh_database(request.getfixturevalue("postgres"), request.node.name)
    stores: list[LedgerStore] = []

    def open_it(market: str = MARKET, **settings: Any) -> LedgerStore:
        named = {"identity": JOURNAL, **settings}
        stores.append(LedgerStore.open(url, market, data_dir=tmp_path, **named))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def fresh_database(url: str, test: str) -> str:
    """Make a database for a test."""
    name = "".join(letter if letter.isalnum() else "_" for letter in test.lower())[:60]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]  # letters and digits only
    return url.replace("/postgres?", f"/{name}?")


def journal(records: int = 6) -> tuple[BuiltRecord, ...]:
    """A journal of small records."""
    built = JournalBuilder()
    for _ in range(records):
        built.input(TICK).input(TICK).seal()
    return tuple(built.records)


def bodies(store: LedgerStore) -> list[bytes]:
    return [record.body for record in store.records()]


# Exactly once


def test_every_record_is_archived_once_exactly_as_it_was(open_ledger: Open) -> None:
    records = decided_records(4, 80)
    store = open_ledger()
    for first in range(0, len(records), 5):
        store.append(records[first : first + 5])
    assert bodies(store) == [record.body for record in records]
    assert [record.seq for record in store.records()] == [record.seq for record in records]
    assert store.position == (records[-1].seq, records[-1].hash)


def test_records_that_come_again_are_not_archived_again(open_ledger: Open) -> None:
    records = journal()
    store = open_ledger()
    assert store.append(records[:4]) == 8
    assert store.append(records[:4]) == 0
    assert store.append(records[2:]) == 4
    assert bodies(store) == [record.body for record in records]


def test_another_record_in_the_place_of_an_archived_one_is_refused(open_ledger: Open) -> None:
    records = journal()
    store = open_ledger()
    store.append(records)
    with pytest.raises(LedgerBroken, match="record 4"):
        store.append([changed(records[3], rule=2)])
    assert bodies(store) == [record.body for record in records]


def test_the_position_survives_closing(open_ledger: Open) -> None:
    records = journal()
    open_ledger().append(records[:3])
    again = open_ledger()
    assert again.position == (records[2].seq, records[2].hash)
    assert again.append(records) == 6


def test_an_answer_that_was_lost_after_the_commit_changes_nothing(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = journal()
    store = open_ledger()
    store.append(records[:2])
    with monkeypatch.context() as patch:
        patch.setattr(LedgerApplication, "archive", after_the_commit(OperationalError("the connection was lost")))
        with pytest.raises(LedgerUnavailable, match="connection was lost"):
            store.append(records[2:4])
    assert store.append(records[2:]) == 4
    assert bodies(store) == [record.body for record in records]
    assert verify(store).is_sound


def test_a_commit_that_is_tried_again_by_the_library_is_recognised(
    open_ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = journal()
    store = open_ledger()
    with monkeypatch.context() as patch:
        patch.setattr(LedgerApplication, "archive", after_the_commit(IntegrityError("it is there already")))
        assert store.append(records[:3]) == 0
    assert store.position == (records[2].seq, records[2].hash)
    assert store.append(records) == 6
    assert verify(store).is_sound


def after_the_commit(error: Exception) -> Callable[..., None]:
    archive = LedgerApplication.archive

    def archived_but(application: LedgerApplication, *arguments: Any) -> None:
        archive(application, *arguments)
        raise error

    return archived_but


def test_what_fails_before_the_commit_leaves_nothing_behind(open_ledger: Open) -> None:
    records = journal()
    store = open_ledger()
    store.append(records[:2])
    other = open_ledger()
    other.query("SELECT 1")
    # The index row of record 4 is in the way: events, tracking and index must fail together.
    recorder = other._application.recorder_in_use
    recorder.execute(
        "INSERT INTO @records (record, hash, size_bytes, first_leaf, entries, first_seq, first_index, "
        "first_part, last_at) VALUES (4, ?, 0, 0, 0, 0, 0, 0, 0)",
        (b"x",),
    )
    with pytest.raises(LedgerError):
        store.append(records[2:])
    assert [record.seq for record in other.records()] == [1, 2]
    recorder.execute("DELETE FROM @records WHERE record = ?", (4,))
    fresh = open_ledger()
    assert fresh.append(records) == 8
    assert verify(fresh).is_sound


def test_two_ledgers_over_one_database_never_archive_a_record_twice(open_ledger: Open) -> None:
    records = decided_records(6, 60)
    stores = [open_ledger(), open_ledger()]

    def archive(store: LedgerStore) -> None:
        for first in range(0, len(records), 3):
            try:
                store.append(records[first : first + 3])
            except LedgerUnavailable:
                store.append(records[: first + 3])

    with ThreadPoolExecutor(max_workers=2) as threads:
        for done in [threads.submit(archive, store) for store in stores]:
            done.result()
    assert bodies(stores[0]) == [record.body for record in records]
    assert verify(open_ledger()).is_sound


# Whose ledger it is


def test_a_ledger_belongs_to_one_journal(open_ledger: Open) -> None:
    open_ledger().append(journal())
    with pytest.raises(LedgerBroken, match="recreated"):
        open_ledger(identity="another-stream")


def test_markets_do_not_share_a_ledger(open_ledger: Open) -> None:
    open_ledger().append(journal())
    elsewhere = JournalBuilder(market="Else-Where_2")
    elsewhere.input(TICK).seal()
    other = open_ledger("Else-Where_2")
    other.append(elsewhere.records)
    assert bodies(other) == [elsewhere.records[0].body]
    assert len(bodies(open_ledger())) == 6


def test_the_longest_market_has_a_ledger_too(open_ledger: Open) -> None:
    market = "m" * 64
    built = JournalBuilder(market=market)
    built.input(TICK).seal()
    store = open_ledger(market)
    store.append(built.records)
    assert verify(store).is_sound


def test_whoever_reads_makes_no_ledger(open_ledger: Open) -> None:
    with pytest.raises(LedgerError):
        open_ledger(read_only=True, identity=None)


def test_whoever_reads_sees_what_is_archived_meanwhile(open_ledger: Open) -> None:
    records = journal()
    writer = open_ledger()
    writer.append(records[:2])
    reader = open_ledger(read_only=True, identity=None)
    assert reader.identity == JOURNAL
    writer.append(records[2:])
    assert bodies(reader) == [record.body for record in records]


def test_whoever_reads_cannot_write(open_ledger: Open) -> None:
    records = journal()
    open_ledger().append(records[:2])
    reader = open_ledger(read_only=True, identity=None)
    if reader._application.recorder_in_use.__class__.__name__.startswith("LedgerSQLite"):
        with pytest.raises(LedgerError):
            reader.append(records[2:])


# Sizes


def test_the_largest_records_fit_many_at_a_time(open_ledger: Open) -> None:
    built = JournalBuilder()
    for number in range(4):
        built.input(TICK, event=b'{"padding":"' + str(number).encode() * (RECORD_MAX_BYTES - 1_000) + b'"}').seal()
    store = open_ledger()
    # The library's own way stalls for ever in PostgreSQL with a statement of some MiB.
    assert store.append(built.records) == 4
    assert [len(body) for body in bodies(store)] == [len(record.body) for record in built.records]


def test_a_record_can_be_found_by_position(open_ledger: Open) -> None:
    records = decided_records(4, 80)
    store = open_ledger()
    store.append(records)
    for record in records:
        for entry in decode_lean_record(record.body, "").entries:
            summary = store.record_at(entry.position)
            assert summary is not None
            assert summary.record == record.seq
    assert store.record_at((0, 0, 0)) is None


def test_everything_that_is_named_is_found(open_ledger: Open) -> None:
    records = decided_records(4, 80)
    store = open_ledger()
    for record in records:
        store.append([record])
    named: dict[Any, list[int]] = {}
    for record in records:
        for entity in entities_of(decode_lean_record(record.body, "").entries):
            named.setdefault(entity, []).append(record.seq)
    for (kind, name), seqs in sorted(named.items()):
        assert list(store.find(kind, name)) == seqs


# The tools over it


def test_the_tools_say_the_same_over_either_database(open_ledger: Open, tmp_path: Path) -> None:
    records = decided_records(9, 150, "broker", "merging")
    store, other = open_ledger(), LedgerStore.open("sqlite:", MARKET, data_dir=tmp_path / "other", identity=JOURNAL)
    with other:
        other.append(records)
        for first in range(0, len(records), 4):
            store.append(records[first : first + 4])
        assert verify(store) == verify(other)
        report = audit(store)
        assert report.clean
        assert report == audit(other)
        assert list(refunds(store)) == list(refunds(other))
        assert replay_group(store, first_group(records)) == replay_group(other, first_group(records))


def first_group(records: Sequence[BuiltRecord]) -> str:
    for record in records:
        for kind, name in entities_of(decode_lean_record(record.body, "").entries):
            if kind == "group" and f'"kind":"group.opened","group":"{name}"'.encode() in record.body:
                return name
    raise AssertionError("a journal of this length opens a group")


def test_what_was_changed_behind_its_back_is_found(open_ledger: Open) -> None:
    store = open_ledger()
    built = paid_post(open_market().seal(), "g3-0", "a").seal()
    store.append(built.records)
    body = built.records[0].body.replace(b'"tea"', b'"ten"')
    store._application.recorder_in_use.execute("UPDATE @events SET state = ? WHERE originator_version = ?", (body, 1))
    report = verify(store)
    assert report.fault is not None
    assert report.fault.place == "record 1"


def test_a_database_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/nothing?host={tmp_path}"
    with pytest.raises(LedgerError, match="PostgreSQL cannot be used"):
        LedgerStore.open(url, MARKET, data_dir=tmp_path, identity=JOURNAL)
    with pytest.raises(LedgerError, match="expected 'sqlite:' or postgresql://"):
        LedgerStore.open("mysql://x", MARKET, data_dir=tmp_path, identity=JOURNAL)


def test_an_index_that_was_deleted_is_made_anew_when_the_ledger_is_opened(open_ledger: Open) -> None:
    records = journal()
    store = open_ledger()
    store.append(records)
    before = store.summaries(0, 100)
    for table in ("pages", "runs", "records"):
        store._application.recorder_in_use.execute(f"DELETE FROM @{table}", ())
    fresh = open_ledger()
    assert fresh.summaries(0, 100) == before
    assert verify(fresh).is_sound


def test_what_an_older_program_kept_and_nothing_can_check_is_dropped(open_ledger: Open) -> None:
    records = journal()
    store = open_ledger()
    store.append(records[:2])
    store._application.recorder_in_use.execute(
        f"ALTER TABLE @records ADD COLUMN {UNCHECKED_COLUMN} bigint NOT NULL DEFAULT 0", ()
    )
    fresh = open_ledger()
    fresh.append(records)
    assert verify(fresh).is_sound
    with pytest.raises(LedgerError):
        fresh.query(f"SELECT {UNCHECKED_COLUMN} FROM @records")


def test_notices_are_archived_once_and_found_by_member_and_entry(open_ledger: Open) -> None:
    facts = [fact(number=at + 1, member=f"m{at % 3}", as_of=at) for at in range(450)]
    with open_ledger() as store:
        arrived = [Arrived(at + 1, encode_fact(each)) for at, each in enumerate(facts)]
        assert archive_notices(store, "s1", arrived) == (450, 0)
        assert archived_through(store, "s1") == 450
        with pytest.raises(LedgerUnavailable):
            archive_notices(store, "s1", arrived[-1:])
        assert len(list(notices_of_member(store, "m1"))) == 150
        assert len(list(notices_of_entry(store, "3.0.0"))) == 450
        assert [each.data.as_of for each in sent_invitations(store)] == list(range(450))
