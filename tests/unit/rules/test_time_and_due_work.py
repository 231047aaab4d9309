"""Time, deadlines and the work that is due by itself (RULES.md section 0)."""

import hashlib
from typing import Any

import pytest

from events.limits import GROUPS_PER_PIECE, PIECE_MAX_BYTES, SEATS_PER_PAGE
from events.reasons import Reason
from tests.builders import (
    T0,
    S,
    completed,
    dissolved,
    joined,
    market,
    offer,
    offer_withdrawn,
    paid,
    payment,
    posted,
    refund_settled,
    ticked,
    withdrawn,
)
from tests.unit.rules.given import Scenario, given


def test_time_never_goes_back() -> None:
    story = given(offer()).when(ticked(time="2026-01-01T00:01:40Z"), at=100)
    story.when(posted("o1", time="2026-01-01T00:01:40Z"), at=50)
    assert story.entries[0]["at"] == T0 + 100 * S
    assert story.one("group.opened")["deadline"] == T0 + (100 + 86_400) * S


def test_deadlines_follow_the_accepted_time_and_not_the_claimed_one() -> None:
    story = given(offer(hold_s=10), posted("o1"))
    story.when(paid("o1", time="2026-01-01T00:00:05Z"), at=10)
    story.then("seat.released", "group.dissolved", "refund.due")


def test_with_an_event_clock_time_is_what_events_say() -> None:
    story = given(market(clock="event"), offer(group_ttl_s=60, hold_s=0))
    story.when(posted("o1", time="2026-01-01T00:00:10Z"), at=5_000)
    assert story.entries[0]["at"] == T0 + 10 * S
    story.when(ticked(time="2026-01-01T00:01:10Z")).then("group.expired", "clock.advanced")


def test_with_an_event_clock_what_cannot_be_read_moves_no_time() -> None:
    story = given(market(clock="event"), offer(group_ttl_s=60, hold_s=0), posted("o1"))
    story.when(b"?", at=5_000).then("malformed")
    story.when(posted("o2", "13812345678", time="2026-01-02T00:00:00Z")).then_refused(Reason.PERSONAL_DATA)
    assert story.entries[0]["at"] == T0


def test_with_an_event_clock_an_old_event_is_decided_at_the_time_reached() -> None:
    story = given(market(clock="event"), offer())
    story.when(posted("o1", time="2026-01-01T00:01:00Z"))
    story.when(posted("o2", time="2026-01-01T00:00:30Z"))
    assert story.entries[0]["at"] == T0 + 60 * S


def test_the_first_configuration_is_accepted_at_the_time_of_the_clock_that_it_names() -> None:
    early = "2020-01-01T00:00:00Z"
    story = given(configured=False).when(market(clock="event", time=early))
    story.then("market.set")
    assert story.entries[0]["at"] < T0
    given(configured=False).when(market(time=early)).then_refused(Reason.TOO_OLD)


# Deadlines are half-open


@pytest.mark.parametrize(("at_ns", "kinds"), [(-1, ["seat.confirmed"]), (0, ["seat.released", "refund.due"])])
def test_a_hold_is_over_at_its_end(at_ns: int, kinds: list[str]) -> None:
    story = given(offer(hold_s=10, size=3), posted("o1", payment=payment()), joined("o2"))
    assert story.one("seat.held")["hold_until"] == T0 + 10 * S
    story.when(paid("o2"), at=10, at_ns=at_ns).then(*kinds)


def test_a_group_is_over_at_its_deadline() -> None:
    story = given(offer(group_ttl_s=60, size=3), posted("o1", payment=payment()))
    group = story.group_of("o1")
    story.when(joined("o2", group=group), at=60, at_ns=-1).then("seat.held")
    story.when(joined("o3", group=group), at=60)
    story.then("seat.released", "group.expired", "refund.due", "refused")
    assert story.outcome["reason"] == "group_over"


def test_an_offer_opens_at_its_opening_and_is_closed_at_its_closing_time() -> None:
    times = {"opens_at": "2026-01-01T00:00:10Z", "closes_at": "2026-01-01T00:00:20Z"}
    story = given(offer(**times))
    story.when(posted(), at=10, at_ns=-1).then_refused(Reason.OFFER_NOT_OPEN_YET)
    story.when(posted(), at=10).then("group.opened", "seat.held")
    assert story.one("group.opened")["deadline"] == T0 + 20 * S
    story.when(posted(), at=20, at_ns=-1).then("group.opened", "seat.held")
    story.when(posted(), at=20)
    assert story.outcome["reason"] == "offer_closed"


