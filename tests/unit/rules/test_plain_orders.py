"""An order about which nothing is unusual is checked in one pass; what is decided is what the general rules decide.

How much that costs is bounded here as well: in calls and steps of the interpreter, which are the same on every
machine, never in seconds.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from events.decode import decode_batch, decode_event
from events.order import OrderTerms
from events.record import join_entries, split_entries
from events.times import format_time_ns
from services.matcher.domain import plain, seating
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.domain.state import State
from tests.bench import traffic
from tests.builders import T0
from tests.model.both import FACTS, MARKET_KEY, ZONES
from tests.model.inputs import TASTES, Inputs
from tests.model.naive import NaiveMarket
from tests.model.naive_offers import Timezones
from tests.ways import interpreted_only

MESSAGES = 500
CALLS_MAX = 27.5
"""Calls of Python functions for a plain order, its group filled as well: 27 now, 137 before there was this way."""
STEPS_OF_GENERAL_RULES = 0.75
"""0.71 now, 0.76 before a batch was read at once."""
STEPS_OF_READING_ALONE = 0.6
"""Steps to read an order in a batch of a hundred, as a share of those to read it alone: 0.55 now."""
STEPS_MORE_WITH_GROUPS = 1.1

RawMessage = tuple[int, str, str, bytes]


def _random_messages(seed: int, clock: str, taste: str) -> list[RawMessage]:
    chance = random.Random(seed)
    inputs = Inputs(chance.choice, clock, taste)
    naive = NaiveMarket(MARKET_KEY, Timezones(ZONES.names, ZONES.version))
    messages = [inputs.configuration()]
    naive.apply_body(1, *messages[0])
    for seq in range(2, MESSAGES + 2):
        messages.append(inputs.message(naive.world))
        naive.apply_body(seq, *messages[-1])
    return messages


def _decided(messages: list[RawMessage]) -> tuple[list[bytes], bytes]:
    engine = Engine("main", FACTS, ZONES)
    entries: list[bytes] = []
    for seq, message in enumerate(messages, start=1):
        entries += engine.process(Message(seq, *message))
    return entries, engine.snapshot()


def test_entries_that_are_encoded_together_are_the_same_bytes() -> None:
    alone, together = Engine("main", FACTS, ZONES), Engine("main", FACTS, ZONES)
    for seq, message in enumerate(_random_messages(11, "event", TASTES[0]), start=1):
        entries = together.decide(Message(seq, *message))
        assert join_entries(alone.process(Message(seq, *message))) == entries
        assert len(split_entries(entries)) == entries.count
    assert alone.snapshot() == together.snapshot()


@contextmanager
def _nothing_plain() -> Iterator[None]:
    """Have the general rules decide every order."""
    plain.UNUSUAL.insert(0, lambda *_: True)
    try:
        yield
    finally:
        del plain.UNUSUAL[0]


@pytest.fixture
def seen_plain() -> Iterator[list[str]]:
    """The orders that nothing but their seat may keep from being decided plainly."""
    seen: list[str] = []

    def note(_: State, order: OrderTerms) -> bool:
        seen.append(order.order)
        return False

    plain.UNUSUAL.append(note)
    yield seen
    plain.UNUSUAL.remove(note)


@pytest.mark.parametrize("taste", TASTES)
@pytest.mark.parametrize("clock", ["broker", "event"])
def test_plain_orders_are_decided_as_the_general_rules_decide_them(
    taste: str, clock: str, seen_plain: list[str]
) -> None:
    messages = _random_messages(7, clock, taste)
    entries, state = _decided(messages)
    assert len(seen_plain) > MESSAGES / 10, "the comparison means nothing where no order is plain"
    seen_plain.clear()
    with _nothing_plain():
        assert _decided(messages) == (entries, state)
    assert not seen_plain


def _market(groups: int) -> tuple[Engine, int]:
    """Return an engine with so many open groups, and the sequence of its last message."""
    engine = Engine("main", FACTS, ZONES)
    at = format_time_ns(T0)
    bodies = [
        ("operator", "market", traffic.configuration(at)),
        (traffic.PUBLISHER, "offer", traffic.batches(traffic.offers(at=at), 100)[0]),
    ]
    opening = traffic.orders(groups, lead="always", prefix="g", at=at)
    bodies += [(traffic.PUBLISHER, "order", body) for body in traffic.batches(opening, 500)]
    for seq, (publisher, family, body) in enumerate(bodies, start=1):
        engine.process(Message(seq, T0, publisher, family, body))
    assert len(engine.state.groups) == groups
    return engine, len(bodies)


def _cost(engine: Engine, seq: int, events: list[bytes]) -> tuple[float, float]:
    """Return (calls of Python functions, steps of the interpreter) that an event takes."""
    messages = [
        Message(seq + number, T0, traffic.PUBLISHER, "order", body)
        for number, body in enumerate(traffic.batches(events, 100), start=1)
    ]
    engine.process(messages[0])  # what is remembered once, the time of the batch, is not counted
    counted = _counted(lambda: [engine.decide(message) for message in messages[1:]])
    events_counted = 100 * (len(messages) - 1)
    return counted["call"] / events_counted, counted["opcode"] / events_counted


def _counted(act: Callable[[], Any]) -> Counter[str]:
    """Do something and return how many calls and steps of the interpreter that took."""
    counted: Counter[str] = Counter()

    def trace(frame: FrameType, kind: str, _: Any) -> Any:
        counted[kind] += 1
        if kind == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return counted


def _steps(act: Callable[[], Any]) -> int:
    act()  # what is remembered once is not counted
    return _counted(act)["opcode"]


def _plain_orders(prefix: str) -> list[bytes]:
    return traffic.orders(600, prefix=prefix, at=format_time_ns(T0))


@interpreted_only
def test_a_plain_order_costs_a_few_calls() -> None:
    engine, seq = _market(groups=50)
    calls, steps = _cost(engine, seq, _plain_orders("p"))
    assert calls <= CALLS_MAX
    engine, seq = _market(groups=50)
    with _nothing_plain():
        _, general_steps = _cost(engine, seq, _plain_orders("p"))
    assert steps <= STEPS_OF_GENERAL_RULES * general_steps


@interpreted_only
def test_an_order_is_read_in_a_batch_for_little_more_than_half_of_what_it_costs_alone() -> None:
    raws = _plain_orders("p")[:100]
    together = _steps(lambda: decode_batch(raws))
    alone = _steps(lambda: [decode_event(raw) for raw in raws])
    assert decode_batch(raws) == [decode_event(raw) for raw in raws]
    assert together <= STEPS_OF_READING_ALONE * alone


@interpreted_only
def test_an_order_costs_the_same_however_many_groups_are_open() -> None:
    few, many = _market(groups=500), _market(groups=30_000)
    few_calls, few_steps = _cost(*few, _plain_orders("p"))
    calls, steps = _cost(*many, _plain_orders("p"))
    assert steps <= STEPS_MORE_WITH_GROUPS * few_steps
    assert calls <= STEPS_MORE_WITH_GROUPS * few_calls


@interpreted_only
def test_seats_are_taken_by_one_function_whichever_way_an_order_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    seated: list[str] = []
    sit_down = seating.sit_down

    def counted(turn: Any, data: OrderTerms, *rest: Any) -> Any:
        seated.append(data.order)
        return sit_down(turn, data, *rest)

    monkeypatch.setattr(seating, "sit_down", counted)
    engine, seq = _market(groups=10)
    engine.process(Message(seq + 1, T0, traffic.PUBLISHER, "order", _plain_orders("a")[0]))
    with _nothing_plain():
        engine.process(Message(seq + 2, T0, traffic.PUBLISHER, "order", _plain_orders("b")[0]))
    assert [order[0] for order in seated[-2:]] == ["a", "b"]
