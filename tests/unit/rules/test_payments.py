"""Paying (RULES.md section 6, `order.paid`), and what refunds are answered."""

from typing import Any

import pytest

from events.reasons import Reason
from tests.builders import (
    blocked,
    cancelled,
    dissolved,
    joined,
    offer,
    offer_changed,
    offer_stocked,
    offer_withdrawn,
    paid,
    payment,
    posted,
    refund_failed,
    refund_settled,
    released,
    ticked,
    withdrawn,
)
from tests.unit.rules.given import Scenario, covers, given


def test_a_payment_confirms_a_held_seat() -> None:
    story = given(offer(), posted("o1", "m1")).when(paid("o1", payment="p1"), by="shop-b")
    story.then_nothing_but("seat.confirmed", payment="p1", payable_minor=8_000, publisher="shop-a", member="m1")


@covers(Reason.PAYMENT_KNOWN)
def test_the_same_payment_again_is_known() -> None:
    story = given(offer(), posted("o1"), paid("o1", payment="p1"))
    story.when(paid("o1", payment="p1")).then_refused(Reason.PAYMENT_KNOWN)
    story.when(paid("o1", 1, payment="p1", currency="EUR")).then_refused(Reason.PAYMENT_KNOWN)


@covers(Reason.SECOND_PAYMENT, Reason.PAYMENT_KNOWN)
def test_a_second_payment_goes_back_once() -> None:
    story = given(offer(), posted("o1", "m1", payment=payment())).when(paid("o1", 5, payment="p2", currency="EUR"))
    story.then_nothing_but("refund.due", cause="second_payment", amount_minor=5, currency="EUR", member="m1")
    story.when(paid("o1", payment="p2")).then_refused(Reason.PAYMENT_KNOWN)


@pytest.mark.parametrize(
    ("cause", "pays", "terms"),
    [
        ("wrong_amount", {"amount_minor": 7_999}, {}),
        ("wrong_amount", {"amount_minor": 8_001}, {}),
        ("wrong_currency", {"currency": "EUR", "amount_minor": 1}, {}),
        ("no_payment_due", {}, {"hold_s": 0}),
    ],
)
def test_a_wrong_payment_goes_back_and_the_seat_stays_as_it_is(
    cause: str, pays: dict[str, Any], terms: dict[str, Any]
) -> None:
    story = given(offer(**terms), posted("o1", "m1")).when(paid("o1", **pays))
    story.then_nothing_but("refund.due", cause=cause, member="m1", group=story.group_of("o1"))
    if not terms:
        story.when(paid("o1")).then("seat.confirmed")


def test_a_wrong_amount_for_an_order_that_has_ended_is_a_wrong_amount() -> None:
    story = given(offer(late_payment="rejoin"), posted("o1"), withdrawn("o1"))
    story.when(paid("o1", 1)).then_nothing_but("refund.due", cause="wrong_amount")


def test_a_payment_of_nothing_is_a_payment() -> None:
    story = given(offer(group_minor=0), posted("o1")).when(paid("o1", 0)).then("seat.confirmed")
    story.when(withdrawn("o1")).then("seat.released", "refund.due", "group.dissolved")
    assert story.one("refund.due")["amount_minor"] == 0


# Late, within the grace


def _late_in_grace(**terms: Any) -> Scenario:
    started = posted("o1"), joined("o2", payment=payment()), joined("o3")
    return given(offer(**{"hold_s": 10, "grace_s": 5, "size": 4, **terms}), *started)


def test_a_payment_within_the_grace_confirms_the_seat_where_late_payers_rejoin() -> None:
    story = _late_in_grace(late_payment="rejoin")
    story.when(paid("o3"), at=10).then("seat.confirmed")
    story.when(paid("o1"), at=15, at_ns=-1).then("seat.confirmed")


def test_a_payment_within_the_grace_may_fill_the_group() -> None:
    story = _late_in_grace(late_payment="rejoin", size=2, max_size=3, close="at_deadline")
    story.when(paid("o3"), at=10).then("seat.confirmed")
    story.when(paid("o1"), at=12).then("seat.confirmed", "group.filled")


