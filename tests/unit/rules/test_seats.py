"""Taking a seat (RULES.md section 4)."""

from typing import Any

import pytest

from events.reasons import Reason
from tests.builders import (
    T0,
    JsonEvent,
    S,
    blocked,
    joined,
    market,
    offer,
    offer_changed,
    offer_stocked,
    offer_withdrawn,
    order_changed,
    paid,
    payment,
    posted,
    withdrawn,
)
from tests.unit.rules.given import Scenario, covers, given


def test_a_posted_order_opens_a_group_and_holds_a_seat() -> None:
    story = given(offer("tea", size=3)).when(posted("o1", "m1", offer="tea", pool="north", quantity=2))
    assert story.decisions == [
        {
            "kind": "group.opened",
            "group": "g3-0",
            "offer": "tea",
            "edition": 1,
            "order": "o1",
            "member": "m1",
            "deadline": T0 + 86_400 * S,
            "pool": "north",
        },
        {
            "kind": "seat.held",
            "group": "g3-0",
            "order": "o1",
            "member": "m1",
            "offer": "tea",
            "quantity": 2,
            "payable_minor": 16_000,
            "currency": "CNY",
            "hold_until": T0 + 900 * S,
            "publisher": "shop-a",
        },
    ]


def test_an_order_that_was_paid_beforehand_is_confirmed_at_once() -> None:
    story = given(offer()).when(posted("o1", payment=payment(payment="p1"))).then("group.opened", "seat.confirmed")
    assert story.one("seat.confirmed")["payment"] == "p1"


def test_where_nothing_is_held_for_payment_seats_are_confirmed_at_once_and_cost_nothing() -> None:
    story = given(offer(hold_s=0, leader_minor=100)).when(posted("o1")).then("group.opened", "seat.confirmed")
    assert story.one("seat.confirmed")["payable_minor"] == 0
    assert "payment" not in story.one("seat.confirmed")


def test_a_hold_ends_no_later_than_its_group() -> None:
    story = given(offer(hold_s=900, group_ttl_s=60)).when(posted("o1"))
    assert story.one("seat.held")["hold_until"] == story.one("group.opened")["deadline"] == T0 + 60 * S


def test_a_group_is_over_no_later_than_its_offer() -> None:
    story = given(offer(group_ttl_s=60, closes_at="2026-01-01T00:00:30Z")).when(posted("o1"))
    assert story.one("group.opened")["deadline"] == T0 + 30 * S


# 4.1 Known orders


@pytest.mark.parametrize(
    "other",
    [
        {"member": "m2"},
        {"offer": "other"},
        {"quantity": 2},
        {"pool": "north"},
        {"strangers": False},
        {"merge": True},
        {"payment": payment()},
        {"sku": "red"},
    ],
)
@covers(Reason.ORDER_EXISTS)
def test_another_order_with_a_known_id_is_refused(other: dict[str, Any]) -> None:
    story = given(offer(), offer("other"), posted("o1", "m1")).when(posted(**{"order": "o1", "member": "m1", **other}))
    assert story.outcome["reason"] == "order_exists"


@pytest.mark.parametrize("again", [joined("o1", "m1"), posted("o1", "m1", lead="if_needed", via="m7")])
def test_how_a_known_order_enters_and_who_shared_it_make_no_difference(again: JsonEvent) -> None:
    given(offer(), posted("o1", "m1")).when(again).then_nothing_but("duplicate", original="seat.held")


def test_a_known_order_is_compared_as_it_stands_now() -> None:
    story = given(offer(size=3), posted("o1", "m1"), order_changed("o1", merge=True))
    story.when(posted("o1", "m1", merge=True)).then("duplicate")
    story.when(posted("o1", "m1")).then_refused(Reason.ORDER_EXISTS)


def test_a_known_order_with_its_own_payment_is_a_duplicate_and_with_another_is_refunded() -> None:
    story = given(offer(size=3), posted("o1", "m1"), paid("o1", payment="p1"))
    story.when(posted("o1", "m1", payment=payment(payment="p1")))
    story.then_nothing_but("duplicate", original="seat.held", of="3.0.0")
    story.when(posted("o1", "m1", payment=payment(payment="p2"))).then_refused(Reason.ORDER_EXISTS, "refund.due")


def test_a_known_order_stays_known_after_its_end() -> None:
    story = given(offer(), posted("o1", "m1"), withdrawn("o1"))
    story.when(posted("o1", "m1")).then_nothing_but("duplicate", group=story.group_of("o1"))


