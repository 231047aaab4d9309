"""Leaving, changing, cancelling and being released (RULES.md section 6)."""

from typing import Any

import pytest

from events.reasons import Reason
from tests.builders import (
    JsonEvent,
    S,
    cancelled,
    completed,
    dissolved,
    joined,
    offer,
    offer_changed,
    offer_stocked,
    order_changed,
    paid,
    payment,
    posted,
    released,
    ticked,
    withdrawn,
)
from tests.unit.rules.given import Scenario, covers, given

LEAVING = [withdrawn, cancelled, released]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_seat_that_is_left_is_free_again_and_what_was_paid_goes_back(leave: Any) -> None:
    cause = leave("o")["type"].split(".")[2]
    story = given(offer(size=3, stock=2), posted("o1"), joined("o2", "m2", payment=payment(payment="p2")))
    story.when(leave("o2")).then("seat.released", "refund.due")
    assert (story.one("seat.released")["cause"], story.one("refund.due")["cause"]) == (cause, cause)
    refund = story.one("refund.due")
    assert (refund["payment"], refund["amount_minor"], refund["member"]) == ("p2", 8_000, "m2")
    story.when(joined("o3")).then("seat.held")


@pytest.mark.parametrize("leave", LEAVING)
def test_who_has_not_paid_gets_nothing_back(leave: Any) -> None:
    given(offer(size=3), posted("o1"), joined("o2")).when(leave("o2")).then("seat.released")


@pytest.mark.parametrize("leave", LEAVING)
@covers(Reason.ORDER_UNKNOWN, Reason.ORDER_OVER)
def test_only_an_order_that_sits_can_leave(leave: Any) -> None:
    story = given(offer(), posted("o1")).when(leave("o9")).then_refused(Reason.ORDER_UNKNOWN)
    story.when(leave("o1")).then("seat.released", "group.dissolved")
    story.when(leave("o1")).then_refused(Reason.ORDER_OVER)


@pytest.mark.parametrize("leave", LEAVING)
def test_when_the_last_seat_is_left_the_group_is_dissolved(leave: Any) -> None:
    story = given(offer(leader_leaves="dissolve"), posted("o1")).when(leave("o1"))
    story.then("seat.released", "group.dissolved")
    assert (story.one("group.dissolved")["cause"], story.one("group.dissolved")["seats"]) == ("empty", [])


# Policies


@pytest.mark.parametrize("leave", [withdrawn, cancelled])
@covers(Reason.WITHDRAWAL_NOT_ALLOWED)
def test_the_offer_says_until_when_members_may_leave(leave: Any) -> None:
    never = given(offer(size=3, withdraw="never"), posted("o1"), joined("o2"))
    never.when(leave("o2")).then_refused(Reason.WITHDRAWAL_NOT_ALLOWED)
    story = given(offer(size=3, withdraw="until_paid"), posted("o1"), joined("o2"), joined("o3"), paid("o3"))
    story.when(leave("o3")).then_refused(Reason.WITHDRAWAL_NOT_ALLOWED)
    story.when(leave("o2")).then("seat.released")
    free = given(offer(size=3, withdraw="until_paid", hold_s=0), posted("o1"), joined("o2"))
    free.when(leave("o2")).then("seat.released")


@pytest.mark.parametrize("leave", [withdrawn, cancelled])
@covers(Reason.LEADER_MAY_NOT_LEAVE)
def test_a_leader_may_be_forbidden_to_leave_others(leave: Any) -> None:
    story = given(offer(size=3, leader_leaves="forbid"), posted("o1"), joined("o2"))
    story.when(leave("o1")).then_refused(Reason.LEADER_MAY_NOT_LEAVE)
    story.when(leave("o2")).then("seat.released")
    story.when(leave("o1")).then("seat.released", "group.dissolved")


def test_customer_service_releases_whatever_the_policies_say() -> None:
    story = given(offer(size=3, leader_leaves="forbid", withdraw="never"), posted("o1"), joined("o2"))
    story.when(released("o1")).then("seat.released")
    seat = story.one("seat.released")
    assert (seat["promoted"], seat["cause"]) == ("o2", "released")
    assert (seat["actor"], seat["reason"], seat["ticket"]) == ("amy", "complaint", "t-1")