# Order of what is due


def test_timers_go_by_time_and_then_by_order_of_creation() -> None:
    story = given(offer("slow", group_ttl_s=60, hold_s=0), offer("quick", group_ttl_s=30, hold_s=0))
    for order, name in (("o1", "slow"), ("o2", "quick"), ("o3", "slow"), ("o4", "quick")):
        story.when(posted(order, offer=name))
    story.when(ticked(), at=100)
    assert [d["seats"][0]["order"] for d in story.every("group.expired")] == ["o2", "o4", "o1", "o3"]


def test_what_is_due_is_done_before_the_event_and_in_entries_of_its_own() -> None:
    story = given(offer(group_ttl_s=60, hold_s=0), posted("o1"))
    story.when(posted("o2"), at=60).then("group.expired", "group.opened", "seat.confirmed")
    before, answer = story.entries
    assert ("publisher" in before, "publisher" in answer) == (False, True)
    assert (before["part"], answer["part"]) == (0, 1)
    assert before["at"] == answer["at"] == T0 + 60 * S


def test_in_a_batch_only_the_first_event_finds_work_due() -> None:
    story = given(offer(group_ttl_s=60, hold_s=0), posted("o1")).when([ticked(), ticked()], at=60)
    assert [(entry["index"], entry["part"]) for entry in story.entries] == [(0, 0), (0, 1), (1, 0)]


def test_a_void_timer_makes_no_entry() -> None:
    story = given(offer(hold_s=10, group_ttl_s=60), posted("o1"), joined("o2"), paid("o1"), paid("o2"))
    story.then("seat.confirmed", "group.filled")
    assert story.engine.next_due_ns() is None
    story.when(ticked(), at=100).then("clock.advanced")


# Pieces and pages


def _full(size: int) -> Scenario:
    """Return a group of 1,000 seats at most in which `size` members sit, unpaid ones included."""
    story = given(offer(size=1_000, group_ttl_s=60, hold_s=60), compared=False)
    story.when(posted("o0", payment=payment()))
    group = story.group_of("o0")
    for start in range(1, size, 500):
        orders = range(start, min(size, start + 500))
        story.when([joined(f"o{n}", group=group, payment=payment()) for n in orders])
    return story


def test_a_thousand_seats_expire_in_bounded_entries() -> None:
    story = _full(999).when(ticked(), at=60)
    pages = story.every("group.expired")
    assert [page.get("page", 1) for page in pages] == list(range(1, 33))
    assert {page["pages"] for page in pages} == {32}
    assert [len(page["seats"]) for page in pages] == [SEATS_PER_PAGE] * 31 + [7]
    assert [seat["order"] for page in pages for seat in page["seats"]] == [f"o{n}" for n in range(999)]
    assert len(story.every("refund.due")) == 999
    for entry in story.entries[:-1]:
        named = [seat["order"] for seat in entry["decisions"][0]["seats"]]
        assert [refund["order"] for refund in entry["decisions"][1:]] == named
        assert len(str(entry["decisions"])) < PIECE_MAX_BYTES
    assert story.entries[-1]["decisions"] == [{"kind": "clock.advanced"}]


def test_a_thousand_seats_are_filled_in_pages_after_the_entry_of_the_event_that_filled_them() -> None:
    story = _full(999).when(joined("last", payment=payment()))
    assert story.entries[0]["decisions"][0]["kind"] == "seat.confirmed"
    pages = story.every("group.filled")
    assert sum(len(page["seats"]) for page in pages) == 1_000
    assert ["publisher" in entry for entry in story.entries] == [True] + [False] * 31


def test_a_thousand_holds_that_end_with_their_group_are_released_in_bounded_entries() -> None:
    story = given(offer(size=1_000, group_ttl_s=60, hold_s=60), posted("o0", payment=payment()), compared=False)
    group = story.group_of("o0")
    for start in range(1, 1_000, 333):
        story.when([joined(f"o{n}", group=group) for n in range(start, start + 333)])
    story.when(ticked(), at=60)
    released = [len([d for d in entry["decisions"] if d["kind"] == "seat.released"]) for entry in story.entries]
    assert sum(released) == 999
    assert max(released) == SEATS_PER_PAGE
    assert all("promoted" not in decision for decision in story.every("seat.released"))
    assert [seat["order"] for seat in story.one("group.expired")["seats"]] == ["o0"]


