"""Limits, payments that come with the order, prices, and the fill (RULES.md section 4, steps 5 to 7)."""

from typing import Any

from events.reasons import Reason
from tests.builders import (
    JsonEvent,
    completed,
    joined,
    offer,
    offer_changed,
    paid,
    payment,
    posted,
    withdrawn,
)
from tests.unit.rules.given import covers, given

# 4.5 Limits


@covers(Reason.LIMIT_AT_ONCE)
def test_a_member_holds_at_most_so_much_at_a_time() -> None:
    story = given(offer(size=3, limit_at_once=2), posted("o1", "m1"), posted("o2", "m1", pool="north"))
    story.when(posted("o3", "m1", payment=payment())).then_refused(Reason.LIMIT_AT_ONCE, "refund.due")
    story.when(withdrawn("o1")).when(posted("o3", "m1")).then("group.opened", "seat.held")


def test_units_count_towards_limits_where_units_count() -> None:
    story = given(offer(size=9, count="units", limit_at_once=4), posted("o1", "m1", quantity=3))
    story.when(posted("o2", "m1", quantity=2)).then_refused(Reason.LIMIT_AT_ONCE)
    story.when(posted("o2", "m1")).then("group.opened", "seat.held")
    story = given(offer(size=9, limit_at_once=2), posted("o1", "m1", quantity=9))
    story.when(posted("o2", "m1", quantity=9)).then("group.opened", "seat.held")


@covers(Reason.LIMIT_TOTAL)
def test_a_member_orders_at_most_so_much_in_total() -> None:
    story = given(offer(hold_s=0, limit_total=2), posted("o1", "m1"), joined("o2", "m2")).then(
        "seat.confirmed", "group.filled"
    )
    story.when(posted("o3", "m1")).then("group.opened", "seat.confirmed")
    story.when(posted("o4", "m1")).then_refused(Reason.LIMIT_TOTAL)
    story.when(withdrawn("o3")).when(posted("o4", "m1")).then("group.opened", "seat.confirmed")


def test_what_was_cancelled_after_the_fill_does_not_count() -> None:
    story = given(offer(hold_s=0, limit_total=1), posted("o1", "m1"), joined("o2", "m2"))
    story.when(posted("o3", "m1")).then_refused(Reason.LIMIT_TOTAL)
    story.when({**withdrawn("o1"), "type": "groupbuy.order.cancelled.v1"}).then("seat.released")
    story.when(posted("o3", "m1")).then("group.opened", "seat.confirmed")


def test_the_limits_of_the_group_joined_count() -> None:
    story = given(offer(size=3, limit_at_once=1), posted("o1", "m1"), posted("o2", "m2"))
    story.when(offer_changed(limit_at_once=5))
    story.when(joined("o3", "m1", group=story.group_of("o2"))).then_refused(Reason.LIMIT_AT_ONCE)
    story.when(posted("o3", "m1")).then("group.opened", "seat.held")


# 4.6 Payments that come with the order


@covers(Reason.NO_PAYMENT_DUE, Reason.WRONG_AMOUNT, Reason.WRONG_CURRENCY)
def test_a_payment_that_comes_with_an_order_must_be_right() -> None:
    def refusal(pays: JsonEvent, **terms: Any) -> str:
        story = given(offer(**terms)).when(posted("o1", payment=pays)).then("refused", "refund.due")
        refund = story.one("refund.due")
        assert (refund["cause"], refund["amount_minor"]) == ("order_refused", pays["amount_minor"])
        story.when(paid("o1", payment=pays["payment"])).then_refused(Reason.PAYMENT_KNOWN)
        reason: str = story.history[-2]["decisions"][0]["reason"]
        return reason

    assert refusal(payment(7_999)) == refusal(payment(8_001)) == "wrong_amount"
    assert refusal(payment(currency="EUR")) == "wrong_currency"
    assert refusal(payment(0), hold_s=0) == "no_payment_due"


@covers(Reason.PAYMENT_KNOWN)
def test_a_payment_that_is_to_be_refunded_buys_no_seat() -> None:
    story = given().when(posted("o1", payment=payment(payment="p1"))).then_refused(Reason.OFFER_UNKNOWN, "refund.due")
    story.when(offer()).when(posted("o1", payment=payment(payment="p1"))).then_refused(Reason.PAYMENT_KNOWN)
    story.when(posted("o1", payment=payment(payment="p2"))).then("group.opened", "seat.confirmed")


# Prices


def test_price_by_size_is_that_of_the_smallest_size_at_which_the_group_can_fill() -> None:
    tiers = [{"size": 3, "price_minor": 7_000}, {"size": 5, "price_minor": 6_000}]

    def price(**terms: Any) -> int:
        story = given(offer(tiers=tiers, close="at_deadline", **terms)).when(posted("o1", quantity=2))
        payable: int = story.one("seat.held")["payable_minor"]
        return payable // 2

    assert price(size=2) == 8_000
    assert price(size=3) == price(size=4) == 7_000
    assert price(size=5) == price(size=9) == 6_000
    assert price(size=9, fill_if_at_least=4) == 7_000
    assert price(size=9, fill_if_at_least=2) == 8_000


def test_the_leader_pays_the_leaders_price() -> None:
    story = given(offer(leader_minor=5_000)).when(posted("o1", quantity=2))
    assert story.one("seat.held")["payable_minor"] == 10_000
    story.when(joined("o2"))
    assert story.one("seat.held")["payable_minor"] == 8_000
    free = given(offer(leader_minor=0)).when(posted("o1", payment=payment(0))).then("group.opened", "seat.confirmed")
    assert free.one("seat.confirmed")["payable_minor"] == 0


def test_without_a_leaders_price_the_leader_pays_as_everybody() -> None:
    story = given(offer(tiers=[{"size": 2, "price_minor": 7_000}])).when(posted("o1"))
    assert story.one("seat.held")["payable_minor"] == 7_000


# 4.7 Fill


def test_a_group_fills_when_its_confirmed_weight_reaches_its_size() -> None:
    story = given(offer(size=5, count="units"), posted("o1", quantity=2, payment=payment(16_000)))
    story.when(joined("o2", quantity=3)).then("seat.held")
    story.when(paid("o2", 24_000)).then("seat.confirmed", "group.filled")
    filled = story.one("group.filled")
    assert (filled["cause"], filled["size"]) == ("target", 5)
    assert [(seat["quantity"], seat["price_minor"]) for seat in filled["seats"]] == [(2, 16_000), (3, 24_000)]


def test_one_order_may_fill_a_group_by_itself() -> None:
    story = given(offer(size=3, count="units", hold_s=0)).when(posted(quantity=3))
    story.then("group.opened", "seat.confirmed", "group.filled")


def test_an_offer_that_closes_at_the_deadline_fills_early_only_when_there_is_no_room_left() -> None:
    story = given(offer(size=2, max_size=3, close="at_deadline", hold_s=0, group_ttl_s=60))
    story.when(posted("o1")).when(joined("o2")).then("seat.confirmed")
    story.when(joined("o3")).then("seat.confirmed", "group.filled")
    assert story.one("group.filled")["cause"] == "target"
    story.when(posted("o4")).when(joined("o5")).when(completed("g9-9"), at=60)
    assert story.one("group.filled")["cause"] == "deadline"