def test_else_it_goes_back_and_the_seat_is_released() -> None:
    story = _late_in_grace().when(paid("o3"), at=10).then("refund.due", "seat.released")
    assert (story.one("refund.due")["cause"], story.one("seat.released")["cause"]) == ("late_payment", "late_payment")
    story.when(paid("o3", payment="again"), at=11).then_nothing_but("refund.due", cause="late_payment")


def test_a_leader_who_pays_late_leads_no_more() -> None:
    story = _late_in_grace(leader_leaves="forbid").when(paid("o1"), at=10).then("refund.due", "seat.released")
    assert story.one("seat.released")["promoted"] == "o2"
    story = _late_in_grace(leader_leaves="dissolve").when(paid("o1"), at=10)
    story.then("refund.due", "seat.released", "group.dissolved", "refund.due")


def test_after_the_grace_the_hold_is_over() -> None:
    _late_in_grace().when(paid("o3"), at=15).then("seat.released", "seat.released", "refund.due")


# Late, after the seat is gone: rejoin


def _rejoining(**terms: Any) -> Scenario:
    rules = {"hold_s": 10, "size": 3, "late_payment": "rejoin", "stock": 9, **terms}
    return given(offer(**rules), posted("o1", "m1", payment=payment()), joined("o2", "m2"))


def test_who_pays_late_gets_the_old_group_first() -> None:
    story = _rejoining()
    story.when(posted("o3", "m3", payment=payment())).when(joined("o4", "m4", group=story.group_of("o3")))
    story.when(paid("o2"), at=10).then("seat.released", "seat.released", "seat.confirmed")
    assert story.group_of("o2") == story.group_of("o1")


def test_then_a_group_that_the_matcher_chooses() -> None:
    story = _rejoining()
    story.when(posted("o3", "m3", payment=payment())).when(ticked(), at=10)
    story.when([joined(f"f{n}", group=story.group_of("o1")) for n in range(2)])
    story.when(paid("o2")).then("seat.confirmed")
    assert story.group_of("o2") == story.group_of("o3")


@pytest.mark.parametrize("obstacle", ["blocked", "seated"])
def test_the_old_group_is_passed_over_if_the_member_may_not_sit_there(obstacle: str) -> None:
    story = _rejoining().when(ticked(), at=10)
    if obstacle == "blocked":
        story.when(blocked("m1", "m2"))
    else:
        story.when(joined("again", "m2", group=story.group_of("o1")))
    story.when(paid("o2")).then("group.opened", "seat.confirmed")


def test_then_a_group_of_its_own() -> None:
    story = given(offer(hold_s=10, late_payment="rejoin", stock=1), posted("o1"))
    story.when(paid("o1"), at=20).then("seat.released", "group.dissolved", "group.opened", "seat.confirmed")
    assert story.one("group.opened")["group"] == "g4-0"
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 0}


def test_who_pays_late_may_fill_the_group() -> None:
    story = _rejoining(size=2)
    story.when(paid("o2"), at=10).then("seat.released", "seat.confirmed", "group.filled")


def test_who_lost_the_seat_because_the_group_expired_rejoins_too() -> None:
    story = given(offer(size=3, group_ttl_s=60, late_payment="rejoin"), posted("o1"))
    story.when(paid("o1"), at=60)
    story.then("seat.released", "group.expired", "group.opened", "seat.confirmed")


def test_or_because_it_was_dissolved() -> None:
    story = given(offer(size=3, late_payment="rejoin"), posted("o1"))
    story.when(dissolved(story.group_of("o1"))).when(paid("o1")).then("group.opened", "seat.confirmed")


def test_or_because_it_was_filled_without_it() -> None:
    story = _rejoining(fill_if_at_least=1, group_ttl_s=10)
    story.when(paid("o2"), at=10).then("seat.released", "group.filled", "group.opened", "seat.confirmed")


