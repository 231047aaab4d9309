"""What may follow a record in the ledger, and what may not."""

from pathlib import Path

import pytest

from events import decisions as d
from events.market_decisions import MarketRestored
from services.ledger.audit import audit
from services.ledger.audit_accounts import Check
from services.ledger.faults import LedgerBroken
from services.ledger.verify import verify
from tests.ledger_records import INTAKE, BuiltRecord, JournalBuilder, changed, open_store

TICK = d.ClockAdvanced()


def journal(records: int = 3) -> JournalBuilder:
    """A journal of records with two inputs each."""
    built = JournalBuilder()
    for _ in range(records):
        built.input(TICK).input(TICK).seal()
    return built


def refuse(tmp_path: Path, records: list[BuiltRecord]) -> str:
    """Archive records of which the last must be refused, and return what was said."""
    with open_store(tmp_path) as store:
        store.append(records[:-1])
        with pytest.raises(LedgerBroken) as broken:
            store.append(records[-1:])
        assert store.position[0] == (records[-2].seq if len(records) > 1 else 0)
        assert len(list(store.records())) == len(records) - 1
        return str(broken.value)


def test_records_that_follow_one_another_are_archived(tmp_path: Path) -> None:
    records = journal().records
    with open_store(tmp_path) as store:
        assert store.append(records) == 6
        assert [record.body for record in store.records()] == [record.body for record in records]


def test_a_record_may_split_a_batch_and_the_work_before_an_input(tmp_path: Path) -> None:
    built = JournalBuilder().message(3).due(TICK).seal().due(TICK).input(TICK).seal().input(TICK).seal()
    built.page(TICK).input(TICK).seal().input(TICK).seal()
    with open_store(tmp_path) as store:
        assert store.append(built.records) == 7


def test_strays_in_the_journal_leave_gaps_between_records(tmp_path: Path) -> None:
    built = journal(1).stray(3).input(TICK).seal()
    assert [record.seq for record in built.records] == [1, 5]
    with open_store(tmp_path) as store:
        store.append(built.records)
        assert store.position == (5, built.records[-1].hash)


def test_the_first_record_must_follow_nothing(tmp_path: Path) -> None:
    said = refuse(tmp_path, [journal().records[1]])
    assert said.startswith("record 2: the ledger is empty")


def test_a_record_that_names_another_before_it_is_refused(tmp_path: Path) -> None:
    records = journal().records
    said = refuse(tmp_path, [records[0], changed(records[1], prev="1" * 64)])
    assert "record 2" in said
    assert "1111111111111111" in said


def test_a_missing_record_is_noticed_by_the_next(tmp_path: Path) -> None:
    records = journal().records
    assert "is missing" in refuse(tmp_path, [records[0], records[2]])


def test_a_record_of_another_market_is_refused(tmp_path: Path) -> None:
    records = journal().records
    assert "other-market" in refuse(tmp_path, [records[0], changed(records[1], market="other-market")])


def test_a_record_decided_from_another_intake_is_refused(tmp_path: Path) -> None:
    records = journal().records
    assert "intake stream another" in refuse(tmp_path, [records[0], changed(records[1], intake="another")])


def test_bytes_that_do_not_fit_their_hash_are_refused(tmp_path: Path) -> None:
    records = journal().records
    forged = BuiltRecord(records[1].seq, records[1].at_ns, records[1].hash, records[1].body + b" ")
    assert "not those of the hash" in refuse(tmp_path, [records[0], forged])


def test_a_skipped_input_is_refused_with_the_place(tmp_path: Path) -> None:
    built = journal(1).skip().input(TICK).seal()
    assert "its first entry is 4.0.0, after 2.0.0" in refuse(tmp_path, built.records)


def test_a_skipped_input_within_a_record_is_refused(tmp_path: Path) -> None:
    built = journal(1).input(TICK).skip().input(TICK).seal()
    assert "entry 5.0.0 follows 3.0.0" in refuse(tmp_path, built.records)


def test_the_rest_of_a_batch_must_not_be_skipped(tmp_path: Path) -> None:
    built = journal(1).message(3).input(TICK).seal().message(1).input(TICK).seal()
    assert "its first entry is 4.0.0, after 3.0.0" in refuse(tmp_path, built.records)


