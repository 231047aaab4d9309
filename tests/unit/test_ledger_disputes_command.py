"""`groupbuy ledger disputes | incident`: the queue, what is alike, and remedies that can be published."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from deploy.cli.event_file import check_lines
from deploy.cli.main import main
from events.times import NS_PER_S, format_time_ns
from services.ledger.disputes import dispute_queue, open_disputes_of
from services.ledger.incident import IncidentQuestion, find_incident, remedies
from tests.builders import (
    T0,
    answered,
    appealed,
    claimed,
    evidenced,
    joined,
    offer,
    paid,
    payment,
    posted,
    resolved,
    ticked,
)
from tests.dispute_market import FILLED, at, decided, signed_ledger
from tests.ledger_records import open_store

Run = Callable[..., tuple[int, str, str]]
DAY_S = 86_400


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return ended.value.code or 0, written.out, written.err

    return command


def test_the_queue_names_whose_deadline_comes_first_first(tmp_path: Path) -> None:
    signed_ledger(tmp_path, decided(*FILLED, claimed("o2", "m-2", "d-2"), evidenced()))
    with open_store(tmp_path, read_only=True) as store:
        queue = dispute_queue(store)
        assert [state.dispute for state in queue] == ["d-2", "d-1"]
        assert (queue[1].answered, queue[1].evidence, queue[1].publisher) == (True, 1, "shop-a")
        assert queue[0].deadline_ns == queue[0].answer_until
        assert queue[1].deadline_ns == queue[1].resolve_until
        assert dispute_queue(store, overdue=True) == []
        assert open_disputes_of(store, "m-1") == ["d-1"]


def test_a_dispute_is_overdue_when_a_deadline_has_passed_and_leaves_the_queue_when_it_is_resolved(
    tmp_path: Path,
) -> None:
    events = (*FILLED, claimed("o2", "m-2", "d-2"), at(4 * DAY_S, ticked()), resolved("refund"))
    signed_ledger(tmp_path, decided(*events))
    with open_store(tmp_path, read_only=True) as store:
        (state,) = dispute_queue(store, overdue=True)
        assert (state.dispute, state.overdue) == ("d-2", ["answer"])
        assert [state.dispute for state in dispute_queue(store)] == ["d-2"]
        assert open_disputes_of(store, "m-1") == ["d-1"], "until the resolution is final"


def test_an_appeal_puts_a_dispute_back_into_the_queue(tmp_path: Path) -> None:
    signed_ledger(tmp_path, decided(*FILLED, resolved(), appealed()))
    with open_store(tmp_path, read_only=True) as store:
        (state,) = dispute_queue(store)
        assert state.status == "appealed"


def test_disputes_of_the_same_offer_merchant_or_member_are_alike(tmp_path: Path, run: Run) -> None:
    claims = (claimed("o2", "m-2", "d-2"), claimed("n-1", "m-1", "d-3", about="notice"))
    signed_ledger(tmp_path, decided(*FILLED, *claims, claimed("n-2", "m-9", "d-4", about="notice")))
    status, said, _ = run("disputes", "--like", "d-1", "--json")
    found = {state["dispute"]: state["alike"] for state in json.loads(said)["disputes"]}
    assert (status, found) == (0, {"d-2": ["offer", "merchant"], "d-3": ["member"]})
    assert run("disputes", "--like", "d-9")[0] == 1
    assert run("disputes", "--like", "d-1", "--overdue")[0] == 2
    status, said, _ = run("disputes")
    assert status == 0 and "d-1  open, about order o1, by member m-1" in said and "4 disputes wait." in said


def an_outage(tmp_path: Path, **terms: object) -> IncidentQuestion:
    """o2's hold ends while shops cannot report payments, from second 100 to 2,000; its group of three stays open."""
    events = (
        offer(size=3, group_ttl_s=10 * DAY_S, **terms),
        posted("o1", "m-1", payment=payment(payment="p1")),
        joined("o2", "m-2"),
        at(1_000, ticked()),
        at(1_500, paid("o2", payment="p2")),
        at(5_000, ticked()),
    )
    signed_ledger(tmp_path, decided(*events))
    return IncidentQuestion(from_ns=T0 + 100 * NS_PER_S, to_ns=T0 + 2_000 * NS_PER_S)


