"""Market configuration, offers and blocks (RULES.md sections 2, 3 and 8)."""

from typing import Any

import pytest

from events.reasons import Reason
from tests.builders import (
    blocked,
    completed,
    joined,
    market,
    offer,
    offer_changed,
    offer_stocked,
    offer_withdrawn,
    payment,
    posted,
)
from tests.model.both import ZONES
from tests.unit.rules.given import covers, given

# Market


def test_a_configuration_is_set_and_names_rules_and_time_zones() -> None:
    story = given(configured=False).when(market(timezone="Asia/Shanghai"))
    story.then_nothing_but("market.set", rule_version=1, tzdata=ZONES.version)


def test_a_configuration_replaces_the_whole_of_the_one_before() -> None:
    story = given(market(offer_defaults={"size": 2}))
    story.when(offer("a", size=None)).then("offer.listed")
    story.when(market())
    story.when(offer("b", size=None)).then_refused(Reason.OFFER_INCOMPLETE)


@covers(Reason.CLOCK_FIXED, Reason.TIMEZONE_FIXED)
def test_clock_and_time_zone_cannot_change() -> None:
    story = given(market())
    story.when(market(clock="event")).then_refused(Reason.CLOCK_FIXED)
    story.when(market(timezone="Asia/Shanghai")).then_refused(Reason.TIMEZONE_FIXED)
    story.when(market(clock="event", timezone="Asia/Shanghai")).then_refused(Reason.CLOCK_FIXED)


@covers(Reason.TIMEZONE_UNKNOWN)
def test_an_unknown_time_zone_is_refused() -> None:
    given(configured=False).when(market(timezone="Mars/Base")).then_refused(Reason.TIMEZONE_UNKNOWN)
    given(market()).when(market(clock="event", timezone="Mars/Base")).then_refused(Reason.TIMEZONE_UNKNOWN)


@covers(Reason.RULE_VERSION_UNKNOWN)
def test_an_unknown_rule_version_is_refused() -> None:
    given(configured=False).when(market(rule_version=99)).then_refused(Reason.RULE_VERSION_UNKNOWN)


def test_a_refused_configuration_changes_nothing() -> None:
    story = given(market(), offer()).when(market(publishers={}, rule_version=2)).then("refused")
    story.when(posted()).then("group.opened", "seat.held")


# Publishing


def test_an_offer_is_listed_with_its_edition_status_and_stock() -> None:
    story = given().when(offer("tea"))
    assert story.decisions == [{"kind": "offer.listed", "offer": "tea", "edition": 1}]
    assert story.when(offer("a", stock=0)).one("offer.listed")["stock"] == {"": 0}
    assert story.when(offer("b", skus={"red": 3})).one("offer.listed")["stock"] == {"red": 3}


@covers(Reason.OFFER_EXISTS)
def test_an_offer_is_published_once() -> None:
    story = given(offer()).when(offer(size=None)).then_refused(Reason.OFFER_EXISTS)
    story.when(offer_withdrawn()).when(offer()).then_refused(Reason.OFFER_EXISTS)


@covers(Reason.CAPACITY)
def test_offers_have_a_capacity() -> None:
    story = given(market(offer_capacity=1), offer("a"), offer_withdrawn("a"))
    story.when(offer("b", size=None)).then_refused(Reason.CAPACITY)


@pytest.mark.parametrize("name", ["size", "group_minor", "currency"])
@covers(Reason.OFFER_INCOMPLETE)
def test_an_offer_needs_size_price_and_currency(name: str) -> None:
    without: dict[str, Any] = {name: None}
    given().when(offer(**without)).then_refused(Reason.OFFER_INCOMPLETE)
    default = {"size": 2, "group_minor": 1, "currency": "CNY"}[name]
    given(market(offer_defaults={name: default})).when(offer(**without)).then("offer.listed")


INCONSISTENT: dict[str, dict[str, Any]] = {
    "closes as it opens": {"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-02T00:00:00Z"},
    "closes before it opens": {"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z"},
    "max_size below size": {"size": 3, "max_size": 2, "close": "at_deadline"},
    "fill_if_at_least above size": {"size": 2, "fill_if_at_least": 3},
    "at_target with another max_size": {"size": 2, "max_size": 3},
    "sizes not ascending": {"size": 4, "tiers": [{"size": 3, "price_minor": 9}, {"size": 3, "price_minor": 8}]},
    "prices not descending": {"size": 4, "tiers": [{"size": 2, "price_minor": 9}, {"size": 3, "price_minor": 9}]},
    "first tier as dear as the group": {"tiers": [{"size": 2, "price_minor": 8_000}]},
    "tier above max_size": {"size": 2, "tiers": [{"size": 3, "price_minor": 9}]},
    "stock and variants": {"stock": 3, "skus": {"red": 3}},
}