def test_time_never_goes_back(tmp_path: Path) -> None:
    built = journal(1).wait(-1).input(TICK).seal()
    assert "was accepted before the one before it" in refuse(tmp_path, built.records)


def test_a_record_without_entries_or_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    records = journal().records
    assert "without entries" in refuse(tmp_path / "a", [records[0], changed(records[1], entries=[])])
    assert "format 9" in refuse(tmp_path / "b", [records[0], changed(records[1], v=9)])
    assert "no record" in refuse(tmp_path / "c", [BuiltRecord(1, 0, journal().add(b"[]").records[-1].hash, b"[]")])


def test_what_a_record_says_of_its_last_message_must_be_true(tmp_path: Path) -> None:
    records = journal().records
    through = {"seq": 9, "events": 1, "at": 1, "hash": "0" * 64}
    assert "reaches into message 9" in refuse(tmp_path, [records[0], changed(records[1], through=through)])


def test_two_records_must_agree_on_a_message_that_they_share(tmp_path: Path) -> None:
    built = JournalBuilder().message(2).input(TICK).seal().input(TICK).seal()
    other = {"seq": 1, "events": 5, "at": 1, "hash": "0" * 64}
    said = refuse(tmp_path, [built.records[0], changed(built.records[1], through=other)])
    assert "describes message 1 otherwise" in said


# Another intake


def restored(previous: str, intake: str, through: int, **fields: int) -> MarketRestored:
    """An operator says that one intake takes the place of another."""
    act = {"actor": "amy", "reason": "disk_lost", "ticket": "t-1"}
    return MarketRestored(previous=previous, intake=intake, through=through, **fields, **act)


def after_a_loss(built: JournalBuilder, intake: str = "another") -> JournalBuilder:
    """Go on from another intake."""
    built.intake = intake
    return built


def test_another_intake_is_taken_at_an_operators_word(tmp_path: Path) -> None:
    built = journal(1)
    act = restored(INTAKE, "another", 2)
    after_a_loss(built).input(act, publisher="operator").seal().input(TICK).seal()
    with open_store(tmp_path) as store:
        assert store.append(built.records) == 4
        assert store.tip is not None
        assert store.tip.intake == "another"
        assert verify(store).fault is None


def test_work_that_was_due_before_that_word_may_fill_a_record_of_its_own(tmp_path: Path) -> None:
    built = journal(1)
    after_a_loss(built).due(TICK).seal().due(TICK).input(restored(INTAKE, "another", 2), publisher="operator").seal()
    with open_store(tmp_path) as store:
        assert store.append(built.records) == 5


def test_with_an_intake_the_rest_of_its_last_batch_is_lost(tmp_path: Path) -> None:
    built = journal(1).message(4).input(TICK).seal()
    act = restored(INTAKE, "another", 3, lost_events=3)
    skipped = after_a_loss(built).message(1).input(act, publisher="operator").seal()
    with open_store(tmp_path) as store:
        assert store.append(skipped.records) == 4
        assert audit(store).checks[Check.NO_OUTCOME].faults == 0


def test_events_that_nobody_said_were_lost_have_no_outcome(tmp_path: Path) -> None:
    built = journal(1).message(4).input(TICK).seal()
    act = restored(INTAKE, "another", 3, lost_events=2)
    skipped = after_a_loss(built).message(1).input(act, publisher="operator").seal()
    with open_store(tmp_path) as store:
        store.append(skipped.records)
        assert audit(store).checks[Check.NO_OUTCOME].faults == 3


@pytest.mark.parametrize(
    ("decision", "publisher"),
    [
        (TICK, "operator"),
        (restored("some-other", "another", 2), "operator"),
        (restored(INTAKE, "some-other", 2), "operator"),
        (restored(INTAKE, "another", 2), "shop-a"),
    ],
)
def test_another_intake_is_not_taken_at_any_other_word(decision: d.AnyDecision, publisher: str, tmp_path: Path) -> None:
    built = journal(1)
    after_a_loss(built).input(decision, publisher=publisher).seal()
    assert "does not begin with an operator's word" in refuse(tmp_path, built.records)
