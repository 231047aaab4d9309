"""Finding records by whom they name: nothing is missed, nothing is believed unseen, and little is read."""

import itertools
import random
from pathlib import Path

import pytest

from events.decode import BATCH_MAX_EVENTS
from services.ledger.history import entries_of
from services.ledger.lean import decode_lean_entry, decode_lean_record
from services.ledger.names import entities_of
from services.ledger.postings import (
    FAN_OUT,
    KEY_BYTES,
    PAGE_MAX_PAIRS,
    RUN_MAX_PAIRS,
    SEALED_PAIRS,
    absorbed_by,
    cut_pages,
    entity_key,
    pair_of,
    records_in_page,
    split_page,
)
from services.ledger.runs import Run
from services.ledger.store import LedgerStore
from tests.ledger_market import decided_records
from tests.ledger_records import confirmed, open_market, open_store, paid_join, paid_post
from tests.ways import interpreted_only


def grown(sizes: list[int]) -> list[Run]:
    """The runs that there are after appending batches of these sizes."""
    runs: list[Run] = []
    for number, pairs in enumerate(sizes, start=1):
        count = absorbed_by(runs, pairs)
        gone = runs[len(runs) - count :]
        first = gone[0].first_record if gone else number
        runs = [*runs[: len(runs) - count], Run(number, first, number, pairs + sum(run.pairs for run in gone))]
    return runs


@pytest.mark.parametrize("pairs", [0, 1, 4, 100, 5_000, 40_000, 400_000])
def test_runs_stay_few_and_cover_every_record_once(pairs: int) -> None:
    batches = 2_000
    runs = grown([pairs] * batches)
    assert runs[0].first_record == 1
    assert runs[-1].last_record == batches
    for before, after in itertools.pairwise(runs):
        assert after.first_record == before.last_record + 1
    sealed = [run for run in runs if run.pairs >= SEALED_PAIRS]
    assert len(sealed) <= batches * pairs / SEALED_PAIRS
    assert len(runs) - len(sealed) <= FAN_OUT * 6
    assert all(run.pairs <= max(pairs, RUN_MAX_PAIRS) for run in runs)


def test_a_pair_is_written_a_few_times_only() -> None:
    random.seed(7)
    written, runs = 0, list[Run]()
    sizes = [random.choice([1, 3, 10, 300, 4_000]) for _ in range(5_000)]
    for number, pairs in enumerate(sizes, start=1):
        count = absorbed_by(runs, pairs)
        total = pairs + sum(run.pairs for run in runs[len(runs) - count :])
        written += total
        runs = [*runs[: len(runs) - count], Run(number, number, number, total)]
    assert written <= 8 * sum(sizes)


def test_pages_hold_every_pair_in_order() -> None:
    pairs = sorted(pair_of(entity_key("order", f"o-{n % 50}"), n) for n in range(1, 2_000))
    pages = list(cut_pages(pairs))
    assert all(len(split_page(page.body)) <= PAGE_MAX_PAIRS for page in pages)
    assert [pair for page in pages for pair in split_page(page.body)] == pairs
    assert [page.first for page in pages] == [page.body[:12] for page in pages]
    key = entity_key("order", "o-7")
    found = [record for page in pages for record in records_in_page(page.body, key, 500)]
    assert found == [n for n in range(501, 2_000) if n % 50 == 7]


def test_the_same_name_of_another_kind_is_another_key() -> None:
    assert entity_key("order", "x") != entity_key("group", "x")


def brute_force(store: LedgerStore, kind: str, name: str) -> list[int]:
    """The records that name an entity, by reading all of them."""
    return [
        record.seq
        for record in store.records()
        if (kind, name) in set(entities_of(decode_lean_record(record.body, "").entries))
    ]


def test_everything_that_is_named_anywhere_is_found(tmp_path: Path) -> None:
    records = decided_records(3, 150)
    with open_store(tmp_path) as store:
        for record in records:
            store.append([record])
            leans = [decode_lean_record(record.body, "") for record in records]
        named = {entity for lean in leans for entity in entities_of(lean.entries)}
        assert len(named) > 100
        for kind, name in sorted(named):
            assert list(store.find(kind, name)) == brute_force(store, kind, name), f"{kind} {name}"


def test_a_member_in_thousands_of_records_is_found_page_by_page(tmp_path: Path) -> None:
    journal = open_market().seal()
    for number in range(6_000):
        journal.input(confirmed(f"g{number}", f"o{number}", member="whale"))
        journal.seal()
    with open_store(tmp_path) as store:
        for first in range(0, len(journal.records), BATCH_MAX_EVENTS):
            store.append(journal.records[first : first + BATCH_MAX_EVENTS])
        assert list(store.find("member", "whale")) == list(range(2, 6_002))
        assert list(store.find("member", "whale", after=5_990)) == list(range(5_991, 6_002))


def test_what_is_merged_during_a_search_is_still_found(tmp_path: Path) -> None:
    journal = open_market().seal()
    for number in range(200):
        journal.input(confirmed(f"g{number}", f"o{number}", member="m-1")).seal()
    with open_store(tmp_path) as writer:
        writer.append(journal.records[:100])
        with open_store(tmp_path, read_only=True) as reader:
            search = reader.find("member", "m-1")
            found = [next(search)]
            for record in journal.records[100:]:
                writer.append([record])
            found += list(search)
    assert found == list(range(2, 202))


def test_only_entries_that_concern_the_one_asked_for_are_shown(tmp_path: Path) -> None:
    journal = paid_join(paid_post(open_market(), "g3-0", "o-1"), "g3-0", "o-2").seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        assert [found.name for found in entries_of(store, "order", "o-1")] == ["3.0.0"]
        assert [found.name for found in entries_of(store, "group", "g3-0")] == ["3.0.0", "4.0.0"]
        assert [found.name for found in entries_of(store, "member", "of-o-2")] == ["4.0.0"]
        assert [found.name for found in entries_of(store, "offer", "tea")] == ["2.0.0", "3.0.0", "4.0.0"]
        assert list(entries_of(store, "order", "nobody")) == []


def test_kinds_to_come_may_put_anything_in_the_places_of_names() -> None:
    raw = (
        b'{"seq":1,"index":0,"part":0,"at":1,"event":{"type":"new","data":{"group":["x"],"order":{"a":1},"offer":7}},'
        b'"decisions":[{"kind":"new","group":{"y":2},"member":"m-1","seats":3},{"kind":"newer","order":null}]}'
    )
    assert list(entities_of([decode_lean_entry(raw)])) == [("member", "m-1")]


@interpreted_only
def test_a_key_shared_by_chance_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("postings", "archive"):
        monkeypatch.setattr(f"services.ledger.{module}.entity_key", lambda _kind, _name: b"k" * KEY_BYTES)
    journal = paid_join(paid_post(open_market(), "g3-0", "o-1"), "g3-0", "o-2").seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        assert list(store.find("order", "never-seen"))
        assert list(entries_of(store, "order", "never-seen")) == []
        assert [found.name for found in entries_of(store, "order", "o-2")] == ["4.0.0"]
