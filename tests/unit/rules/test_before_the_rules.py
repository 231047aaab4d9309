"""What is checked before any rule: rights, identity, time, room (RULES.md section 1)."""

import pytest

from events.leaf import keyed_hash
from events.reasons import Reason
from tests.builders import (
    JsonEvent,
    blocked,
    encode,
    event,
    joined,
    market,
    offer,
    paid,
    payment,
    posted,
    ticked,
)
from tests.model.both import MARKET_KEY
from tests.unit.rules.given import covers, given

DAY = 86_400


@covers(Reason.MARKET_NOT_CONFIGURED)
def test_nothing_is_decided_before_the_market_is_configured() -> None:
    story = given(configured=False)
    story.when(offer()).then_refused(Reason.MARKET_NOT_CONFIGURED)
    story.when(market(), by="shop-a").then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    story.when(market()).then("market.set")
    story.when(offer()).then("offer.listed")


def test_an_event_refused_for_want_of_a_configuration_may_come_again() -> None:
    early = offer(id="once")
    given(configured=False).when(early).when(market()).when(early).then("offer.listed")


@covers(Reason.WRONG_FAMILY)
def test_an_event_on_the_subject_of_another_family_is_refused() -> None:
    given().when(offer(), on="order").then_refused(Reason.WRONG_FAMILY)
    given(offer()).when(posted(), on="mixed").then_refused(Reason.WRONG_FAMILY)


@covers(Reason.PUBLISHER_NOT_ALLOWED)
def test_a_publisher_may_publish_only_the_families_listed_for_it() -> None:
    story = given(market(publishers={"shop-a": ["offer"]}))
    story.when(offer()).then("offer.listed")
    story.when(posted()).then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    story.when(offer("other"), by="stranger").then_refused(Reason.PUBLISHER_NOT_ALLOWED)


@pytest.mark.parametrize("document", [market(), blocked("m1", "m2"), offer(), event("group.completed")])
def test_the_operator_has_its_own_families_always(document: JsonEvent) -> None:
    document["data"] |= {"group": "g1", "actor": "amy", "reason": "r", "ticket": "t"} if not document["data"] else {}
    story = given(market(publishers={})).when(document, by="operator")
    assert story.outcome.get("reason") != "publisher_not_allowed"


def test_the_operator_publishes_no_orders_and_only_the_matcher_ticks() -> None:
    story = given(offer())
    story.when(posted(), by="operator").then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    story.when(ticked(), by="operator").then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    story.when(ticked()).then("clock.advanced")


def test_the_gateway_speaks_for_the_publisher_that_each_event_names() -> None:
    story = given()
    batch = [offer(publisher="shop-a"), posted("o1", publisher="shop-b"), posted("o2")]
    story.when(batch, by="gateway", on="mixed").then("offer.listed", "group.opened", "seat.held", "refused")
    assert [entry["publisher"] for entry in story.entries] == ["shop-a", "shop-b", "gateway"]
    assert story.one("seat.held")["publisher"] == "shop-b"
    assert story.one("refused")["reason"] == "publisher_not_allowed"


def test_the_attribute_publisher_counts_nowhere_else() -> None:
    story = given().when(offer(publisher="operator"), by="shop-b", on="offer").then("offer.listed")
    assert story.entries[0]["publisher"] == "shop-b"


# Personal data


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"member": "13812345678"}, "data.member"),
        ({"via": "user-13812345678"}, "data.via"),
        ({"member": "11010519491231002X"}, "data.member"),
        ({"note": "call 13812345678"}, "data.note"),
        ({"note": {"mail": "a.b@example.com"}}, "data.note"),
        ({"source": "shop@example.com"}, "source"),
    ],
)
def test_what_looks_like_a_person_is_refused_and_not_kept(fields: dict[str, str], where: str) -> None:
    given_offer = given(offer())
    document = posted("o1", **fields)
    story = given_offer.when(document).then_refused(Reason.PERSONAL_DATA)
    raw = encode(document, story.now_ns)
    refused = story.one("refused")
    assert refused["detail"] == where
    assert (refused["size_bytes"], refused["keyed_hash"]) == (len(raw), keyed_hash(MARKET_KEY, raw))
    assert "event" not in story.entries[-1]


