"""Which group the matcher chooses (RULES.md section 5)."""

from typing import Any

import pytest

from events.limits import MATCH_GROUPS_LOOKED_AT
from events.reasons import Reason
from tests.builders import blocked, joined, offer, offer_changed, order_changed, payment, posted, withdrawn
from tests.unit.rules.given import Scenario, covers, given


def _chosen(story: Scenario, **fields: Any) -> str:
    """Let an order join wherever the matcher likes; return which order opened that group."""
    story.when(joined("chooser", "chooser", **fields)).then("seat.held")
    group = story.group_of("chooser")
    openings = [d for entry in story.history for d in entry["decisions"] if d["kind"] == "group.opened"]
    order: str = next(d["order"] for d in openings if d["group"] == group)
    return order


def test_the_earliest_deadline_comes_first() -> None:
    story = given(offer(size=3, group_ttl_s=100), posted("o1"), offer_changed(group_ttl_s=50), posted("o2"))
    assert _chosen(story) == "o2"


def test_of_equal_deadlines_the_group_opened_first_comes_first() -> None:
    story = given(offer(size=3), posted("o1"), posted("o2"))
    assert _chosen(story) == "o1"


def test_the_nearest_full_group_comes_first_where_the_offer_says_so() -> None:
    story = given(offer(size=3, match="nearest_full"), posted("o1"), posted("o2"))
    story.when(joined(group=story.group_of("o2")))
    assert _chosen(story) == "o2"
    tie = given(offer(size=3, match="nearest_full"), posted("o1"), posted("o2"))
    assert _chosen(tie) == "o1"


def test_how_to_match_is_asked_of_the_offer_as_it_stands() -> None:
    story = given(offer(size=3), posted("o1"), posted("o2"))
    story.when(joined(group=story.group_of("o2"))).when(offer_changed(match="nearest_full"))
    assert _chosen(story) == "o2"


def test_groups_of_earlier_editions_are_chosen_too() -> None:
    story = given(offer(size=3), posted("o1"), offer_changed(size=4, group_ttl_s=90_000), posted("o2"))
    assert _chosen(story) == "o1"


def test_only_orders_of_one_pool_meet() -> None:
    story = given(offer(), posted("o1", pool="north"), posted("o2"))
    assert _chosen(story) == "o2"
    story.when(joined(pool="south")).then_refused(Reason.NO_OPEN_GROUP)


@pytest.mark.parametrize(
    ("first", "chooser"), [({"strangers": False}, {}), ({}, {"strangers": False})], ids=["they say no", "it says no"]
)
@covers(Reason.NO_OPEN_GROUP)
def test_strangers_meet_only_where_everybody_allows_it(first: dict[str, Any], chooser: dict[str, Any]) -> None:
    story = given(offer(size=4), posted("o1", **first))
    story.when(joined(**chooser)).then_refused(Reason.NO_OPEN_GROUP)


def test_one_member_who_wants_no_strangers_closes_the_group_to_them_while_it_sits() -> None:
    story = given(offer(size=4), posted("o1"))
    story.when(joined("o2", strangers=False, group=story.group_of("o1")))
    story.when(joined()).then_refused(Reason.NO_OPEN_GROUP)
    story.when(order_changed("o2", strangers=True)).when(joined("o3")).then("seat.held")
    story.when(order_changed("o3", strangers=False)).when(joined()).then_refused(Reason.NO_OPEN_GROUP)
    story.when(withdrawn("o3")).when(joined()).then("seat.held")


def test_a_group_that_holds_the_member_is_passed_over() -> None:
    story = given(offer(size=3), posted("o1", "chooser"), posted("o2"))
    assert _chosen(story) == "o2"


def test_a_group_with_someone_who_keeps_apart_is_passed_over() -> None:
    story = given(offer(size=3), posted("o1", "m1"), posted("o2", "m2"), posted("o3"))
    story.when(blocked("m1", "chooser")).when(blocked("chooser", "m2"))
    assert _chosen(story) == "o3"


def test_a_group_without_room_for_the_weight_is_passed_over() -> None:
    story = given(offer(size=4, count="units"), posted("o1", quantity=3), posted("o2", quantity=1))
    assert _chosen(story, quantity=2) == "o2"
    story.when(joined(quantity=1)).then("seat.held")
    assert story.group_of("o1") == story.one("seat.held")["group"]


def test_a_freed_seat_makes_room_again() -> None:
    story = given(offer(size=3), posted("o1"), joined("o2"), joined("o3"))
    story.when(joined()).then_refused(Reason.NO_OPEN_GROUP)
    story.when(withdrawn("o2")).when(joined()).then("seat.held")


def test_a_filled_group_is_no_longer_chosen() -> None:
    story = given(offer(), posted("o1", payment=payment()), joined("o2", payment=payment()))
    story.when(joined()).then_refused(Reason.NO_OPEN_GROUP)


def test_at_most_a_thousand_groups_are_looked_at() -> None:
    """A member who sits in the first thousand groups finds none, although the next one would suit."""
    story = given(offer(size=3, hold_s=0), compared=False)
    for start in range(0, MATCH_GROUPS_LOOKED_AT, 100):
        story.when([posted(member="everywhere") for _ in range(start, start + 100)])
    story.when(posted("suits", "other"))
    story.when(joined("o1", "everywhere")).then_refused(Reason.NO_OPEN_GROUP)
    story.when(joined("o2", "third"))
    story.when(withdrawn("o2"))
    story.when(posted("o3", "everywhere", lead="if_needed")).then("group.opened", "seat.confirmed")
