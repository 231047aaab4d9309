"""The demo's table: which way a group was filled, and whether all money is accounted for."""

from typing import Any

import msgspec
import pytest

from deploy.cli.demo_report import FRIENDS, MERGING, STRANGERS, Counting, Report, percentile_ms
from events import decisions as d
from events.record import Entry

SHOP = "local"


class _Log:
    """Entries as they would be archived, one call each."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, verb: str | None, data: dict[str, Any] | None, *decisions: d.AnyDecision) -> None:
        seq = len(self.entries) + 1
        event = None
        if verb is not None:
            event = msgspec.Raw(
                msgspec.json.encode(
                    {
                        "specversion": "1.0",
                        "type": f"groupbuy.order.{verb}.v1",
                        "id": f"e{seq}",
                        "source": "/test",
                        "time": "2026-11-11T08:00:00Z",
                        "data": data,
                    }
                )
            )
        publisher = None if verb is None else SHOP
        entry = Entry(seq=seq, index=0, part=0, at=seq, publisher=publisher, event=event, decisions=list(decisions))
        self.entries.append(entry)

    def post(self, order: str, group: str, *, opens: bool, lead: str = "always") -> None:
        decisions: list[d.AnyDecision] = [_opened(group, order)] if opens else []
        data = {"order": order, "member": f"m-{order}", "offer": "tea", "lead": lead, "payment": _payment(order)}
        self.add("posted", data, *decisions, _confirmed(group, order))

    def join(self, order: str, group: str, *, named: bool) -> None:
        data = {"order": order, "member": f"m-{order}", "offer": "tea", "payment": _payment(order)}
        self.add("joined", data | ({"group": group} if named else {}), _confirmed(group, order))

    def fill(self, group: str, *orders: str, cause: Any = "target") -> None:
        seats = [d.SeatRef(order=o, member=f"m-{o}", publisher=SHOP, price_minor=990) for o in orders]
        filled = d.GroupFilled(group=group, offer="tea", cause=cause, size=len(orders), seats=seats)
        self.add(None, None, filled)

    def report(self) -> Report:
        return Counting().count(self.entries)


def _payment(order: str) -> dict[str, Any]:
    return {"payment": f"p-{order}", "amount_minor": 990, "currency": "CNY"}


def _opened(group: str, order: str) -> d.GroupOpened:
    return d.GroupOpened(group=group, offer="tea", edition=1, order=order, member=f"m-{order}", deadline=10**18)


def _confirmed(group: str, order: str) -> d.SeatConfirmed:
    return d.SeatConfirmed(
        group=group,
        order=order,
        member=f"m-{order}",
        offer="tea",
        payable_minor=990,
        currency="CNY",
        payment=f"p-{order}",
        publisher=SHOP,
    )


def _due(order: str, cause: Any, amount_minor: int = 990) -> d.RefundDue:
    return d.RefundDue(
        refund=f"r-{order}",
        order=order,
        payment=f"p-{order}",
        amount_minor=amount_minor,
        currency="CNY",
        cause=cause,
        publisher=SHOP,
        member=f"m-{order}",
    )


def test_a_group_that_its_own_friends_filled_would_have_been_filled_anyway() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.join("b", "g1", named=True)
    log.fill("g1", "a", "b")
    report = log.report()
    assert (dict(report.groups), dict(report.orders)) == ({FRIENDS: 1}, {FRIENDS: 2})


def test_one_stranger_makes_it_a_group_that_strangers_filled() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.join("b", "g1", named=True)
    log.post("c", "g1", opens=False, lead="if_needed")
    log.fill("g1", "a", "b", "c")
    assert dict(log.report().orders) == {STRANGERS: 3}
    asked = _Log()
    asked.post("a", "g1", opens=True)
    asked.join("b", "g1", named=False)
    asked.fill("g1", "a", "b")
    assert dict(asked.report().groups) == {STRANGERS: 1}


def test_a_group_that_was_merged_counts_as_merged_whoever_sits_in_it() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.post("b", "g2", opens=True)
    log.fill("g1", "a", "b", cause="merge")
    assert dict(log.report().groups) == {MERGING: 1}


def test_what_was_paid_is_honoured_or_owed_back() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.join("b", "g1", named=True)
    log.fill("g1", "a", "b")
    log.post("c", "g2", opens=True)
    log.add(None, None, _due("c", "expired"))
    report = log.report()
    assert (report.paid_minor, report.honoured_minor, report.due_minor) == (2_970, 1_980, 990)
    assert report.money_adds_up


def test_a_seat_cancelled_after_its_group_was_filled_is_no_longer_honoured() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.join("b", "g1", named=True)
    log.fill("g1", "a", "b")
    released = d.SeatReleased(group="g1", order="b", member="m-b", cause="cancelled", publisher=SHOP)
    log.add("cancelled", {"order": "b"}, released, _due("b", "cancelled"))
    report = log.report()
    assert (report.honoured_minor, report.due_minor, report.money_adds_up) == (990, 990, True)


def test_money_that_was_forgotten_is_noticed() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    log.add(None, None, d.GroupExpired(group="g1", offer="tea", missing=1, seats=[]))
    assert not log.report().money_adds_up


def test_the_same_event_again_is_paid_once() -> None:
    log = _Log()
    log.post("a", "g1", opens=True)
    again = d.Duplicate(of="1.0.0", original="seat.confirmed")
    log.add("posted", {"order": "a", "member": "m-a", "offer": "tea", "payment": _payment("a")}, again)
    report = log.report()
    assert (report.launches, report.paid_minor, report.duplicates) == (1, 990, 1)


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentile_ms([], 99) == 0.0
    assert percentile_ms([0.001 * n for n in range(1, 101)], 50) == pytest.approx(51.0)
