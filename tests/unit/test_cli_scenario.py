"""The demo's day: what its members intend is sound, shaped like real records, and the same for the same seed."""

import random
from collections import Counter

import msgspec

from deploy.scenario import (
    CLOSED_NS,
    OPENS_NS,
    PUBLISHER,
    SELLING_S,
    Act,
    Scenario,
    configuration,
)
from events import decisions as d
from events.decode import decode_event
from events.order import OrderPaid, OrderPosted
from events.record import Entry
from events.registry import FAMILY_OF
from events.times import NS_PER_S

LAUNCHES = 4_000


def _all_acts(scenario: Scenario) -> list[Act]:
    return scenario.take_due(CLOSED_NS + 365 * 86_400 * NS_PER_S)


def _entry(*decisions: d.AnyDecision, at_ns: int = OPENS_NS) -> Entry:
    return Entry(seq=1, index=0, part=0, at=at_ns, decisions=list(decisions))


def test_the_same_seed_has_the_same_day_in_mind_and_another_seed_another() -> None:
    one, same, other = (msgspec.json.encode([a.event for a in _all_acts(Scenario(300, seed))]) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_every_event_is_one_that_the_market_reads_and_lets_the_shop_publish() -> None:
    scenario = Scenario(LAUNCHES, 3)
    allowed = configuration().publishers[PUBLISHER]
    acts = _all_acts(scenario)
    for event in [*scenario.offers, *(act.event for act in acts)]:
        decoded, _ = decode_event(msgspec.json.encode(event))
        assert FAMILY_OF[type(decoded)] in allowed
    for block in scenario.blocks():
        decode_event(msgspec.json.encode(block))


def test_acts_come_in_the_order_in_which_they_happen_and_each_once() -> None:
    scenario = Scenario(LAUNCHES, 4)
    taken: list[Act] = []
    until_ns = OPENS_NS
    while not scenario.is_over:
        until_ns += 600 * NS_PER_S
        taken += scenario.take_due(until_ns)
    assert [act.at_ns for act in taken] == sorted(act.at_ns for act in taken)
    assert len({act.event.id for act in taken}) == len(taken)


def test_as_many_groups_are_launched_as_asked_for_within_the_selling_hours() -> None:
    launches = [act for act in _all_acts(Scenario(LAUNCHES, 5)) if isinstance(act.event.data, OrderPosted)]
    assert len(launches) == LAUNCHES
    assert all(OPENS_NS <= act.at_ns < OPENS_NS + SELLING_S * NS_PER_S for act in launches)


def test_few_items_are_wanted_by_many_and_many_items_by_few() -> None:
    wanted = Counter(
        act.event.data.offer for act in _all_acts(Scenario(LAUNCHES, 6)) if isinstance(act.event.data, OrderPosted)
    )
    top = sum(count for _, count in wanted.most_common(len(wanted) // 10))
    assert top > 0.3 * LAUNCHES
    assert sum(count <= 5 for count in wanted.values()) > len(wanted) // 3


def test_members_pay_what_their_seat_costs_nearly_always_in_time_and_sometimes_in_every_wrong_way() -> None:
    scenario = Scenario(10, 7)
    _all_acts(scenario)
    hold_until = OPENS_NS + 900 * NS_PER_S
    for number in range(2_000):
        scenario.hear(
            _entry(
                d.SeatHeld(
                    group="g1-0",
                    order=f"o-{number}",
                    member="m1",
                    offer="item-0001",
                    payable_minor=990,
                    currency="CNY",
                    hold_until=hold_until,
                    publisher=PUBLISHER,
                )
            )
        )
    payments = [act for act in _all_acts(scenario) if isinstance(act.event.data, OrderPaid)]
    in_time = [act for act in payments if act.at_ns < hold_until and act.event.data.amount_minor == 990]
    assert len(in_time) > 1_800
    assert any(act.at_ns >= hold_until for act in payments)
    assert any(act.event.data.amount_minor != 990 for act in payments)
    assert len({act.event.data.order for act in payments}) < 2_000
    assert max(Counter(act.event.data.order for act in payments).values()) > 1


def test_every_refund_that_is_due_is_settled_in_the_end() -> None:
    scenario = Scenario(10, 8)
    _all_acts(scenario)
    for number in range(300):
        due = d.RefundDue(
            refund=f"r-{number}",
            order=f"o-{number}",
            payment=f"p-{number}",
            amount_minor=990,
            currency="CNY",
            cause="expired",
            publisher=PUBLISHER,
        )
        scenario.hear(_entry(due, at_ns=OPENS_NS + random.Random(number).randrange(NS_PER_S)))
    answers = [(act.event.data.refund, type(act.event.data).__name__) for act in _all_acts(scenario)]
    assert {refund for refund, kind in answers if kind == "RefundSettled"} == {f"r-{number}" for number in range(300)}
    assert any(kind == "RefundFailed" for _, kind in answers)


def test_the_days_last_event_lies_after_the_last_deadline() -> None:
    """The market's clock moves with its events alone, so without them the last groups would stay open."""
    scenario = Scenario(200, 9)
    longest_s = max(offer.data.group_ttl_s or 0 for offer in scenario.offers)
    assert _all_acts(scenario)[-1].at_ns > OPENS_NS + (SELLING_S + longest_s) * NS_PER_S
