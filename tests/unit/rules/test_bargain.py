"""Bargain: rules of cutting a price."""

import pytest

from events.reasons import Reason
from tests.builders import assist, bargain, play_closed, voided
from tests.unit.rules.given import Scenario, covers, given_plays

NEW = {"account_age_days": 0}


def cut_all(story: Scenario, helpers: int, play: str = "b1") -> list[int]:
    cuts = []
    for _ in range(helpers):
        story.when(assist(play))
        cuts.append(story.one("price.cut")["cut_minor"])
    return cuts


@pytest.mark.parametrize("helpers", [1, 2, 10, 50])
def test_the_cuts_sum_to_start_minus_floor_when_the_last_allowed_helper_has_helped(helpers: int) -> None:
    story = given_plays(bargain(helper_limit=helpers))
    cuts = cut_all(story, helpers)
    assert sum(cuts) == 3_000 and min(cuts) >= 1
    assert story.one("price.cut")["price_minor"] == 990


def test_every_helper_finds_a_unit_to_cut_where_there_are_as_many_units_as_helpers() -> None:
    terms = {"start_minor": 20, "floor_minor": 10, "share_percent": 100}
    story = given_plays(bargain(helper_limit=10, new_weight=10, terms=terms))
    assert cut_all(story, 10) == [1] * 10


def test_the_exact_remainder_and_the_number_of_helpers_are_in_every_result() -> None:
    story = given_plays(bargain(helper_limit=3))
    opened = story.one("play.opened")
    assert (opened["remaining_minor"], opened["price_minor"], opened["helper_limit"]) == (3_000, 3_990, 3)
    left = 3_000
    for n in range(3):
        story.when(assist("b1"))
        counted, cut = story.one("assist.counted"), story.one("price.cut")
        left -= cut["cut_minor"]
        assert (counted["remaining_minor"], counted["helpers"], counted["helpers_left"]) == (left, n + 1, 2 - n)
        assert (cut["remaining_minor"], cut["helpers"], cut["price_minor"]) == (left, n + 1, 990 + left)
    story.when(play_closed("b1", "bought"))
    closed = story.one("play.closed")
    assert (closed["remaining_minor"], closed["helpers"], closed["price_minor"]) == (0, 3, 990)


def test_a_cut_takes_at_most_the_share_of_the_remainder_and_a_new_members_more() -> None:
    story = given_plays(bargain(helper_limit=100, terms={"share_percent": 1}))
    assert max(cut_all(story, 50)) <= 30
    new = given_plays(bargain(helper_limit=100, new_weight=10, terms={"share_percent": 1}))
    cuts = []
    for _ in range(50):
        new.when(assist(signals=NEW))
        cuts.append(new.one("price.cut")["cut_minor"])
    assert max(cuts) > 30 and all(cut % 10 == 0 for cut in cuts), "ten times what is drawn"


@covers(Reason.PLAY_FULL)
def test_when_the_last_allowed_helper_has_helped_nobody_cuts_any_more_but_the_member_may_buy() -> None:
    story = given_plays(bargain(helper_limit=1), assist())
    story.when(assist()).then_refused(Reason.PLAY_FULL)
    story.when(play_closed("b1", "bought", order="B-1")).then("play.closed")
    assert story.decisions[0]["order"] == "B-1"


@covers(Reason.PLAY_OVER)
def test_the_member_buys_at_any_price_reached_and_there_is_no_cut_after() -> None:
    story = given_plays(bargain(), assist())
    price = story.one("price.cut")["price_minor"]
    story.when(play_closed("b1", "bought"))
    assert story.one("play.closed")["price_minor"] == price
    story.when(assist()).then_refused(Reason.PLAY_OVER)


@covers(Reason.PLAY_OVER)
def test_at_its_end_the_bargain_is_over_and_a_nanosecond_before_it_is_not() -> None:
    story = given_plays(bargain(ttl_s=60))
    story.when(assist(), at=60, at_ns=-1).then("assist.counted", "price.cut")
    story.when(assist(), at=60).then("play.closed", "refused")
    assert story.decisions[1]["reason"] == Reason.PLAY_OVER
    assert story.decisions[0]["cause"] == "ended"
    story.when(play_closed("b1", "bought")).then_refused(Reason.PLAY_OVER)


def test_two_helpers_at_once_never_lose_a_cut() -> None:
    story = given_plays(bargain(helper_limit=2))
    story.when([assist("b1", "h1"), assist("b1", "h2")])
    assert [cut["helpers"] for cut in story.every("price.cut")] == [1, 2]
    assert sum(cut["cut_minor"] for cut in story.every("price.cut")) == 3_000


def test_a_voided_cut_goes_back_to_the_remainder_and_later_cuts_take_it_up() -> None:
    story = given_plays(bargain(helper_limit=4), assist("b1", "h1", assist="a1"))
    first = story.one("price.cut")["cut_minor"]
    story.when(assist("b1", "h2"))
    left = story.one("price.cut")["remaining_minor"]
    story.when(voided("b1", "a1", "h1")).then("assist.voided", "play.corrected")
    assert story.one("play.corrected")["remaining_minor"] == left + first
    assert story.one("play.corrected")["helpers"] == 1
    cuts = cut_all(story, 3)
    assert sum(cuts) == left + first, "another helper may come in its place, and the sum stays exact"


def test_a_cut_voided_after_the_bargain_was_bought_is_a_claim_of_its_amount() -> None:
    story = given_plays(bargain(), assist("b1", "h1", assist="a1"))
    cut = story.one("price.cut")["cut_minor"]
    story.when(play_closed("b1", "bought"))
    story.when(voided("b1", "a1", "h1")).then("assist.voided", "play.claimed")
    claim = story.one("play.claimed")
    assert (claim["amount_minor"], claim["currency"], claim["cause"]) == (cut, "CNY", "voided_after_close")


@covers(Reason.PLAY_INCOMPLETE, Reason.PLAY_INCONSISTENT)
def test_a_bargain_whose_rules_do_not_fit_together_is_refused_with_the_field() -> None:
    def refusal(**fields: object) -> tuple[str, str]:
        decision = given_plays().when(bargain(**fields)).one("refused")
        return decision["reason"], decision["detail"]

    assert refusal(member=None) == (Reason.PLAY_INCOMPLETE, "member")
    assert refusal(helper_limit=None) == (Reason.PLAY_INCOMPLETE, "helper_limit")
    assert refusal(terms={"floor_minor": 3_990}) == (Reason.PLAY_INCONSISTENT, "terms.floor_minor")
    assert refusal(helper_limit=3_001) == (Reason.PLAY_INCONSISTENT, "helper_limit")
    reason, detail = refusal(terms={"colour": "green"})
    assert reason == Reason.PLAY_INCONSISTENT and "colour" in detail
    reason, detail = refusal(terms={"share_percent": 101})
    assert reason == Reason.PLAY_INCONSISTENT and "terms.share_percent" in detail
    reason, detail = refusal(terms={"currency": "yuan"})
    assert reason == Reason.PLAY_INCONSISTENT and "terms.currency" in detail
    event = bargain()
    del event["data"]["terms"]["start_minor"]
    decision = given_plays().when(event).one("refused")
    assert decision["reason"] == Reason.PLAY_INCOMPLETE and "start_minor" in decision["detail"]
