"""The loads of the benchmarks are decided as they are meant to be: who measures refusals measures nothing."""

import time
from collections import Counter

import pytest

from events import decisions as d
from events.play_decisions import AssistCounted, AssistHeld, AssistRefused
from events.record import decode_entry
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from tests.bench import traffic
from tests.bench.loads import LOADS, Load

KEY = b"k" * 32
EVENTS = 1_000


def _outcomes(load: Load) -> Counter[type[object]]:
    """Return what the events of a backlog come to; of its offers a few hundred are enough."""
    load = load._replace(offers=min(load.offers, 500))
    engine, outcomes = Engine("main", Facts(KEY)), Counter[type[object]]()
    setup = load.setup(EVENTS, KEY)
    for seq, (publisher, family, body) in enumerate([*setup, *load.backlog(EVENTS)], start=1):
        entries = engine.process(Message(seq, time.time_ns(), publisher, family, body))
        kinds = [type(one.decisions[0]) for one in map(decode_entry, entries) if one.publisher is not None]
        assert not {d.Refused, d.Malformed, d.Duplicate} & set(kinds), (family, body[:300])
        if seq > len(setup):
            outcomes.update(kinds)
    return outcomes


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_a_load_holds_so_many_events_and_none_is_refused(load: Load) -> None:
    outcomes = _outcomes(load)
    assert outcomes.total() == EVENTS
    assert outcomes[d.GroupOpened] > 0
    assert outcomes[AssistRefused] == 0
    assert (outcomes[d.SeatHeld] > 0) == load.holds
    assert (outcomes[AssistCounted] + outcomes[AssistHeld] == EVENTS // 2) == load.assists


def test_a_cheap_batch_holds_orders_like_the_others() -> None:
    engine = Engine("main", Facts(KEY))
    load = LOADS[0]
    told = [*load.setup(0, KEY), (traffic.PUBLISHER, "order", traffic.plain_batch(0, 100, prefix="u"))]
    for seq, (publisher, family, body) in enumerate(told, start=1):
        entries = engine.process(Message(seq, time.time_ns(), publisher, family, body))
    kinds = Counter(type(decode_entry(raw).decisions[0]) for raw in entries)
    assert set(kinds) == {d.GroupOpened, d.SeatConfirmed}
    assert kinds.total() == 100