def test_a_piece_names_at_most_32_seats_of_several_groups() -> None:
    story = given(offer(size=50, group_ttl_s=60, hold_s=0))
    for name in range(4):
        story.when(posted(f"o{name}-0"))
        group = story.group_of(f"o{name}-0")
        story.when([joined(f"o{name}-{seat}", group=group) for seat in range(1, 15)])
    story.when(ticked(), at=60)
    closed = [[len(d["seats"]) for d in entry["decisions"]] for entry in story.entries[:-1]]
    assert closed == [[15, 15], [15, 15]]


def test_a_piece_closes_at_most_a_hundred_groups_and_every_page_is_a_piece_of_its_own() -> None:
    story = given(offer(size=100, group_ttl_s=60, hold_s=0), posted("small"), posted("big"), posted("after"))
    big = story.group_of("big")
    story.when([joined(f"b{n}", group=big) for n in range(39)])
    story.when(ticked(), at=60)
    told = [[(d["seats"][0]["order"], len(d["seats"])) for d in entry["decisions"]] for entry in story.entries[:-1]]
    assert told == [[("small", 1)], [("big", 32)], [("b31", 8)], [("after", 1)]]
    assert SEATS_PER_PAGE < GROUPS_PER_PIECE


def test_a_groups_holds_end_first_and_its_closing_may_need_another_piece() -> None:
    story = given(offer(size=100, group_ttl_s=60, hold_s=60), posted("o1", payment=payment()))
    group = story.group_of("o1")
    story.when([joined(f"h{n}", group=group) for n in range(32)])
    story.when(ticked(), at=60)
    kinds = [[d["kind"] for d in entry["decisions"]] for entry in story.entries]
    assert kinds == [["seat.released"] * 32, ["group.expired", "refund.due"], ["clock.advanced"]]


def test_groups_of_a_withdrawn_offer_are_dissolved_after_its_entry_and_in_bounded_pieces() -> None:
    story = given(offer(hold_s=0))
    story.when([posted(f"o{n}") for n in range(70)])
    story.when(offer_withdrawn(open_groups="dissolve"))
    assert story.entries[0]["decisions"][0]["kind"] == "offer.listed"
    assert [len(entry["decisions"]) for entry in story.entries[1:]] == [32, 32, 6]
    assert [d["seats"][0]["order"] for d in story.every("group.dissolved")] == [f"o{n}" for n in range(70)]
    assert {d["cause"] for d in story.every("group.dissolved")} == {"offer_withdrawn"}


def test_the_engine_says_when_work_is_due_next() -> None:
    story = given(offer(group_ttl_s=60, hold_s=10, grace_s=5))
    assert story.engine.next_due_ns() is None
    story.when(posted("o1"))
    assert story.engine.next_due_ns() == T0 + 15 * S
    story.when(paid("o1"))
    assert story.engine.next_due_ns() == T0 + 60 * S


def test_a_restart_in_the_midst_of_pages_and_pieces_goes_on_with_the_next() -> None:
    """Every compared story tries a crash after each of its first entries: this one has every kind of due work."""
    story = given(offer("a", size=80, hold_s=60, group_ttl_s=60, grace_s=5), offer("b", hold_s=0, size=70))
    story.when(posted("a0", offer="a", payment=payment())).when(posted("b0", offer="b"))
    story.when([joined(offer="a", group=story.group_of("a0"), payment=payment()) for _ in range(35)])
    story.when([joined(offer="a", group=story.group_of("a0")) for _ in range(34)])
    story.when([joined(offer="b", group=story.group_of("b0")) for _ in range(35)])
    story.when([posted(offer="b") for _ in range(35)])
    story.when([ticked(), ticked()], at=60)
    story.when(offer_withdrawn("b", open_groups="dissolve"))
    assert len(story.entries) == 5
    assert len(story.every("group.dissolved")) == 37


# Names


def test_a_group_is_named_after_the_event_that_opened_it() -> None:
    story = given(offer()).when([posted("o1"), posted("o2")])
    assert [d["group"] for d in story.every("group.opened")] == ["g3-0", "g3-1"]


def test_a_refund_is_named_after_order_payment_and_what_it_returns() -> None:
    story = given(offer(size=2, tiers=[{"size": 2, "price_minor": 7_000}], fill_if_at_least=1, group_ttl_s=60))
    story.when(posted("o1", payment=payment(8_000, payment="p1")))
    story.when(joined("o2", payment=payment(8_000, payment="p2"), group=story.group_of("o1")))
    assert story.every("refund.due")[0]["refund"] == "r-" + _sha256("o1\np1\nprice_by_size")[:32]
    story.when(paid("o1", payment="p3"))
    assert story.one("refund.due")["refund"] == "r-" + _sha256("o1\np3\nwhole")[:32]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Forgetting