def test_an_incident_names_what_it_touched_and_the_seats_that_the_clock_took(tmp_path: Path) -> None:
    question = an_outage(tmp_path)
    with open_store(tmp_path, read_only=True) as store:
        report = find_incident(store, question)
        (order,) = report.orders
        assert (order.order, order.seat, order.lost, order.remedy) == ("o2", "hold_ended", "hold_ended", "seat")
        other = find_incident(store, IncidentQuestion(from_ns=question.from_ns, to_ns=question.to_ns, offer="cake"))
        assert other.orders == [] == other.groups


def test_remedies_can_be_published_and_do_what_they_say(tmp_path: Path) -> None:
    question = an_outage(tmp_path)
    with open_store(tmp_path, read_only=True) as store:
        report = find_incident(store, question)
    events = list(remedies(report, question, "cs-7", approve=False))
    checked = check_lines([msgspec.json.encode(event) for event in events], format_time_ns(T0))
    assert [(event.publisher, event.kind) for event in checked] == [
        ("operator", "dispute.opened"),
        ("operator", "dispute.resolved"),
    ]
    history = (
        offer(size=3, group_ttl_s=10 * DAY_S),
        posted("o1", "m-1", payment=payment(payment="p1")),
        joined("o2", "m-2"),
        at(1_000, ticked()),
    )
    published = [{"specversion": "1.0", **event} for event in events]
    last = decided(*history, *published)[-1].body
    assert b'"kind":"dispute.resolved"' in last and b'"kind":"seat.held"' in last
    approvals = [{"specversion": "1.0", **event} for event in remedies(report, question, "cs-8", approve=True)]
    bulk = {"second_approver": ["bulk"]}
    alone = decided(*history, *published, disputes=bulk)[-1].body
    both = decided(*history, *published, *approvals, disputes=bulk)[-1].body
    assert b'"kind":"dispute.proposed"' in alone and b'"kind":"seat.held"' not in alone
    assert b'"kind":"seat.held"' in both


def test_a_mispriced_offer_is_refunded_in_part_where_a_group_filled(tmp_path: Path, run: Run) -> None:
    signed_ledger(tmp_path, decided(*FILLED[:3]))
    out = tmp_path / "remedies.ndjson"
    begin, end = format_time_ns(T0), format_time_ns(T0 + 100 * NS_PER_S)
    asked = ("incident", "--from", begin, "--to", end, "--offer", "tea", "--refund-minor", "300", "--out", str(out))
    status, said, _ = run(*asked, "--actor", "cs-7")
    assert status == 0 and "2 orders" in said
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert [event["data"].get("remedy", {}).get("amount_minor") for event in events] == [None, 300, None, 300]
    assert run(*asked)[0] == 2, "somebody must answer for it"
    assert run("incident", "--from", "yesterday", "--to", end)[0] == 2
    assert run("incident", "--from", end, "--to", begin)[0] == 2
    assert run("incident", "--from", begin, "--to", end, "--out", str(tmp_path / "no" / "f"), "--actor", "x")[0] == 2


def test_nothing_is_applied_by_looking(tmp_path: Path, run: Run) -> None:
    signed_ledger(tmp_path, decided(*FILLED[:3], answered("d-0")))
    before = {path: path.read_bytes() for path in (tmp_path / "ledger").iterdir() if path.suffix == ".sqlite"}
    begin, end = format_time_ns(T0), format_time_ns(T0 + 100 * NS_PER_S)
    assert run("incident", "--from", begin, "--to", end, "--json")[0] == 0
    assert {path: path.read_bytes() for path in before} == before