@pytest.mark.parametrize("field", ["actor", "reason", "ticket"])
@pytest.mark.parametrize("act", [released, dissolved, completed])
def test_customer_service_gives_actor_reason_and_ticket(act: Any, field: str) -> None:
    document: JsonEvent = act("x")
    del document["data"][field]
    given().when(document).then("malformed")


def test_promotion_does_not_change_money() -> None:
    """Neither does the new leader pay the leader's price, nor does the group when it fills."""
    story = given(offer(size=2, leader_minor=5_000), posted("o1"), joined("o2"))
    story.when(withdrawn("o1"))
    story.when(paid("o2")).then("seat.confirmed")
    story.when(joined("o3", payment=payment())).then("seat.confirmed", "group.filled")
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [8_000, 8_000]


def test_leadership_goes_to_the_earliest_seat_each_time() -> None:
    story = given(offer(size=4), posted("o1"), joined("o2"), joined("o3"))
    assert story.when(withdrawn("o1")).one("seat.released")["promoted"] == "o2"
    assert story.when(withdrawn("o2")).one("seat.released")["promoted"] == "o3"
    assert "promoted" not in story.when(joined("o4")).when(withdrawn("o4")).one("seat.released")


@pytest.mark.parametrize(
    ("leader_leaves", "kinds"),
    [
        ("promote", ["seat.released"]),
        ("forbid", ["seat.released"]),
        ("dissolve", ["seat.released", "group.dissolved", "refund.due"]),
    ],
)
def test_a_leaders_hold_that_ends_counts_as_leaving(leader_leaves: str, kinds: list[str]) -> None:
    story = given(offer(size=3, leader_leaves=leader_leaves, hold_s=10), posted("o1"), joined("o2", payment=payment()))
    story.when(ticked(), at=10).then(*kinds, "clock.advanced")
    assert story.one("seat.released").get("promoted") == (None if leader_leaves == "dissolve" else "o2")


def test_after_the_fill_nobody_withdraws_but_may_cancel() -> None:
    story = given(offer(stock=5, withdraw="never"), posted("o1", payment=payment()), joined("o2", payment=payment()))
    story.when(withdrawn("o2")).then_refused(Reason.ORDER_OVER)
    story.when(cancelled("o2")).then("seat.released", "refund.due")
    story.when(cancelled("o2")).then_refused(Reason.ORDER_OVER)
    story.when(released("o1")).then("seat.released", "refund.due")
    assert "promoted" not in story.one("seat.released")
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 5}


def test_who_cancels_after_the_fill_gets_what_is_still_held() -> None:
    story = given(offer(fill_if_at_least=1, tiers=[{"size": 2, "price_minor": 7_000}]), posted("o1", payment=payment()))
    story.when(joined("o2", payment=payment())).then("seat.confirmed", "group.filled", "refund.due", "refund.due")
    story.when(cancelled("o1"))
    assert story.one("refund.due")["amount_minor"] == 7_000


def test_who_cancels_after_a_fill_without_payment_gets_nothing_back() -> None:
    given(offer(hold_s=0), posted("o1"), joined("o2")).when(cancelled("o1")).then("seat.released")


# Changing


def _seated(**terms: Any) -> Scenario:
    rules: dict[str, Any] = {"size": 4, "skus": {"red": 3, "blue": 1}, **terms}
    return given(offer(**rules), posted("o1", "m1", sku="red", quantity=2), joined("o2", sku="red"))


def test_a_changed_order_keeps_its_seat_and_its_hold() -> None:
    story = _seated(hold_s=10).when(order_changed("o1", quantity=1, merge=True), at=5)
    story.then_nothing_but("seat.held", payable_minor=8_000, group=story.group_of("o1"))
    assert story.one("seat.held")["hold_until"] == story.now_ns + 5 * S
    story.when(ticked(), at=10).then("seat.released", "seat.released", "group.dissolved", "clock.advanced")