@pytest.mark.parametrize("terms", INCONSISTENT.values(), ids=INCONSISTENT)
@covers(Reason.OFFER_INCONSISTENT)
def test_rules_that_contradict_each_other_are_refused(terms: dict[str, Any]) -> None:
    given().when(offer(**terms)).then_refused(Reason.OFFER_INCONSISTENT)


CONSISTENT: dict[str, dict[str, Any]] = {
    "closes after it opens": {"opens_at": "2026-01-02T00:00:00Z", "closes_at": "2026-01-02T00:00:00.000001Z"},
    "at_deadline grows beyond size": {"size": 2, "max_size": 3, "close": "at_deadline"},
    "at_deadline without max_size": {"close": "at_deadline", "tiers": [{"size": 1_000, "price_minor": 9}]},
    "fill_if_at_least as size": {"size": 2, "fill_if_at_least": 2},
    "tiers": {"size": 3, "tiers": [{"size": 2, "price_minor": 7_999}, {"size": 3, "price_minor": 0}]},
}


@pytest.mark.parametrize("terms", CONSISTENT.values(), ids=CONSISTENT)
def test_rules_that_go_together_are_accepted(terms: dict[str, Any]) -> None:
    given().when(offer(**terms)).then("offer.listed")


# Defaults


def test_terms_come_from_the_event_then_the_market_then_the_rules() -> None:
    story = given(market(offer_defaults={"hold_s": 50, "group_ttl_s": 70}), offer(group_ttl_s=200))
    story.when(posted("o1"))
    assert story.one("group.opened")["deadline"] - story.now_ns == 200 * 10**9
    assert story.one("seat.held")["hold_until"] - story.now_ns == 50 * 10**9
    story = given(offer(), posted("o1"))
    assert story.one("group.opened")["deadline"] - story.now_ns == 86_400 * 10**9
    assert story.one("seat.held")["hold_until"] - story.now_ns == 900 * 10**9


def test_a_listed_offer_keeps_the_defaults_of_the_moment_at_which_it_was_listed() -> None:
    story = given(market(offer_defaults={"hold_s": 50}), offer(), market(offer_defaults={"hold_s": 60}))
    story.when(posted("o1"))
    assert story.one("seat.held")["hold_until"] - story.now_ns == 50 * 10**9
    story.when(offer_changed(size=3)).when(posted("o2"))
    assert story.one("seat.held")["hold_until"] - story.now_ns == 60 * 10**9


def test_the_default_order_of_a_market_may_be_overridden_by_nothing() -> None:
    """An empty list of tiers is a list: it stands against the market's tiers."""
    tiers = [{"size": 2, "price_minor": 7_000}]
    story = given(market(offer_defaults={"tiers": tiers}), offer("a"), offer("b", tiers=[]))
    story.when(posted(offer="a"))
    assert story.one("seat.held")["payable_minor"] == 7_000
    story.when(posted(offer="b"))
    assert story.one("seat.held")["payable_minor"] == 8_000


# Changing


def test_a_change_overlays_the_terms_that_were_given() -> None:
    story = given(offer(group_minor=100, size=3)).when(offer_changed(group_minor=90))
    story.then_nothing_but("offer.listed", edition=2)
    story.when(posted("o1"))
    assert story.one("seat.held")["payable_minor"] == 90
    story.when(completed(story.group_of("o1"))).then_refused(Reason.NOTHING_CONFIRMED)


@covers(Reason.OFFER_UNKNOWN, Reason.OFFER_WITHDRAWN, Reason.OFFER_INCONSISTENT)
def test_a_change_needs_a_standing_offer_and_consistent_terms() -> None:
    story = given(offer(tiers=[{"size": 2, "price_minor": 7_000}]))
    story.when(offer_changed("other", size=3)).then_refused(Reason.OFFER_UNKNOWN)
    story.when(offer_changed(group_minor=7_000)).then_refused(Reason.OFFER_INCONSISTENT)
    story.when(posted())
    assert story.one("group.opened")["edition"] == 1
    story.when(offer_withdrawn()).when(offer_changed(size=0)).then("malformed")
    story.when(offer_changed(size=3)).then_refused(Reason.OFFER_WITHDRAWN)


def test_a_change_shows_the_stock() -> None:
    story = given(offer(stock=5)).when(offer_changed(hold_s=5))
    assert story.one("offer.listed")["stock"] == {"": 5}


# Stock


def test_stock_changes_at_once() -> None:
    story = given(offer(stock=0)).when(posted()).then_refused(Reason.OUT_OF_STOCK)
    story.when(offer_stocked(1)).then_nothing_but("offer.listed", edition=1, stock={"": 1})
    story.when(posted()).then("group.opened", "seat.held")
    story.when(offer_stocked(-1)).then_refused(Reason.STOCK_NEGATIVE)