@pytest.mark.parametrize(
    "obstacle",
    [
        offer_changed(closes_at="2026-01-01T00:00:10Z"),
        offer_changed(opens_at="2026-01-02T00:00:00Z"),
        offer_withdrawn(open_groups="dissolve"),
        offer_stocked(-8),
    ],
    ids=["closed", "not open", "withdrawn", "out of stock"],
)
def test_what_stands_in_the_way_of_rejoining_gives_the_money_back(obstacle: dict[str, Any]) -> None:
    story = _rejoining().when(ticked(), at=10).when(obstacle)
    story.when(paid("o2")).then_nothing_but("refund.due", cause="late_payment")


def test_a_withdrawn_offers_open_groups_may_be_rejoined() -> None:
    story = _rejoining().when(ticked(), at=10).when(offer_withdrawn())
    story.when(paid("o2")).then("seat.confirmed")


def test_who_wants_no_strangers_rejoins_in_a_group_of_its_own() -> None:
    story = given(offer(hold_s=10, size=3, late_payment="rejoin"), posted("o1", strangers=False))
    story.when(posted("o2", payment=payment()))
    story.when(paid("o1"), at=10).then("seat.released", "group.dissolved", "group.opened", "seat.confirmed")


def test_the_limits_hold_for_who_rejoins() -> None:
    story = _rejoining(limit_at_once=1).when(ticked(), at=10).when(posted("more", "m2"))
    story.when(paid("o2")).then_nothing_but("refund.due", cause="late_payment")


@pytest.mark.parametrize("change", [{"group_minor": 9_000}, {"leader_minor": 1}, {"currency": "EUR"}, {"hold_s": 0}])
def test_the_new_place_must_cost_what_was_paid(change: dict[str, Any]) -> None:
    """The old group has ended, so that the order would open one, under the rules of now."""
    story = given(offer(hold_s=10, late_payment="rejoin"), posted("o1"), offer_changed(**change))
    story.when(paid("o1"), at=10)
    assert story.one("refund.due")["cause"] == "late_payment"


def test_who_lost_the_lead_rejoins_as_an_ordinary_member() -> None:
    story = given(
        offer(hold_s=10, leader_minor=5_000, late_payment="rejoin"), posted("o1"), joined("o2", payment=payment())
    )
    story.when(ticked(), at=10)
    story.when(paid("o1", 5_000)).then_nothing_but("refund.due", cause="late_payment")


def test_who_led_before_pays_as_an_ordinary_member_where_another_leads() -> None:
    story = given(offer(hold_s=10, late_payment="rejoin"), posted("o1")).when(offer_changed(leader_minor=5_000), at=10)
    story.when(posted("o2", payment=payment(5_000))).then("group.opened", "seat.confirmed")
    story.when(paid("o1")).then("seat.confirmed", "group.filled")
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [5_000, 8_000]


@pytest.mark.parametrize("leave", [withdrawn, cancelled, released])
@covers(Reason.LATE_PAYMENT)
def test_who_left_does_not_rejoin(leave: Any) -> None:
    story = given(offer(late_payment="rejoin"), posted("o1"), joined("o2")).when(leave("o2"))
    story.when(paid("o2")).then_nothing_but("refund.due", cause="late_payment")


def test_who_rejoined_may_not_pay_twice() -> None:
    story = _rejoining().when(paid("o2", payment="p2"), at=10)
    story.when(paid("o2", payment="p2")).then_refused(Reason.PAYMENT_KNOWN)
    story.when(paid("o2", payment="p3")).then_nothing_but("refund.due", cause="second_payment")


# Refunds are answered


@covers(Reason.REFUND_UNKNOWN, Reason.REFUND_SETTLED)
def test_a_refund_is_settled_once_and_may_fail_before() -> None:
    story = given(offer(), paid("o1", 70))
    refund = story.one("refund.due")["refund"]
    story.when(refund_failed(refund))
    story.then_nothing_but("refund.closed", refund=refund, status="failed", order="o1", amount_minor=70, currency="CNY")
    story.when(refund_settled(refund)).then_nothing_but("refund.closed", status="settled")
    story.when(refund_settled(refund)).then_refused(Reason.REFUND_SETTLED)
    story.when(refund_failed(refund)).then_refused(Reason.REFUND_SETTLED)
    story.when(refund_settled("r-0")).then_refused(Reason.REFUND_UNKNOWN)