SHORT: dict[str, Any] = {"replay_window_s": 60, "future_slack_s": 0}
"""Identities are forgotten after a minute, and orders may be."""


def test_an_order_is_remembered_at_least_as_long_as_its_event_could_be_repeated() -> None:
    """Else its event, repeated with other bytes, would meet no order and owe back a payment that was honoured."""
    window = {"replay_window_s": 600, "future_slack_s": 30}
    story = given(market(order_memory_s=0, **window), offer(size=2, group_ttl_s=60))
    event = posted("o1", "m1", payment=payment())
    story.when(event).when(joined("o2", "m2", payment=payment(payment="p2"))).then("seat.confirmed", "group.filled")
    story.when(ticked(), at=200)
    story.when({**event, "time": "2026-01-01T00:00:01Z"}, at=300).then_nothing_but("refused", reason="id_reused")


def test_what_is_over_is_forgotten_after_its_time() -> None:
    story = given(market(order_memory_s=100, **SHORT), offer(group_ttl_s=60, hold_s=0), posted("o1", "m1"))
    group = story.group_of("o1")
    story.when(ticked(), at=60).then("group.expired", "clock.advanced")
    story.when(posted("o1", "m1"), at=160).then("duplicate")
    story.when(dissolved(group)).then_refused(Reason.GROUP_OVER)
    story.when(ticked(), at=160, at_ns=1)
    story.when(dissolved(group)).then_refused(Reason.GROUP_UNKNOWN)
    story.when(posted("o1", "m1")).then("group.opened", "seat.confirmed")


def test_a_shorter_memory_is_in_force_from_the_entry_that_configures_it() -> None:
    story = given(market(order_memory_s=10**6, **SHORT), offer(), posted("o1", "m1"))
    story.when(withdrawn("o1"))
    story.when(posted("o1", "m1"), at=70).then("duplicate")
    story.when(market(order_memory_s=65, **SHORT)).when(posted("o1", "m1")).then("group.opened", "seat.held")


def test_a_group_is_remembered_as_long_as_its_orders() -> None:
    """At most two orders are forgotten at once; the group of the others stays, for their terms stand in it."""
    story = given(market(order_memory_s=60, **SHORT), offer(size=6, hold_s=0, group_ttl_s=60), posted("o1", "m1"))
    story.when([joined(f"o{n}", f"m{n}") for n in range(2, 6)])
    group = story.group_of("o1")
    story.when(ticked(), at=60).then("group.expired", "clock.advanced")
    for reason in (Reason.GROUP_OVER, Reason.GROUP_OVER, Reason.GROUP_OVER, Reason.GROUP_UNKNOWN):
        story.when(dissolved(group), at=121).then_refused(reason)


def test_a_settled_refund_is_forgotten_and_an_unsettled_one_is_not() -> None:
    story = given(market(order_memory_s=100, **SHORT), offer(), paid("o8", payment="p8"), paid("o9", payment="p9"))
    refunds = [refund["refund"] for refund in story.due_refunds()]
    story.when(refund_settled(refunds[0]))
    story.when(ticked(), at=101)
    story.when(refund_settled(refunds[0])).then_refused(Reason.REFUND_UNKNOWN)
    story.when(refund_settled(refunds[1])).then("refund.closed")


def test_an_order_that_rejoined_is_not_forgotten_while_it_sits() -> None:
    story = given(
        market(order_memory_s=60, **SHORT), offer(hold_s=10, size=3, late_payment="rejoin", group_ttl_s=1_000)
    )
    story.when(posted("o1", payment=payment())).when(joined("o2"))
    story.when(paid("o2"), at=15).then("seat.released", "seat.confirmed")
    story.when(ticked(), at=900).when(ticked())
    story.when(completed(story.group_of("o2"))).then("group.filled")
    assert story.one("group.filled")["size"] == 2


def test_filled_orders_count_towards_the_limit_in_total_until_they_are_forgotten() -> None:
    story = given(market(order_memory_s=100, **SHORT), offer(size=2, count="units", hold_s=0, limit_total=2))
    story.when(posted("o1", "m1", quantity=2)).then("group.opened", "seat.confirmed", "group.filled")
    story.when(posted("o2", "m1")).then_refused(Reason.LIMIT_TOTAL)
    story.when(ticked(), at=101)
    story.when(posted("o2", "m1")).then("group.opened", "seat.confirmed")
