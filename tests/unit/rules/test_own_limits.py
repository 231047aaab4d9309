"""Sensible participation: limits on a calendar week (RULES.md section 8.3)."""

from typing import Any

from events.reasons import Reason
from events.times import parse_time_ns
from tests.builders import (
    T0,
    JsonEvent,
    S,
    assist,
    cancelled,
    joined,
    limited_self,
    market,
    offer,
    order_changed,
    paid,
    payment,
    play_market,
    posted,
    ticked,
    unlock,
    withdrawn,
)
from tests.unit.rules.given import Scenario, covers, given

DAY_S = 86_400
# The tests begin on a Thursday, 08:00 in Shanghai: its week ends on Sunday at 24:00 there.
WEEK_ENDS_S = (parse_time_ns("2026-01-05T00:00:00+08:00") - T0) // S
WEEK_ENDS_NS = T0 + WEEK_ENDS_S * S


def _limited(*, in_market: dict[str, Any] | None = None, **limits: Any) -> Scenario:
    """Return a scenario in which m1 has these own limits, of a market in Shanghai."""
    return given(
        market(timezone="Asia/Shanghai", participation=in_market),
        offer(size=3),
        *([limited_self("m1", **limits)] if limits else []),
        model=False,
    )


def _cny(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "CNY"}


def _prepaid(order: str, amount_minor: int = 8_000, **fields: Any) -> JsonEvent:
    return posted(order, "m1", payment=payment(amount_minor), **fields)


# Groups


@covers(Reason.SELF_LIMIT_GROUPS)
def test_past_the_own_limit_on_groups_an_order_is_refused_and_at_it_the_member_is_reminded_once() -> None:
    story = _limited(groups=2).when(posted("o1", "m1")).then("group.opened", "seat.held")
    story.when(posted("o2", "m1")).then("group.opened", "seat.held", "member.reminded")
    reminded = {"member": "m1", "limit": "groups", "set_by": "member", "used": 2, "most": 2, "week_ends": WEEK_ENDS_NS}
    story.one("member.reminded", **reminded)
    story.when(posted("o3", "m1")).then_refused(Reason.SELF_LIMIT_GROUPS)
    story.when(joined("o4", "m1", group=story.group_of("o1"))).then_refused(Reason.ALREADY_IN_GROUP)
    story.when(posted("o5", "m2")).then("group.opened", "seat.held")


@covers(Reason.SELF_LIMIT_GROUPS)
def test_the_payment_of_an_order_past_an_own_limit_is_owed_back() -> None:
    story = (
        _limited(groups=0).when(_prepaid("o1")).then_refused(Reason.SELF_LIMIT_GROUPS, "refund.due", "member.reminded")
    )
    story.one("refund.due", cause="order_refused", amount_minor=8_000)
    story.when(_prepaid("o2")).then_refused(Reason.SELF_LIMIT_GROUPS, "refund.due")


@covers(Reason.SELF_LIMIT_GROUPS)
def test_the_week_ends_on_sunday_night_in_the_markets_zone() -> None:
    story = _limited(groups=1).when(posted("o1", "m1"), at=WEEK_ENDS_S - 2)
    story.when(posted("o2", "m1"), at=WEEK_ENDS_S - 1).then_refused(Reason.SELF_LIMIT_GROUPS)
    story.when(posted("o3", "m1"), at=WEEK_ENDS_S).then("group.opened", "seat.held", "member.reminded")


@covers(Reason.SELF_LIMIT_GROUPS)
def test_a_group_that_came_to_nothing_was_joined_all_the_same() -> None:
    story = _limited(groups=1).when(posted("o1", "m1")).when(withdrawn("o1"))
    story.when(posted("o2", "m1")).then_refused(Reason.SELF_LIMIT_GROUPS)


# Spending


@covers(Reason.SELF_LIMIT_SPENDING)
def test_an_order_that_would_pass_the_own_limit_on_spending_is_refused_and_the_member_reminded_once() -> None:
    story = _limited(spending=_cny(10_000)).when(posted("o1", "m1")).then("group.opened", "seat.held")
    story.when(posted("o2", "m1")).then_refused(Reason.SELF_LIMIT_SPENDING, "member.reminded")
    story.one("member.reminded", limit="spending", used=8_000, most=10_000, currency="CNY")
    story.when(posted("o3", "m1")).then_refused(Reason.SELF_LIMIT_SPENDING)


@covers(Reason.SELF_LIMIT_SPENDING)
def test_a_refusal_in_one_currency_reminds_of_the_limit_in_that_currency_alone() -> None:
    story = _limited(spending=_cny(100)).when(limited_self("m1", spending={"amount_minor": 100, "currency": "USD"}))
    story.when(posted("o1", "m1")).then_refused(Reason.SELF_LIMIT_SPENDING, "member.reminded")
    assert story.one("member.reminded")["currency"] == story.decisions[0]["detail"] == "CNY"


