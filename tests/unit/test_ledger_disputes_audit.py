"""The books balance over disputes: what a resolution gives back counts against what a filled group keeps."""

from pathlib import Path

import pytest

from events.record import hash_bytes
from services.ledger.audit import AuditReport, audit
from tests.builders import (
    JsonEvent,
    answered,
    appealed,
    cancelled,
    claimed,
    joined,
    offer,
    paid,
    posted,
    resolved,
    withdrawn,
)
from tests.dispute_market import FILLED, decided
from tests.ledger_records import BuiltRecord, open_store


def audited(tmp_path: Path, records: list[BuiltRecord]) -> AuditReport:
    with open_store(tmp_path) as store:
        store.append(records)
        return audit(store)


@pytest.mark.parametrize(
    "events",
    [
        (*FILLED, resolved("refund")),
        (*FILLED, resolved("refund", remedy={"amount_minor": 100}), cancelled("o1")),
        (*FILLED, resolved("refund"), cancelled("o1"), cancelled("o2")),
        (*FILLED, resolved("refund", remedy={"amount_minor": 1}), appealed(), resolved("refund", actor="cs-8")),
        (
            *(offer(size=3), posted("o1", "m-1"), joined("o2", "m-2"), paid("o2", payment="p2"), withdrawn("o2")),
            *(claimed("o2", "m-2"), answered(), resolved("seat"), paid("o2", payment="p3")),
        ),
    ],
)
def test_the_books_balance_after_a_resolution(tmp_path: Path, events: tuple[JsonEvent, ...]) -> None:
    report = audited(tmp_path, decided(*events))
    assert report.clean, {name: check.examples for name, check in report.checks.items() if check.faults}


def test_a_resolution_that_gives_back_more_than_is_kept_is_found(tmp_path: Path) -> None:
    records = decided(*FILLED, resolved("refund", remedy={"amount_minor": 100}))
    last = records[-1]
    body = last.body.replace(b'"amount_minor":100,"currency"', b'"amount_minor":9000,"currency"')
    assert body != last.body
    report = audited(tmp_path, [*records[:-1], BuiltRecord(last.seq, last.at_ns, hash_bytes(body), body)])
    assert not report.clean