@covers(Reason.STOCK_NEGATIVE)
def test_stock_is_never_negative() -> None:
    story = given(offer(stock=3, skus=None))
    story.when(offer_stocked(-4)).then_refused(Reason.STOCK_NEGATIVE)
    story.when(offer_stocked(-3)).then_nothing_but("offer.listed", stock={"": 0})
    story = given(offer(skus={"red": 1}))
    story.when(offer_stocked(-1, sku="blue")).then_refused(Reason.STOCK_NEGATIVE)


@covers(Reason.SKU_REQUIRED, Reason.STOCK_UNTRACKED, Reason.OFFER_UNKNOWN)
def test_stock_is_changed_only_where_it_is_kept() -> None:
    given().when(offer_stocked(1)).then_refused(Reason.OFFER_UNKNOWN)
    given(offer(skus={"red": 1})).when(offer_stocked(1)).then_refused(Reason.SKU_REQUIRED)
    given(offer()).when(offer_stocked(1)).then_refused(Reason.STOCK_UNTRACKED)
    given(offer(stock=1)).when(offer_stocked(1, sku="red")).then_refused(Reason.STOCK_UNTRACKED)


def test_a_new_variant_joins() -> None:
    story = given(offer(skus={"red": 1})).when(posted(sku="blue")).then_refused(Reason.SKU_UNKNOWN)
    story.when(offer_stocked(2, sku="blue")).then_nothing_but("offer.listed", stock={"red": 1, "blue": 2})
    story.when(posted(sku="blue")).then("group.opened", "seat.held")


def test_stock_and_variants_have_limits() -> None:
    story = given(offer("a", stock=10**9), offer("b", skus={f"s{n}": 0 for n in range(200)}))
    story.when(offer_stocked(1, "a")).then_refused(Reason.CAPACITY)
    story.when(offer_stocked(1, "b", sku="more")).then_refused(Reason.CAPACITY)
    story.when(offer_stocked(-1, "b", sku="more")).then_refused(Reason.STOCK_NEGATIVE)


def test_a_withdrawn_offer_may_still_be_stocked() -> None:
    story = given(offer(stock=1), offer_withdrawn())
    story.when(offer_stocked(1)).then_nothing_but("offer.listed", status="withdrawn", stock={"": 2})


# Withdrawing


@covers(Reason.OFFER_UNKNOWN, Reason.OFFER_WITHDRAWN)
def test_an_offer_is_withdrawn_once() -> None:
    story = given(offer()).when(offer_withdrawn()).then_nothing_but("offer.listed", status="withdrawn")
    story.when(offer_withdrawn(open_groups="dissolve")).then_refused(Reason.OFFER_WITHDRAWN)
    story.when(offer_withdrawn("other")).then_refused(Reason.OFFER_UNKNOWN)


def test_open_groups_of_a_withdrawn_offer_run_on() -> None:
    story = given(offer(), posted("o1", payment=payment()), offer_withdrawn()).then("offer.listed")
    story.when(posted(lead="if_needed")).then_refused(Reason.OFFER_WITHDRAWN)
    story.when(joined(payment=payment())).then("seat.confirmed", "group.filled")
    story.when(joined()).then_refused(Reason.OFFER_WITHDRAWN)


def test_or_they_are_dissolved_and_refunded() -> None:
    story = given(offer("other"), offer(stock=5), posted("o1", payment=payment()), posted("o2"), posted(offer="other"))
    story.when(offer_withdrawn(open_groups="dissolve"))
    story.then("offer.listed", "group.dissolved", "refund.due", "group.dissolved")
    assert story.one("refund.due")["cause"] == "dissolved"
    story.when(offer_stocked(0))
    assert story.one("offer.listed")["stock"] == {"": 5}


# Blocks


@covers(Reason.SELF_BLOCK)
def test_nobody_blocks_itself() -> None:
    given().when(blocked("m1", "m1")).then_refused(Reason.SELF_BLOCK)


@pytest.mark.parametrize("pair", [("m1", "m2"), ("m2", "m1")])
@covers(Reason.BLOCKED)
def test_a_block_acts_both_ways(pair: tuple[str, str]) -> None:
    story = given(offer(), blocked(*pair)).then_nothing_but("member.noted", member=pair[0])
    story.when(posted("o1", "m1"))
    story.when(joined("o2", "m2", group=story.group_of("o1"))).then_refused(Reason.BLOCKED)


def test_a_block_does_not_undo_seats() -> None:
    story = given(offer(), posted("o1", "m1", payment=payment()), joined("o2", "m2"), blocked("m1", "m2"))
    story.when(completed(story.group_of("o1"))).then("seat.released", "group.filled")


def test_a_block_can_be_lifted_by_who_set_it_only() -> None:
    story = given(offer(size=3), blocked("m1", "m2"), posted("o1", "m1"))
    group = story.group_of("o1")
    story.when(blocked("m2", "m1", lifted=True)).then("member.noted")
    story.when(joined("o2", "m2", group=group)).then_refused(Reason.BLOCKED)
    story.when(blocked("m1", "m2", lifted=True)).then("member.noted")
    story.when(joined("o2", "m2", group=group)).then("seat.held")
