"""What an open group of one seat takes is bounded: by the sizes of its objects, the same on every machine."""

import sys

from events.times import format_time_ns
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.bench import bench_growth, traffic
from tests.builders import T0
from tests.model.both import FACTS, ZONES

GROUPS = 2_000
OBJECTS_MAX_BYTES = 480
"""Order, group and the four ids."""
SNAPSHOT_MAX_BYTES = 420
"""Of a group in a snapshot: 404 now."""


def _engine(groups: int) -> Engine:
    engine, at = Engine("main", FACTS, ZONES), format_time_ns(T0)
    messages = [
        ("operator", "market", traffic.configuration(at)),
        (traffic.PUBLISHER, "offer", traffic.batches(traffic.offers(at=at), traffic.OFFERS)[0]),
        *(
            (traffic.PUBLISHER, "order", body)
            for body in traffic.batches(traffic.orders(groups, lead="always", at=at), 500)
        ),
    ]
    for seq, (publisher, family, body) in enumerate(messages, start=1):
        engine.process(Message(seq, T0, publisher, family, body))
    return engine


def test_a_group_of_one_seat_takes_few_bytes() -> None:
    engine = _engine(GROUPS)
    state = engine.state
    assert len(state.groups) == GROUPS
    order, group = next(iter(state.orders.values())), next(iter(state.groups.values()))
    shared = (order.order, order.member, order.paid_with, group.group)
    assert order.order is group.leader is group.sitting, "an id is there once"
    assert order.publisher is sys.intern(order.publisher)
    sizes = [sys.getsizeof(each) for each in (order, group, *shared)]
    assert sum(-(-size // 16) * 16 for size in sizes) <= OBJECTS_MAX_BYTES
    assert len(engine.snapshot()) / GROUPS <= SNAPSHOT_MAX_BYTES


def test_integers_that_many_share_are_there_once() -> None:
    # Compiled code makes a new one of each integer that it takes out of its object: four here would be 144 bytes.
    state = _engine(GROUPS).state
    (first, second, *_), order = state.groups.values(), next(iter(state.orders.values()))
    price_minor = state.offers[first.offer].editions[first.edition].terms.group_minor
    assert first.deadline is second.deadline
    assert order.entry is first.no
    assert order.payable_minor is price_minor
    assert order.paid_minor is price_minor


def test_growth_is_measured_over_groups_that_a_journal_opens() -> None:
    found = bench_growth.at_size(100)
    assert found["open_groups"] == 100
    assert found["us_per_event"] > 0
    assert found["snapshot_bytes_per_group"] > 0