def test_exactly_the_limit_may_be_spent_and_in_another_currency_it_says_nothing() -> None:
    story = _limited(spending=_cny(8_000)).when(offer("usd", currency="USD"))
    story.when(posted("o1", "m1")).then("group.opened", "seat.held", "member.reminded")
    story.when(posted("o2", "m1", offer="usd")).then("group.opened", "seat.held")


def test_what_comes_to_nothing_or_is_refunded_was_not_spent() -> None:
    story = _limited(spending=_cny(8_000))
    story.when(posted("o1", "m1")).when(withdrawn("o1"))
    story.when(_prepaid("o2")).then("group.opened", "seat.confirmed")
    story.when(cancelled("o2"))
    story.when(offer("soon", group_ttl_s=60)).when(_prepaid("o3", offer="soon")).then("group.opened", "seat.confirmed")
    story.when(ticked(), at=60).then("group.expired", "refund.due", "clock.advanced")
    story.when(posted("o4", "m1", offer="soon")).then("group.opened", "seat.held")
    story.when(ticked(), at=130)
    story.when(posted("o5", "m1")).then("group.opened", "seat.held")


@covers(Reason.SELF_LIMIT_SPENDING)
def test_what_a_member_gets_back_through_a_lower_price_was_not_spent() -> None:
    tiers = [{"size": 3, "price_minor": 5_000}]
    terms = {"size": 2, "max_size": 3, "close": "at_deadline", "tiers": tiers, "group_ttl_s": 3_600}
    story = _limited(spending=_cny(12_000)).when(offer("tiered", **terms))
    story.when(_prepaid("o1", offer="tiered"))
    story.when(posted("o9", "m1")).then_refused(Reason.SELF_LIMIT_SPENDING, "member.reminded")
    for order in ("o2", "o3"):
        story.when(joined(order, offer="tiered", payment=payment()))
    assert story.every("refund.due")[0]["amount_minor"] == 3_000
    story.when(offer("cheap", group_minor=7_001)).when(posted("o4", "m1", offer="cheap"))
    story.then_refused(Reason.SELF_LIMIT_SPENDING)
    story.when(offer("fits", group_minor=7_000)).when(posted("o5", "m1", offer="fits"))
    story.then("group.opened", "seat.held")


@covers(Reason.SELF_LIMIT_SPENDING)
def test_an_order_grows_within_the_own_limit_on_spending_only() -> None:
    story = _limited(spending=_cny(20_000)).when(posted("o1", "m1"))
    story.when(order_changed("o1", quantity=3)).then_refused(Reason.SELF_LIMIT_SPENDING)
    story.when(order_changed("o1", quantity=2)).then("seat.held")
    story.when(posted("o2", "m1")).then_refused(Reason.SELF_LIMIT_SPENDING, "member.reminded")
    story.when(order_changed("o1", quantity=1)).then("seat.held")
    story.when(posted("o3", "m1")).then("group.opened", "seat.held")


def test_a_late_payment_past_the_own_limit_on_spending_is_owed_back() -> None:
    story = _limited(spending=_cny(8_000)).when(offer("late", hold_s=60, late_payment="rejoin"))
    story.when(posted("o1", "m1", offer="late"))
    story.when(posted("o2", "m1"), at=61).then("seat.released", "group.dissolved", "group.opened", "seat.held")
    story.when(paid("o1")).then("refund.due")
    story.when(withdrawn("o2")).when(paid("o1")).then("group.opened", "seat.confirmed")


# Limits that change


@covers(Reason.SELF_LIMIT_GROUPS)
def test_a_lower_limit_holds_at_once_and_a_raised_one_a_day_later() -> None:
    story = _limited(groups=5).when(limited_self("m1", groups=1)).when(posted("o1", "m1"))
    story.when(limited_self("m1", groups=3), at=60)
    changes_at = T0 + (DAY_S + 60) * S
    chosen = story.one("member.chose", about="limits", changes_at=changes_at)
    assert chosen["choices"]["limits"] == ({"name": "groups", "most": 1, "changes_at": changes_at, "then_most": 3},)
    assert story.outcome["changes_at"] == changes_at and "choices" not in story.outcome
    story.when(posted("o2", "m1"), at=DAY_S + 59)
    assert story.decisions[-1]["reason"] == Reason.SELF_LIMIT_GROUPS
    story.when(posted("o3", "m1"), at=DAY_S + 60)
    assert story.kinds[-1] == "seat.held"


@covers(Reason.SELF_LIMIT_GROUPS)
def test_a_limit_that_is_removed_still_holds_for_a_day() -> None:
    story = _limited(groups=0, assists=3).when(limited_self("m1", remove=["groups"]))
    story.when(posted("o1", "m1"), at=DAY_S - 1).then_refused(Reason.SELF_LIMIT_GROUPS, "member.reminded")
    story.when(posted("o2", "m1"), at=DAY_S).then("group.opened", "seat.held")
    story.when(limited_self("m1", assists=2))
    assert story.one("member.chose")["choices"]["limits"] == ({"name": "assists", "most": 2},)


