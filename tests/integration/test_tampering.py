"""Whatever is done to a ledger behind the application's back is found; an untouched one gives nothing."""

import random
from pathlib import Path

import pytest

from services.ledger.store import LedgerStore
from services.ledger.verify import verify
from tests.bench.bench_ledger import MARKET
from tests.tampering.ledgers import SqliteLedgers, content_hash, keys
from tests.tampering.manipulations import MANIPULATIONS, Manipulation, cut_the_end_and_sign, fork
from tests.tampering.trying import Tried, done_with, fault_of, try_all

ENTRIES = 1_200
SEEDS = 60


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_manipulation_is_found_with_its_place(database: str, tmp_path: Path) -> None:
    tried: list[Tried] = []
    outcome = try_all(database, tmp_path, range(SEEDS), ENTRIES, tried.append)
    assert outcome.missed == []
    assert outcome.untouched_faults == 0
    assert outcome.found == SEEDS
    assert all(each.place and each.sentence for each in tried)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SqliteLedgers:
    return SqliteLedgers(tmp_path_factory.mktemp("ledgers"), ENTRIES)


@pytest.mark.parametrize("manipulate", [each for _, each in MANIPULATIONS], ids=lambda each: each.__name__)
def test_each_way_of_tampering_is_real_and_is_found(manipulate: Manipulation, made: SqliteLedgers) -> None:
    with made.copy() as copy:
        with copy.hands() as hands:
            before = content_hash(hands)
        done_with(manipulate, copy, random.Random(5), made.records)
        with copy.hands() as hands:
            assert content_hash(hands) != before
        assert fault_of(copy, made.kept) is not None


@pytest.mark.parametrize("manipulate", [fork, cut_the_end_and_sign])
def test_only_what_was_kept_outside_tells_a_history_that_was_signed_anew(
    manipulate: Manipulation, made: SqliteLedgers
) -> None:
    with made.copy() as copy:
        manipulate(copy, random.Random(1), made.records)
        with LedgerStore.open(copy.url, MARKET, data_dir=copy.folder, read_only=True) as store:
            assert verify(store, keys=keys()).fault is None
            found = verify(store, keys=keys(made.kept)).fault
    assert found is not None
    assert found.place == "the kept checkpoint"


def test_a_manipulation_that_nobody_looks_for_would_be_counted_as_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.tampering.trying.fault_of", lambda *_: None)
    outcome = try_all("sqlite", tmp_path, range(3), 200)
    assert outcome.missed_count == 3
