"""Bargain: rules of cutting a price."""

from tests.builders import assist, bargain
from tests.unit.rules.given import given_plays


def test_the_cuts_sum_to_start_minus_floor_when_the_last_allowed_helper_has_helped() -> None:
    story = given_plays(bargain(helper_limit=10))
    cuts = []
    for n in range(10):
        story.when(assist("b1")).then("assist.counted", "price.cut")
        cuts.append(story.one("price.cut")["cut_minor"])
        assert story.one("price.cut")["remaining_minor"] == 3_000 - sum(cuts)
        assert story.one("price.cut")["helpers_left"] == 9 - n
    assert sum(cuts) == 3_000 and min(cuts) >= 1