@covers(Reason.PERSONAL_DATA)
def test_a_personal_event_is_not_remembered() -> None:
    story = given(offer()).when(posted("o1", id="e", note="a@example.com")).then_refused(Reason.PERSONAL_DATA)
    story.when(posted("o1", id="e")).then("group.opened", "seat.held")


def test_a_personal_event_is_not_kept_whatever_else_is_wrong_with_it() -> None:
    story = given(offer()).when(posted("o1", "13812345678"), by="stranger")
    story.then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    assert "event" not in story.entries[0]
    assert "keyed_hash" in story.one("refused")


def test_order_and_payment_numbers_of_eleven_or_eighteen_digits_are_legal() -> None:
    story = given(offer()).when(posted("13812345678")).then("group.opened", "seat.held")
    story.when(paid("13812345678", payment="110105194912310021")).then("seat.confirmed")


# Identity


def test_the_same_event_again_gets_the_original_outcome() -> None:
    first = posted("o1", "m1", id="once")
    story = given(offer(), first).when(first)
    story.then_nothing_but("duplicate", of="3.0.0", original="seat.held")
    assert "group" not in story.one("duplicate")


def test_a_refused_event_again_gets_the_original_reason() -> None:
    story = given().when(posted("o1", id="once")).then_refused(Reason.OFFER_UNKNOWN)
    again = posted("o1", "m", id="once")
    story = given().when(again).then_refused(Reason.OFFER_UNKNOWN)
    story.when(again).then_nothing_but("duplicate", original="refused", reason="offer_unknown", of="2.0.0")


@covers(Reason.ID_REUSED)
def test_an_id_used_again_for_other_bytes_is_refused() -> None:
    story = given(offer(), posted("o1", "m1", id="once"))
    story.when(posted("o1", "m1", id="once", via="m9")).then_refused(Reason.ID_REUSED)
    story.when(posted("o1", "m1", id="once")).then("duplicate")


def test_an_identity_is_publisher_source_and_id() -> None:
    story = given(offer(), posted("o1", id="once"))
    story.when(posted("o2", id="once", source="/other")).then("group.opened", "seat.held")
    story.when(posted("o3", id="once"), by="shop-b").then("group.opened", "seat.held")


def test_an_identity_is_forgotten_after_its_window() -> None:
    """It is known at the last instant of window and slack; then the event itself is too old."""
    story = given(market(replay_window_s=60, future_slack_s=10), offer())
    early = posted("o1", "m1", id="once", time="2026-01-01T00:00:10Z")
    story.when(early).then("group.opened", "seat.held")
    story.when(early, at=70).then("duplicate")
    story.when(early, at=70, at_ns=1).then("duplicate")
    story.when(early).then("duplicate")  # each of these entries forgets two, the older identities first
    story.when(early).then_refused(Reason.TOO_OLD)
    assert story.engine.tree.identities.count == 0


def test_at_most_two_identities_are_forgotten_for_each_entry() -> None:
    story = given(market(replay_window_s=60, future_slack_s=0, order_memory_s=10**6), offer())
    for n in range(6):
        story.when(blocked(f"m{n}", "m9"))
    known = []
    for n in range(4):
        story.when(ticked(), at=61 + n)
        known.append(story.engine.tree.identities.count)
    assert known == [6, 4, 2, 0]


@pytest.mark.parametrize("clock", ["broker", "event"])
@covers(Reason.TOO_OLD)
def test_an_event_from_before_the_window_is_refused(clock: str) -> None:
    story = given(market(clock=clock, replay_window_s=60))
    story.when(offer("now", time="2026-01-01T00:01:40Z"), at=100).then("offer.listed")
    story.when(offer("a", time="2026-01-01T00:00:40Z")).then_refused(Reason.TOO_OLD)
    story.when(offer("a", time="2026-01-01T00:00:40.000001Z")).then("offer.listed")


@covers(Reason.FROM_THE_FUTURE)
def test_an_event_from_the_future_is_refused() -> None:
    story = given(market(future_slack_s=300))
    story.when(offer("a", time="2026-01-01T00:05:00.000001Z")).then_refused(Reason.FROM_THE_FUTURE)
    story.when(offer("a", time="2026-01-01T00:05:00Z")).then("offer.listed")


