"""The books balance over disputes: what a resolution gives back counts against what a filled group keeps."""

from pathlib import Path

import msgspec
import pytest

from events.record import GENESIS, Record, Through, encode_record, hash_bytes
from events.times import NS_PER_S
from services.ledger.audit import AuditReport, audit
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.builders import (
    SHOP,
    T0,
    JsonEvent,
    answered,
    appealed,
    cancelled,
    claimed,
    encode,
    family_of,
    joined,
    market,
    offer,
    paid,
    payment,
    posted,
    resolved,
    withdrawn,
)
from tests.ledger_records import INTAKE, MARKET, BuiltRecord, open_store
from tests.model.both import FACTS, ZONES


def decided(*events: JsonEvent) -> list[BuiltRecord]:
    """The records of a market in which these events came, a second apart."""
    engine, records = Engine(MARKET, FACTS, ZONES), list[BuiltRecord]()
    for seq, event in enumerate((market(), *events), 1):
        family, at_ns = family_of(event), T0 + seq * NS_PER_S
        publisher = "operator" if family in ("market", "dispute") else SHOP
        body = encode(event, at_ns)
        entries = engine.process(Message(seq, at_ns, publisher, family, body))
        record = Record(
            v=1,
            market=MARKET,
            prev=records[-1].hash if records else GENESIS,
            intake=INTAKE,
            rule=1,
            through=Through(seq=seq, events=1, at=at_ns, hash=hash_bytes(body)),
            entries=[msgspec.Raw(raw) for raw in entries],
        )
        raw = encode_record(record)
        records.append(BuiltRecord(seq, at_ns, hash_bytes(raw), raw))
    return records


FILLED = (
    offer(),
    posted("o1", "m-1", payment=payment(payment="p1")),
    joined("o2", "m-2", payment=payment(payment="p2")),
    claimed("o1", "m-1"),
    answered(),
)


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
