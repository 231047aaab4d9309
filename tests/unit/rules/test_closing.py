"""How groups end: filled, expired, dissolved, completed; what everybody pays; merging (RULES.md sections 6 and 7)."""

from typing import Any

from events.reasons import Reason
from tests.builders import completed, dissolved, joined, offer, offer_stocked, paid, payment, posted, ticked
from tests.unit.rules.given import covers, given

TIERS = [{"size": 3, "price_minor": 7_000}, {"size": 4, "price_minor": 6_000}]

# The deadline


def test_a_group_that_is_short_expires_and_every_paid_seat_is_refunded() -> None:
    story = given(offer(size=4, group_ttl_s=60, stock=9), posted("o1", payment=payment()), joined("o2"))
    story.when(joined("o3", payment=payment(16_000), quantity=2))
    story.when(ticked(), at=60)
    story.then("seat.released", "group.expired", "refund.due", "refund.due", "clock.advanced")
    expired = story.one("group.expired")
    assert expired["missing"] == 2
    assert [(seat["order"], "price_minor" in seat) for seat in expired["seats"]] == [("o1", False), ("o3", False)]
    assert [refund["amount_minor"] for refund in story.every("refund.due")] == [8_000, 16_000]
    assert {refund["cause"] for refund in story.every("refund.due")} == {"expired"}
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 9}


def test_a_group_in_which_nobody_paid_expires_empty() -> None:
    story = given(offer(size=4, group_ttl_s=60), posted("o1")).when(ticked(), at=60)
    story.then("seat.released", "group.expired", "clock.advanced")
    expired = story.one("group.expired")
    assert (expired["seats"], expired["missing"]) == ([], 4)


def test_a_group_fills_at_its_deadline_if_it_has_at_least_so_many() -> None:
    story = given(offer(size=4, fill_if_at_least=2, group_ttl_s=60), posted("o1", payment=payment()), joined("o2"))
    story.when(joined("o3", payment=payment()))
    story.when(ticked(), at=60).then("seat.released", "group.filled", "clock.advanced")
    filled = story.one("group.filled")
    assert (filled["cause"], filled["size"]) == ("deadline", 2)
    assert [seat["order"] for seat in filled["seats"]] == ["o1", "o3"]


def test_held_seats_end_with_their_group_without_any_promotion() -> None:
    story = given(
        offer(size=4, fill_if_at_least=1, group_ttl_s=60, stock=3), posted("o1"), joined("o2", payment=payment())
    )
    story.when(ticked(), at=60).then("seat.released", "group.filled", "clock.advanced")
    assert "promoted" not in story.one("seat.released")
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 2}


def test_the_grace_does_not_outlive_the_group() -> None:
    story = given(offer(size=3, group_ttl_s=60, hold_s=60, grace_s=600, late_payment="rejoin"), posted("o1"))
    story.when(paid("o1"), at=60).then("seat.released", "group.expired", "group.opened", "seat.confirmed")


# What everybody pays


def test_everybody_pays_the_price_of_the_size_reached() -> None:
    story = given(offer(size=2, close="at_deadline", tiers=TIERS, group_ttl_s=60, leader_minor=6_500))
    story.when(posted("o1", payment=payment(6_500)))
    for order in ("o2", "o3"):
        story.when(joined(order, payment=payment(8_000)))
    story.when(ticked(), at=60).then("group.filled", "refund.due", "refund.due", "clock.advanced")
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [6_500, 7_000, 7_000]
    assert {refund["cause"] for refund in story.every("refund.due")} == {"price_by_size"}
    assert [refund["amount_minor"] for refund in story.every("refund.due")] == [1_000, 1_000]


def test_the_leader_pays_no_more_than_the_others() -> None:
    story = given(offer(size=2, max_size=4, close="at_deadline", tiers=TIERS, leader_minor=6_500))
    story.when(posted("o1", payment=payment(6_500)))
    for order in ("o2", "o3", "o4"):
        story.when(joined(order, payment=payment(8_000)))
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [6_000] * 4
    assert [refund["amount_minor"] for refund in story.every("refund.due")] == [500, 2_000, 2_000, 2_000]


def test_a_leaders_price_above_the_others_comes_down_to_theirs() -> None:
    story = given(offer(leader_minor=9_000), posted("o1", payment=payment(9_000)), joined("o2", payment=payment()))
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [8_000, 8_000]
    assert story.one("refund.due")["amount_minor"] == 1_000


def test_quantities_multiply_the_price() -> None:
    story = given(
        offer(size=4, count="units", tiers=TIERS, fill_if_at_least=1), posted("o1", quantity=1, payment=payment())
    )
    story.when(joined("o2", quantity=3, payment=payment(24_000)))
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [6_000, 18_000]


def test_nobody_pays_more_than_was_paid_when_customer_service_completes_a_group() -> None:
    story = given(
        offer(size=4, tiers=TIERS), posted("o1", payment=payment(6_000)), joined("o2", payment=payment(6_000))
    )
    story.when(completed(story.group_of("o1"))).then("group.filled")
    assert [seat["price_minor"] for seat in story.one("group.filled")["seats"]] == [6_000, 6_000]


def test_where_nobody_pays_through_the_market_prices_are_left_out() -> None:
    story = given(offer(hold_s=0, tiers=[{"size": 2, "price_minor": 1}]), posted("o1"), joined("o2"))
    assert all("price_minor" not in seat for seat in story.one("group.filled")["seats"])


# Customer service


@covers(Reason.GROUP_UNKNOWN, Reason.GROUP_OVER, Reason.NOTHING_CONFIRMED)
def test_customer_service_acts_on_open_groups_only() -> None:
    story = given(offer(), posted("o1"))
    group = story.group_of("o1")
    story.when(completed(group)).then_refused(Reason.NOTHING_CONFIRMED)
    for act in (completed, dissolved):
        story.when(act("g9-9")).then_refused(Reason.GROUP_UNKNOWN)
    story.when(dissolved(group)).then("group.dissolved")
    for act in (completed, dissolved):
        story.when(act(group)).then_refused(Reason.GROUP_OVER)


def test_a_group_dissolved_by_customer_service_names_all_its_seats_and_who_did_it() -> None:
    story = given(offer(size=3, stock=2), posted("o1", payment=payment()), joined("o2"))
    story.when(dissolved(story.group_of("o1")), by="operator").then("group.dissolved", "refund.due")
    ended = story.one("group.dissolved")
    assert (ended["cause"], ended["actor"], ended["ticket"]) == ("customer_service", "amy", "t-1")
    assert [seat["order"] for seat in ended["seats"]] == ["o1", "o2"]
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 2}


def test_a_dissolved_groups_later_pages_repeat_who_did_it() -> None:
    story = given(offer(size=100, hold_s=0), posted("o1"))
    story.when([joined(group=story.group_of("o1")) for _ in range(40)])
    story.when(dissolved(story.group_of("o1"))).then("group.dissolved", "group.dissolved")
    first, second = story.every("group.dissolved")
    alike: list[dict[str, Any]] = [{**page, "seats": [], "page": 0} for page in (first, second)]
    assert alike[0] == alike[1]
    assert (first.get("page", 1), second["page"], len(second["seats"])) == (1, 2, 9)