def test_who_thinks_better_of_it_keeps_the_lower_limit() -> None:
    story = _limited(groups=1).when(limited_self("m1", groups=9)).when(limited_self("m1", groups=1), at=60)
    assert story.one("member.chose")["choices"]["limits"] == ({"name": "groups", "most": 1},)


def test_what_an_event_leaves_out_stays_limited() -> None:
    story = _limited(groups=1, spending=_cny(100)).when(limited_self("m1", assists=4))
    names = [limit["name"] for limit in story.one("member.chose")["choices"]["limits"]]
    assert names == ["groups", "spending", "assists"]


@covers(Reason.CAPACITY)
def test_a_member_has_a_limit_on_spending_in_a_few_currencies_only() -> None:
    story = _limited()
    for i in range(8):
        story.when(limited_self("m1", spending={"amount_minor": 1, "currency": f"AA{chr(65 + i)}"}))
    story.when(limited_self("m1", groups=1)).then_refused(Reason.CAPACITY)


# The market's limits


def test_at_the_markets_limit_a_member_is_reminded_once_a_week_and_refused_nothing() -> None:
    story = _limited(in_market={"groups": 1, "spending": _cny(16_000)})
    story.when(posted("o1", "m1")).then("group.opened", "seat.held", "member.reminded")
    story.one("member.reminded", limit="groups", set_by="market", used=1, most=1)
    story.when(posted("o2", "m1")).then("group.opened", "seat.held", "member.reminded")
    story.one("member.reminded", limit="spending", set_by="market", used=16_000, currency="CNY")
    story.when(posted("o3", "m1")).then("group.opened", "seat.held")
    story.when(posted("o4", "m1"), at=WEEK_ENDS_S)
    assert story.kinds[-3:] == ["group.opened", "seat.held", "member.reminded"]


def test_while_nobody_is_limited_nothing_is_counted() -> None:
    story = _limited().when(posted("o1", "m1"))
    assert not story.engine.state.members.watching and not story.engine.state.members.weeks
    story.when(limited_self("m2", groups=1))
    story.when(posted("o2", "m1")).then("group.opened", "seat.held")
    assert not story.engine.state.members.weeks, "only what is limited is counted"


def test_weeks_that_are_over_are_forgotten() -> None:
    story = _limited(in_market={"groups": 100})
    for week in range(20):
        story.when(posted(None, f"m{week}"), at=week * 7 * DAY_S)
    assert len(story.engine.state.members.weeks) <= 2


# Assists


def _unlocking(**limits: Any) -> Scenario:
    """Return a scenario in which two plays are open that m1, who has these own limits, may help."""
    return given(play_market(), unlock("p0"), unlock("p1"), limited_self("m1", **limits), model=False)


@covers(Reason.SELF_LIMIT_ASSISTS)
def test_past_the_own_limit_on_assists_an_assist_is_refused_and_the_member_reminded_once() -> None:
    story = _unlocking(assists=1).when(assist("p0", "m1"))
    assert story.kinds[0] == "assist.counted" and story.kinds[-1] == "member.reminded"
    story.one("member.reminded", limit="assists", used=1, most=1)
    story.when(assist("p1", "m1")).then_refused(Reason.SELF_LIMIT_ASSISTS)
    story.when(assist("p1", "m2"))
    assert story.kinds[0] == "assist.counted" and "member.reminded" not in story.kinds


@covers(Reason.SELF_LIMIT_ASSISTS)
def test_who_wants_to_give_no_assists_at_all_is_reminded_of_it_once_a_week() -> None:
    story = _unlocking(assists=0).when(assist("p0", "m1")).then_refused(Reason.SELF_LIMIT_ASSISTS, "member.reminded")
    story.when(assist("p1", "m1")).then_refused(Reason.SELF_LIMIT_ASSISTS)


@covers(Reason.SELF_LIMIT_SPENDING)
def test_who_was_not_drawn_in_a_group_and_got_the_money_back_has_not_spent_it() -> None:
    limits = [limited_self(member, spending=_cny(8_000)) for member in ("m1", "m2")]
    story = given(play_market(), offer("draw", winners=1), offer(), *limits, model=False)
    story.when(_prepaid("o1", offer="draw")).when(joined("o2", "m2", offer="draw", payment=payment()))
    (lost,) = [refund["member"] for refund in story.every("refund.due")]
    won = "m2" if lost == "m1" else "m1"
    story.when(posted("o3", won)).then_refused(Reason.SELF_LIMIT_SPENDING)
    story.when(posted("o4", lost)).then("group.opened", "seat.held")