def test_a_paid_order_may_change_its_variant_but_not_its_quantity() -> None:
    story = _seated().when(paid("o2")).when(order_changed("o2", sku="blue"))
    story.then_nothing_but("seat.confirmed", sku="blue", payable_minor=8_000)
    assert "payment" in story.one("seat.confirmed")
    story.when(order_changed("o2", quantity=2)).then_refused(Reason.ALREADY_PAID)
    story.when(order_changed("o2", quantity=1, strangers=False)).then("seat.confirmed")


@covers(Reason.ALREADY_PAID)
def test_a_seat_that_needs_no_payment_has_a_fixed_quantity_too() -> None:
    given(offer(hold_s=0), posted("o1")).when(order_changed("o1", quantity=2)).then_refused(Reason.ALREADY_PAID)


@covers(Reason.ORDER_UNKNOWN, Reason.ORDER_OVER, Reason.NOTHING_TO_CHANGE)
def test_only_what_sits_changes_and_only_if_something_differs() -> None:
    story = _seated().when(order_changed("o9", quantity=2)).then_refused(Reason.ORDER_UNKNOWN)
    story.when(order_changed("o1")).then_refused(Reason.NOTHING_TO_CHANGE)
    story.when(order_changed("o1", sku="red", quantity=2, strangers=True, merge=False))
    story.then_refused(Reason.NOTHING_TO_CHANGE)
    story.when(withdrawn("o1")).when(order_changed("o1", quantity=1)).then_refused(Reason.ORDER_OVER)


@covers(Reason.SKU_UNKNOWN, Reason.OUT_OF_STOCK)
def test_a_changed_variant_must_exist_and_be_in_stock() -> None:
    story = _seated().when(order_changed("o1", sku="white")).then_refused(Reason.SKU_UNKNOWN)
    story.when(order_changed("o1", sku="blue")).then_refused(Reason.OUT_OF_STOCK)
    story.when(order_changed("o1", sku="blue", quantity=1)).then("seat.held")
    story.when(offer_stocked(0, sku="red"))
    assert story.one("offer.listed")["stock"] == {"red": 2, "blue": 0}
    given(offer(), posted("o1")).when(order_changed("o1", sku="red")).then_refused(Reason.SKU_UNKNOWN)


def test_what_an_order_holds_is_given_back_before_it_takes_more() -> None:
    story = given(offer(stock=3), posted("o1", quantity=2))
    story.when(order_changed("o1", quantity=4)).then_refused(Reason.OUT_OF_STOCK)
    story.when(order_changed("o1", quantity=3)).then("seat.held")
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 0}


@covers(Reason.GROUP_FULL, Reason.QUANTITY_TOO_LARGE)
def test_where_units_count_a_changed_quantity_must_fit() -> None:
    story = given(offer(size=4, count="units"), posted("o1", quantity=2), joined("o2"))
    story.when(order_changed("o1", quantity=5)).then_refused(Reason.QUANTITY_TOO_LARGE)
    story.when(order_changed("o1", quantity=4)).then_refused(Reason.GROUP_FULL)
    story.when(order_changed("o1", quantity=3)).then_nothing_but("seat.held", payable_minor=24_000)
    story.when(joined("o3")).then_refused(Reason.NO_OPEN_GROUP)


@covers(Reason.LIMIT_AT_ONCE, Reason.LIMIT_TOTAL)
def test_limits_hold_for_more_quantity() -> None:
    story = given(offer(size=9, count="units", limit_at_once=3), posted("o1", "m1"), posted("o2", "m1"))
    story.when(order_changed("o1", quantity=3)).then_refused(Reason.LIMIT_AT_ONCE)
    story.when(order_changed("o1", quantity=2)).then("seat.held")
    story = given(offer(size=9, count="units", limit_total=2), posted("o1", "m1"))
    story.when(order_changed("o1", quantity=3)).then_refused(Reason.LIMIT_TOTAL)


def test_less_quantity_is_never_against_a_limit() -> None:
    story = given(offer(size=9, count="units"), posted("o1", "m1", quantity=5), offer_changed(limit_at_once=1))
    story.when(order_changed("o1", quantity=4)).then("seat.held")


def test_the_leaders_price_holds_for_a_changed_quantity() -> None:
    story = given(offer(leader_minor=100), posted("o1")).when(order_changed("o1", quantity=3))
    assert story.one("seat.held")["payable_minor"] == 300