def test_a_duplicate_names_the_group_where_the_order_is_now() -> None:
    story = given(offer(hold_s=10, late_payment="rejoin"), posted("o1", "m1"))
    old_group = story.group_of("o1")
    story.when(paid("o1"), at=20).when(posted("o1", "m1")).then("duplicate")
    assert story.one("duplicate")["group"] == story.group_of("o1") != old_group


@covers(Reason.CAPACITY)
def test_orders_have_a_capacity() -> None:
    story = given(market(order_capacity=1), offer(), posted("o1", "m1"))
    story.when(posted("o2", payment=payment())).then_refused(Reason.CAPACITY, "refund.due")
    story.when(posted("o1", "m1")).then("duplicate")


# 4.2 and 4.3 Offer, variant, quantity, stock


@covers(Reason.OFFER_UNKNOWN, Reason.OFFER_NOT_OPEN_YET, Reason.OFFER_CLOSED, Reason.OFFER_WITHDRAWN)
def test_an_order_needs_an_offer_that_is_open() -> None:
    given().when(posted(payment=payment())).then_refused(Reason.OFFER_UNKNOWN, "refund.due")
    given(offer(opens_at="2026-01-02T00:00:00Z")).when(posted()).then_refused(Reason.OFFER_NOT_OPEN_YET)
    given(offer(closes_at="2026-01-01T00:00:00Z")).when(posted()).then_refused(Reason.OFFER_CLOSED)
    given(offer(), offer_withdrawn()).when(posted(lead="if_needed")).then_refused(Reason.OFFER_WITHDRAWN)


def test_times_of_the_offer_as_it_stands_count_for_a_group_opened_earlier() -> None:
    story = given(offer(size=3), posted("o1"), offer_changed(closes_at="2026-01-01T00:00:30Z"))
    story.when(joined(group=story.group_of("o1")), at=30).then_refused(Reason.OFFER_CLOSED)


@covers(Reason.SKU_REQUIRED, Reason.SKU_UNKNOWN)
def test_a_variant_is_named_exactly_where_there_are_variants() -> None:
    story = given(offer(skus={"red": 1}))
    story.when(posted()).then_refused(Reason.SKU_REQUIRED)
    story.when(posted(sku="blue")).then_refused(Reason.SKU_UNKNOWN)
    story.when(posted(sku="red")).then("group.opened", "seat.held")
    assert story.one("seat.held")["sku"] == "red"
    given(offer(stock=1)).when(posted(sku="red")).then_refused(Reason.SKU_UNKNOWN)


def test_members_of_one_group_may_choose_different_variants() -> None:
    story = given(offer(skus={"red": 1, "blue": 1}), posted("o1", sku="red", payment=payment()))
    story.when(joined("o2", sku="blue", payment=payment())).then("seat.confirmed", "group.filled")


@covers(Reason.QUANTITY_TOO_LARGE)
def test_where_units_count_no_order_exceeds_a_group() -> None:
    story = given(offer(size=3, count="units")).when(posted(quantity=4)).then_refused(Reason.QUANTITY_TOO_LARGE)
    story.when(posted(quantity=3)).then("group.opened", "seat.held")
    given(offer(size=3)).when(posted(quantity=1_000)).then("group.opened", "seat.held")


@covers(Reason.OUT_OF_STOCK)
def test_stock_falls_by_quantity_and_never_below_zero() -> None:
    story = given(offer(size=5, skus={"red": 3, "blue": 9}), posted(sku="red", quantity=2))
    story.when(posted(sku="red", quantity=2)).then_refused(Reason.OUT_OF_STOCK)
    story.when(posted(sku="red")).then("group.opened", "seat.held")
    story.when(offer_stocked(0, sku="red"))
    assert story.one("offer.listed")["stock"] == {"red": 0, "blue": 9}


# 4.4 Groups


def _with_group(**terms: Any) -> tuple[Scenario, str]:
    story = given(offer(**{"size": 3, **terms}), offer("other", size=3), posted("o1", "m1"))
    return story, story.group_of("o1")