def test_an_event_refused_for_its_time_is_not_remembered() -> None:
    ahead = offer(id="once", time="2026-01-01T00:10:00Z")
    story = given().when(ahead).then_refused(Reason.FROM_THE_FUTURE)
    story.when(ahead, at=300).then("offer.listed")


@covers(Reason.CAPACITY)
def test_when_the_memory_of_identities_is_full_events_are_refused_until_some_are_forgotten() -> None:
    story = given(market(identity_capacity=3, replay_window_s=60, future_slack_s=60), offer(), posted())
    refused = posted("o9", id="once", time="2026-01-01T00:01:10Z")
    story.when(refused, at=10).then_refused(Reason.CAPACITY)
    story.when(ticked(), at=121).then("clock.advanced")
    story.when(refused).then("group.opened", "seat.held")


def test_a_tick_is_not_remembered_and_needs_no_room() -> None:
    story = given(market(identity_capacity=1))
    tick = ticked(id="tick")
    story.when(tick).then("clock.advanced")
    story.when(tick).then("clock.advanced")


# Money that came with what was refused here


@pytest.mark.parametrize("manner", ["id_reused", "too_old", "from_the_future", "capacity"])
def test_an_order_refused_before_its_rules_is_refunded(manner: str) -> None:
    capacity = 3 if manner == "capacity" else 100
    story = given(market(identity_capacity=capacity), offer(), posted("o1", "m1", id="once"))
    times = {"too_old": "2025-12-30T00:00:00Z", "from_the_future": "2026-01-02T00:00:00Z"}
    fields = {"time": times[manner]} if manner in times else {}
    name = "once" if manner == "id_reused" else "new"
    story.when(posted("o2", "m2", payment=payment(payment="p2"), id=name, **fields))
    story.then_refused(Reason(manner), "refund.due")
    refund = story.one("refund.due")
    assert (refund["cause"], refund["order"], refund["member"]) == ("order_refused", "o2", "m2")
    story.when(posted("o2", "m2", payment=payment(payment="p2"), id=name, **fields)).then("refused")
    assert len(story.due_refunds()) == 1


def test_money_of_an_order_that_may_be_forgotten_is_not_owed_back_when_it_is_told_again() -> None:
    """What was honoured and is forgotten stays honoured, whatever arrives of it afterwards."""
    early = "2026-01-01T00:00:00Z"
    honoured = posted("o1", "m1", payment=payment(payment="p1"), time=early, via="m3")
    story = given(market(replay_window_s=60, future_slack_s=10, order_memory_s=100), offer(size=2))
    story.when({**honoured, "id": "first"}).when(joined("o2", "m2", payment=payment(payment="p2"))).then(
        "seat.confirmed", "group.filled"
    )
    story.when(posted("o3", payment=payment(), time=early), at=90).then_refused(Reason.TOO_OLD, "refund.due")
    story.when(posted("o4", payment=payment(), time=early), at=90, at_ns=1).then_refused(Reason.TOO_OLD)
    for late in range(101, 105):
        story.when(ticked(), at=late)
    assert "o1" not in story.engine.state.orders
    story.when(honoured, at=110).then_refused(Reason.TOO_OLD)


def test_who_has_no_right_to_speak_moves_no_money() -> None:
    for story in (
        given(configured=False).when(posted(payment=payment())),
        given(offer()).when(posted(payment=payment()), by="stranger"),
        given(offer()).when(posted(payment=payment()), on="offer"),
        given(offer()).when(posted("o1", "13812345678", payment=payment())),
    ):
        story.then("refused")


def test_the_payment_of_an_order_that_holds_it_is_not_refunded_beside_a_refusal() -> None:
    story = given(offer(), posted("o1", "m1", payment=payment(payment="p1"), id="once"))
    story.when(posted("o1", "m1", payment=payment(payment="p1"), id="once", via="m3")).then_refused(Reason.ID_REUSED)
    story.when(posted("o1", "m2", payment=payment(payment="p1"))).then_refused(Reason.ORDER_EXISTS)
