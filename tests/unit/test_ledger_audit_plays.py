"""The audit recounts plays: it finds nothing in what the matcher decided, and each thing that is made wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from events.record import hash_bytes
from services.ledger.audit import AuditReport, audit
from services.ledger.audit_accounts import Check
from tests.builders import assist, bargain, joined, lottery, offer, payment, play_closed, posted, unlock, voided
from tests.ledger_plays import PlayJournal
from tests.ledger_records import BuiltRecord, open_store


def a_market() -> PlayJournal:
    """Every form of play, voided assists before and after the close, and a group whose winners are drawn."""
    journal = PlayJournal(offer(size=3, winners=1, stock=9), lottery("l1", offer="tea", terms={"tickets_per_seat": 1}))
    journal.add(bargain("b1", helper_limit=3), unlock("u1", tiers=[(2, "c2")]), bargain("b2"))
    for n in range(3):
        journal.add(assist("b1", f"h{n}", assist=f"a{n}"), assist("l1", f"h{n}", via=f"s{n}", assist=f"a{n}"))
    journal.add(assist("b2", "h1", assist="a1"), voided("b2", "a1", "h1"), voided("l1", "a2", "h2"))
    journal.add(assist("u1", "h1"), assist("u1", "h2", assist="a2"), voided("u1", "a2", "h2"))
    journal.add(posted("o0", "m0", payment=payment()), *(joined(f"o{n}", f"m{n}", payment=payment()) for n in (1, 2)))
    return journal.add(play_closed("l1"), play_closed("b1", "bought"), play_closed("b2"), voided("b1", "a0", "h0"))


def audited(data: Path, change: Callable[[str], str] = str) -> AuditReport:
    """Archive the journal, each record changed and chained anew, and audit it."""
    records: list[BuiltRecord] = []
    for record in a_market().records:
        prev = records[-1].hash if records else "0" * 64
        text = re.sub(r'"prev":"[0-9a-f]{64}"', f'"prev":"{prev}"', record.body.decode())
        body = change(text).encode()
        records.append(BuiltRecord(record.seq, record.at_ns, hash_bytes(body), body))
    with open_store(data) as store:
        store.append(records)
        return audit(store)


def faults(report: AuditReport) -> dict[Check, str]:
    return {check: result.examples[0].sentence for check, result in report.checks.items() if result.faults}


def test_what_the_matcher_decided_adds_up(tmp_path: Path) -> None:
    report = audited(tmp_path)
    assert report.clean, faults(report)
    assert (report.totals.plays, report.totals.assists_counted) == (4, 9)
    assert report.checks[Check.PLAYS].checked > 20 and report.checks[Check.DRAWS].checked == 5
    assert (report.totals.payments, report.totals.payments_honoured, report.totals.payments_refunded) == (3, 1, 2)


@pytest.mark.parametrize(
    ("pattern", "instead", "check", "sentence"),
    [
        (r'("position":2,"cut_minor":)\d+', r"\g<1>1", Check.PLAYS, "1 is cut at position 2"),
        (
            r'("kind":"price.cut".{0,200}"position":3,"cut_minor":\d+,"remaining_minor":)0',
            r"\g<1>5",
            Check.PLAYS,
            "5 is left",
        ),
        (
            r'("kind":"assist.counted","play":"b1".{0,90}"helpers":)2',
            r"\g<1>3",
            Check.PLAYS,
            "told with 3 helpers, counted 2",
        ),
        (r'"kind":"play.opened","play":"u1"', '"kind":"play.opened","play":"u2"', Check.PLAYS, "u1 was never opened"),
        (r'("kind":"play.closed".{0,60}"cause":"bought","seed":")[0-9a-f]{2}', r"\g<1>zz", Check.DRAWS, "another seed"),
        (r'("kind":"play.closed".{0,200}"winners":)3', r"\g<1>4", Check.DRAWS, "3 prizes are drawn, announced were 4"),
        (r'("kind":"group.filled".{0,700}"seed":")[0-9a-f]{2}', r"\g<1>zz", Check.DRAWS, "another seed"),
        (r'"helper_limit":3', '"helper_limit":2', Check.PLAYS, "3 helpers, allowed are 2"),
    ],
)
def test_what_does_not_add_up_is_found(pattern: str, instead: str, check: Check, sentence: str, tmp_path: Path) -> None:
    changed = 0

    def change(text: str) -> str:
        nonlocal changed
        text, count = re.subn(pattern, instead, text)
        changed += count
        return text

    report = audited(tmp_path, change)
    assert changed, "the history holds what is to be changed"
    found = [example.sentence for example in report.checks[check].examples]
    assert any(sentence in each for each in found), faults(report)