@covers(Reason.GROUP_UNKNOWN, Reason.GROUP_OF_OTHER_OFFER, Reason.GROUP_OVER, Reason.WRONG_POOL)
def test_a_named_group_must_be_open_and_of_that_offer_and_pool() -> None:
    story, group = _with_group()
    story.when(joined(group="g9-9")).then_refused(Reason.GROUP_UNKNOWN)
    story.when(joined(group=group, offer="other")).then_refused(Reason.GROUP_OF_OTHER_OFFER)
    story.when(joined(group=group, pool="north")).then_refused(Reason.WRONG_POOL)
    story.when(withdrawn("o1")).when(joined(group=group, pool="north")).then_refused(Reason.GROUP_OVER)
    story.when(joined(group=group, offer="other")).then_refused(Reason.GROUP_OF_OTHER_OFFER)


@covers(Reason.ALREADY_IN_GROUP)
def test_a_member_has_one_seat_in_a_group() -> None:
    story, group = _with_group()
    story.when(joined("o2", "m1", group=group)).then_refused(Reason.ALREADY_IN_GROUP)
    story.when(joined("o2", "m2", group=group)).when(withdrawn("o2"))
    story.when(joined("o3", "m2", group=group)).then("seat.held")


@covers(Reason.BLOCKED)
def test_members_who_keep_apart_sit_in_no_group_together() -> None:
    story, group = _with_group()
    story.when(blocked("m5", "m1")).when(joined("o2", "m5", group=group)).then_refused(Reason.BLOCKED)


@covers(Reason.GROUP_FULL)
def test_a_full_group_takes_nobody() -> None:
    story, group = _with_group(count="units")
    story.when(joined(group=group, quantity=3)).then_refused(Reason.GROUP_FULL)
    story.when(joined(group=group, quantity=2)).then("seat.held")
    story.when(joined(group=group)).then_refused(Reason.GROUP_FULL)


def test_friends_who_name_a_group_need_not_be_allowed_as_strangers() -> None:
    story = given(offer(strangers="never"), posted("o1", strangers=False))
    story.when(joined("o2")).then_refused(Reason.NO_OPEN_GROUP)
    story.when(joined("o2", group=story.group_of("o1"))).then("seat.held")


def test_an_order_that_leads_if_needed_takes_a_seat_in_an_open_group_first() -> None:
    story = given(offer(size=3)).when(posted("o1", lead="if_needed")).then("group.opened", "seat.held")
    story.when(posted("o2", lead="if_needed")).then("seat.held")
    story.when(posted("o3", lead="if_needed", strangers=False)).then("group.opened", "seat.held")
    story.when(posted("o4")).then("group.opened", "seat.held")


def test_a_group_that_opened_to_strangers_takes_them_although_its_offer_no_longer_does() -> None:
    story = given(offer(size=4), posted("o1"), offer_changed(strangers="never"))
    story.when(posted("o2", lead="if_needed")).then("seat.held")
    story.when(joined("o3")).then("seat.held")
    story.when(posted("o4")).when(joined("o5")).when(joined("o6")).then_refused(Reason.NO_OPEN_GROUP)


def test_the_rules_of_the_groups_snapshot_count_for_who_joins() -> None:
    story = given(offer(size=3, group_minor=100, hold_s=50), posted("o1"))
    story.when(offer_changed(group_minor=200, hold_s=60, currency="EUR"))
    story.when(joined("o2", group=story.group_of("o1")))
    held = story.one("seat.held")
    assert (held["payable_minor"], held["currency"], held["hold_until"]) == (100, "CNY", T0 + 50 * S)


# Many seats


def test_in_a_large_group_too_a_member_has_one_seat() -> None:
    story = given(offer(size=40), posted("o0", "m0"))
    group = story.group_of("o0")
    story.when([joined(f"o{n}", f"m{n}", group=group) for n in range(1, 20)])
    for _ in range(2):
        story.when(joined("again", "m3", group=group)).then_refused(Reason.ALREADY_IN_GROUP)
        story.when(joined("again", "m3")).then_refused(Reason.NO_OPEN_GROUP)
        story.restart(from_snapshot=True)
    story.when(withdrawn("o3")).when(joined("again", "m3")).then("seat.held")
    story.when(blocked("m5", "stranger")).when(joined("x", "stranger", group=group)).then_refused(Reason.BLOCKED)


def test_a_group_that_was_large_and_shrank_still_knows_its_members() -> None:
    story = given(offer(size=40), posted("o0", "m0"))
    group = story.group_of("o0")
    story.when([joined(f"o{n}", f"m{n}", group=group) for n in range(1, 12)])
    story.when([withdrawn(f"o{n}") for n in range(1, 8)])
    story.when(joined("late", "m7", group=group)).then("seat.held")
    story.when(joined("again", "m7", group=group)).then_refused(Reason.ALREADY_IN_GROUP)
