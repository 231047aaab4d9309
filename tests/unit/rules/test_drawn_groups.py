"""拼团抽奖: in a filled group of n, k are drawn and get the goods; the others are refunded."""

import pytest

from events import fair
from events.reasons import Reason
from tests.builders import (
    MARKET_KEY,
    cancelled,
    joined,
    offer,
    offer_changed,
    paid,
    payment,
    play_market,
    posted,
)
from tests.unit.rules.given import Scenario, covers, given


def drawn_group(size: int = 5, winners: int = 2, **terms: object) -> Scenario:
    """Return a market in which a group of `size` has just been filled."""
    story = given(play_market(), offer(size=size, winners=winners, **terms))
    story.when(posted("o0", "m0", payment=payment()))
    for n in range(1, size):
        story.when(joined(f"o{n}", f"m{n}", payment=payment()))
    return story


def test_so_many_as_the_offer_says_win_and_the_others_get_all_their_money_back() -> None:
    story = drawn_group()
    seats = [seat for page in story.every("group.filled") for seat in page["seats"]]
    won = {seat["order"] for seat in seats if seat["won"]}
    lost = {seat["order"] for seat in seats if not seat["won"]}
    assert (len(won), len(lost)) == (2, 3)
    refunds = story.every("refund.due")
    assert {refund["order"] for refund in refunds} == lost
    assert {(refund["cause"], refund["amount_minor"]) for refund in refunds} == {("not_drawn", 8_000)}
    assert {seat.get("price_minor", 0) for seat in seats if seat["order"] in won} == {8_000}


def test_the_groups_seed_is_committed_to_when_it_opens_and_the_draw_follows_from_it() -> None:
    story = drawn_group()
    opened = next(d for entry in story.history for d in entry["decisions"] if d["kind"] == "group.opened")
    filled = story.one("group.filled")
    seed = bytes.fromhex(filled["seed"])
    assert fair.seed_commitment(seed) == opened["seed_sha256"]
    assert seed == fair.seed_of(fair.secret_of(MARKET_KEY), "main", "group", opened["group"], 3, 0)
    orders = [seat["order"] for seat in filled["seats"]]
    assert fair.draw_seats(seed, orders, 2) == {seat["order"] for seat in filled["seats"] if seat["won"]}


def test_who_was_not_drawn_gives_its_stock_back_and_does_not_count_towards_a_limit() -> None:
    story = drawn_group(stock=5, limit_total=1)
    assert story.engine.state.offers["tea"].stock == {"": 3}
    lost = next(seat["member"] for seat in story.one("group.filled")["seats"] if not seat["won"])
    story.when(posted("again", lost, payment=payment())).then("group.opened", "seat.confirmed")


@covers(Reason.ORDER_OVER)
def test_who_was_not_drawn_is_out_and_who_was_can_still_be_cancelled() -> None:
    story = drawn_group()
    seats = story.one("group.filled")["seats"]
    lost = next(seat["order"] for seat in seats if not seat["won"])
    won = next(seat["order"] for seat in seats if seat["won"])
    story.when(cancelled(lost)).then_refused(Reason.ORDER_OVER)
    story.when(cancelled(won)).then("seat.released", "refund.due")
    story.when(paid(lost)).then("refund.due")
    assert story.one("refund.due")["cause"] == "second_payment"


def test_a_drawn_group_of_several_pages_draws_once_over_all_its_seats() -> None:
    story = drawn_group(size=70, winners=7)
    pages = story.every("group.filled")
    assert [len(page["seats"]) for page in pages] == [32, 32, 6]
    assert len({page["seed"] for page in pages}) == 1
    assert sum(seat["won"] for page in pages for seat in page["seats"]) == 7
    assert len(story.every("refund.due")) == 63


def test_the_winners_price_goes_down_by_size_and_only_theirs() -> None:
    tiers = [{"size": 4, "price_minor": 7_000}]
    story = given(play_market(), offer(size=2, winners=1, close="at_deadline", tiers=tiers, group_ttl_s=60))
    story.when(posted("o0", "m0", payment=payment()))
    for n in range(1, 4):
        story.when(joined(f"o{n}", f"m{n}", payment=payment()))
    story.when(posted("late", "m9"), at=60)
    assert sorted((r["cause"], r["amount_minor"]) for r in story.every("refund.due")) == [
        *[("not_drawn", 8_000)] * 3,
        ("price_by_size", 1_000),
    ]


def test_winners_are_drawn_where_nobody_pays_through_the_market_too() -> None:
    story = given(play_market(), offer(size=3, winners=1, hold_s=0))
    story.when(posted("o0")).when(joined("o1")).when(joined("o2"))
    assert sum(seat["won"] for seat in story.one("group.filled")["seats"]) == 1
    assert not story.every("refund.due")


@covers(Reason.OFFER_INCONSISTENT)
def test_fewer_win_than_are_in_the_group() -> None:
    given(play_market()).when(offer(size=3, winners=3)).then_refused(Reason.OFFER_INCONSISTENT)


@covers(Reason.DRAWS_NOT_COMMITTED)
@pytest.mark.parametrize("change", [False, True])
def test_nothing_is_drawn_from_a_secret_that_the_market_has_not_committed_to(change: bool) -> None:
    story = given(offer())
    story.when(offer_changed(winners=1) if change else offer("other", winners=1))
    story.then_refused(Reason.DRAWS_NOT_COMMITTED)
