"""`ledger replay --check`: what is archived is what the rules lead to, or the first difference is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.replay_part import MODULE
from events.decisions import AnyDecision
from events.record import decode_entry, decode_record, hash_bytes, parse_entry_id
from services.ledger import redoing, replay_check
from services.ledger.faults import LedgerBroken, NotFound
from services.ledger.replay_check import ReplayReport
from services.ledger.replay_part import Place, Source
from services.matcher.domain.facts import Facts
from services.matcher.domain.terms import RULE_VERSIONS
from tests.builders import consented, invited
from tests.histories import histories, read_history, rule_version_of
from tests.ledger_market import Story, decided_records
from tests.ledger_records import MARKET, BuiltRecord, open_store
from tests.model.both import FACTS, ZONES
from tests.ways import interpreted_only


def checked(
    folder: Path, records: list[BuiltRecord], start: str | None = None, facts: Facts | None = FACTS, jobs: int = 1
) -> ReplayReport:
    """Archive records and decide them again."""
    with open_store(folder) as store:
        store.append(records)
        place = Place("sqlite:", MARKET, str(folder))
        elsewhere = replay_check.Elsewhere(place, MODULE) if jobs > 1 else None
        position = None if start is None else parse_entry_id(start)
        return replay_check.replay_check(store, Source(facts, ZONES), position, elsewhere=elsewhere)


def rewritten(records: list[BuiltRecord], number: int, change: Callable[[dict[str, Any]], None]) -> list[BuiltRecord]:
    """Return a journal in which one record is another, and all after it name it: what only re-execution finds."""
    forged: list[BuiltRecord] = []
    for place, record in enumerate(records):
        document = json.loads(record.body)
        if forged:
            document["prev"] = forged[-1].hash
        if place == number:
            change(document)
        body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        forged.append(BuiltRecord(record.seq, record.at_ns, hash_bytes(body), body))
    return forged


# Golden histories


@pytest.mark.parametrize("path", histories(), ids=lambda path: path.stem)
def test_what_was_once_decided_under_a_rule_version_is_decided_so_for_ever(path: Path, tmp_path: Path) -> None:
    report = checked(tmp_path, read_history(path))
    assert report.difference is None, report.difference
    assert report.not_checked == 0
    assert report.rules == {rule_version_of(path): report.entries}
    assert report.entries >= 100


def test_every_rule_version_has_a_history_that_guards_it() -> None:
    assert {rule_version_of(path) for path in histories()} == set(RULE_VERSIONS)


def _kinds_by_module() -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for kind in AnyDecision.__args__:
        kinds.setdefault(kind.__module__, set()).add(str(kind.__struct_config__.tag))
    return kinds


@pytest.mark.parametrize("module", sorted(_kinds_by_module()))
def test_every_kind_of_decision_stands_in_a_history(module: str) -> None:
    decided = {
        str(decision.__struct_config__.tag)
        for path in histories()
        for record in read_history(path)
        for raw in decode_record(record.body).entries
        for decision in decode_entry(raw).decisions
    }
    missing = _kinds_by_module()[module] - decided
    assert not missing, f"add a script to tests/histories/scripts.py in which these are decided: {sorted(missing)}"


# What is archived as it was decided


@pytest.mark.parametrize("taste", ["mixed", "merging", "large"])
@pytest.mark.parametrize("clock", ["broker", "event"])
def test_every_entry_of_a_random_market_is_what_the_rules_lead_to(taste: str, clock: str, tmp_path: Path) -> None:
    records = list(decided_records(31, 250, clock, taste))
    report = checked(tmp_path, records)
    assert report.is_same, report
    assert report.records == len(records)
    assert report.entries == sum(len(decode_record(record.body).entries) for record in records)


def test_what_is_not_kept_is_taken_as_recorded_and_counted(tmp_path: Path) -> None:
    records = list(decided_records(3, 330))
    entries = [decode_entry(raw) for record in records for raw in decode_record(record.body).entries]
    unkept = [entry for entry in entries if entry.publisher is not None and entry.event is None]
    report = checked(tmp_path, records)
    counted = report.as_recorded
    assert counted["malformed"] + counted["personal_data"] == len(unkept) > 0
    astray = [e for e in entries if e.event is not None and getattr(e.decisions[0], "reason", "") == "wrong_family"]
    assert counted["subject"] == len(astray) > 0


@pytest.mark.parametrize("start", ["2", "60.0.0", "61.0.1", "200"])
def test_from_a_position_on_the_state_begins_as_the_entries_before_leave_it(start: str, tmp_path: Path) -> None:
    records = list(decided_records(3, 330))
    entries = [decode_entry(raw) for record in records for raw in decode_record(record.body).entries]
    report = checked(tmp_path, records, start)
    first = parse_entry_id(start)[:2]
    assert report.is_same
    assert report.evolved == sum((entry.seq, entry.index) < first for entry in entries)
    assert report.evolved + report.entries == len(entries)


@pytest.mark.parametrize("start", [None, "40.0.0"])
def test_two_processes_find_what_one_finds(start: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = list(decided_records(3, 330))
    alone = checked(tmp_path, records, start)
    monkeypatch.setattr(replay_check, "WORTH_TWO_ENTRIES", 1)
    together = checked(tmp_path, records, start, jobs=2)
    assert together.is_same
    assert msgspec.json.encode(together) == msgspec.json.encode(alone)


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_two_processes_find_a_difference_in_either_part(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = list(decided_records(3, 330))
    number = next(each for each in _seat_records(records) if each >= len(records) * share)
    forged = rewritten(records, number, _other_seat)
    monkeypatch.setattr(replay_check, "WORTH_TWO_ENTRIES", 1)
    report = checked(tmp_path, forged, jobs=2)
    assert report.difference is not None
    assert report.difference.record == records[number].seq


def test_a_history_that_ends_within_an_input_is_no_difference(tmp_path: Path) -> None:
    records = list(decided_records(7, 300))
    split = [
        n for n, record in enumerate(records) if decode_entry(decode_record(record.body).entries[-1]).publisher is None
    ]
    assert split, "a record of the world ends with timer work"
    report = checked(tmp_path, records[: split[0] + 1])
    assert report.is_same


# What is archived and was not decided


def _other_seat(document: dict[str, Any]) -> None:
    document["entries"][0]["decisions"][0]["group"] = "g1-7"


def _seat_records(records: list[BuiltRecord]) -> list[int]:
    """Return the records whose first entry begins with a confirmed seat."""
    found = []
    for number, record in enumerate(records):
        first = decode_entry(decode_record(record.body).entries[0])
        if getattr(first.decisions[0], "payable_minor", None) is not None:
            found.append(number)
    return found


def test_a_decision_that_the_rules_do_not_lead_to_is_named_and_both_are_shown(tmp_path: Path) -> None:
    records = list(decided_records(3, 330))
    number = _seat_records(records)[3]
    forged = rewritten(records, number, _other_seat)
    report = checked(tmp_path, forged)
    difference = report.difference
    assert difference is not None
    entry = decode_entry(decode_record(records[number].body).entries[0])
    assert difference.entry == f"{entry.seq}.{entry.index}.{entry.part}"
    assert '"group":"g1-7"' in (difference.archived or "")
    assert (difference.redone or "").encode() == bytes(decode_record(records[number].body).entries[0])


def test_an_entry_left_out_with_the_chain_mended_is_found(tmp_path: Path) -> None:
    records = list(decided_records(3, 330))
    number = next(
        n
        for n, record in enumerate(records)
        if "publisher" not in (entries := json.loads(record.body)["entries"])[0] and "publisher" in entries[-1]
    )

    def leave_out_first(document: dict[str, Any]) -> None:
        left_out = document["entries"].pop(0)
        for entry in document["entries"]:
            entry["part"] -= (entry["seq"], entry["index"]) == (left_out["seq"], left_out["index"])

    report = checked(tmp_path, rewritten(records, number, leave_out_first))
    assert report.difference is not None


def test_a_made_up_input_that_is_not_kept_is_found(tmp_path: Path) -> None:
    records = list(decided_records(3, 330))
    number = _seat_records(records)[2]
    report = checked(tmp_path, rewritten(records, number, lambda document: document["entries"][0].pop("event")))
    assert report.difference is not None
    assert "malformed or refused unseen" in report.difference.sentence


@interpreted_only
def test_a_history_on_which_the_rules_break_down_is_a_finding_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[bytes]:
        raise KeyError("g-9")

    monkeypatch.setattr(redoing.Engine, "redo", broken)
    report = checked(tmp_path, list(decided_records(3, 30)))
    assert report.difference is not None
    assert "the rules cannot go on from here (KeyError" in report.difference.sentence


def test_a_record_that_names_another_rule_version_than_was_in_force_is_broken(tmp_path: Path) -> None:
    records = rewritten(list(decided_records(3, 60)), 5, lambda document: document.update(rule=9))
    with pytest.raises(LedgerBroken, match="rule version 9, which is not known here"):
        checked(tmp_path, records)


def test_a_position_past_the_end_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"position 9999\.0\.0 is past the end"):
        checked(tmp_path, list(decided_records(3, 30)), "9999")


# Secrets


def test_without_the_secrets_what_follows_from_them_is_not_checked_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = list(decided_records(3, 330))
    monkeypatch.setattr(redoing, "SECRET_KINDS", [*redoing.SECRET_KINDS, b'"kind":"group.filled"'])
    secret = {
        (entry.seq, entry.index)
        for record in records
        for raw in decode_record(record.body).entries
        for entry in [decode_entry(raw)]
        if b'"kind":"group.filled"' in bytes(raw)
    }
    report = checked(tmp_path, records, facts=None)
    assert report.difference is None
    assert not report.is_same
    assert report.not_checked >= len(secret) > 0
    assert checked(tmp_path, records).is_same


def test_without_the_secrets_a_share_link_is_not_checked_and_is_no_difference(tmp_path: Path) -> None:
    records = Story(consented("erin"), invited("dora", "erin")).records()
    assert any(b'"kind":"invitation.allowed"' in record.body for record in records)
    report = checked(tmp_path, records, facts=None)
    assert (report.difference, report.not_checked, report.is_same) == (None, 1, False)


def test_without_the_secrets_everything_else_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = list(decided_records(3, 330))
    monkeypatch.setattr(redoing, "SECRET_KINDS", [*redoing.SECRET_KINDS, b'"kind":"group.filled"'])
    number = _seat_records(records)[6]
    report = checked(tmp_path, rewritten(records, number, _other_seat), facts=None)
    assert report.difference is not None
