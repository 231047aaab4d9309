"""What an order costs on its way through the services, in calls and steps of the interpreter: never in seconds.

From the bytes of the intake to those of the record, from the record to the archive with its tree, and from the record
to the messages for members and publishers. The calls are the same on every machine.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import pytest

from events.record import GENESIS, decode_record
from events.times import format_time_ns
from services.bus.journal import FollowedRecord
from services.ledger.store import LedgerStore
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.records import ReadyRecord, RecordBuilder
from services.matcher.zones import pinned_zones
from services.notifier.letters import Mail, mail_of
from tests.bench import traffic
from tests.builders import T0
from tests.ledger_records import BuiltRecord
from tests.ways import interpreted_only

MARKET = "main"
KEY = bytes(range(32))
AT = format_time_ns(T0)
BATCH = 100
ORDERS = 500
CALLS_MAX = {"decide": 30, "archive": 13, "tell": 13}
"""For an order, its share of what each batch, group and record costs included: 27, 12 and 12 now."""
STEPS_MAX = {"decide": 2_100, "archive": 1_090, "tell": 610}
"""1,770, 910 and 510 now, with Python 3.11; other versions cut the same code into other steps."""


class Cost(NamedTuple):
    """Calls of Python functions, and steps of the interpreter."""

    calls: int
    steps: int


def cost_of(action: Callable[[], object]) -> Cost:
    """Return what an action costs."""
    calls = steps = 0

    def trace(frame: FrameType, kind: str, _: Any) -> Any:
        nonlocal calls, steps
        if kind == "call":
            calls += 1
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif kind == "opcode":
            steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return Cost(calls, steps)


class Market:
    """A matcher's rules and the records that they make, without a broker."""

    def __init__(self) -> None:
        self._engine = Engine(MARKET, Facts(KEY), pinned_zones())
        self._builder = RecordBuilder(MARKET, "intake", GENESIS)
        self._seq = 0
        self.records = 0
        self.decide("operator", "market", traffic.configuration(AT))
        self.decide(traffic.PUBLISHER, "offer", traffic.batches(traffic.offers(at=AT), traffic.OFFERS)[0])

    def decide(self, publisher: str, family: str, body: bytes) -> None:
        """Decide a message that arrives a little later than the one before."""
        self._seq += 1
        message = Message(self._seq, T0 + self._seq, publisher, family, body)
        entries = self._engine.decide(message)
        self._builder.add(entries, message, max(1, entries.count), 1)

    def record(self) -> BuiltRecord:
        """Return the next record, with everything decided so far."""
        ready: ReadyRecord = self._builder.cut()
        assert self._builder.is_empty
        self.records += 1
        return BuiltRecord(self.records, T0 + self._seq, ready.hash, ready.body)

    def decide_orders(self, prefix: str) -> BuiltRecord:
        """Decide orders in batches and return their record."""
        for body in traffic.batches(traffic.orders(ORDERS, prefix=prefix, at=AT), BATCH):
            self.decide(traffic.PUBLISHER, "order", body)
        return self.record()


def _followed(record: BuiltRecord) -> FollowedRecord:
    return FollowedRecord(record.seq, record.at_ns, record.hash, record.body, decode_record(record.body))


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    """What a few hundred orders cost each service, once each has seen some."""
    market, folder = Market(), tmp_path_factory.mktemp("ledger")
    first = [market.record(), market.decide_orders("a")]
    bodies = traffic.batches(traffic.orders(ORDERS, prefix="b", at=AT), BATCH)
    found: dict[str, Cost] = {}
    found["decide"] = cost_of(lambda: [market.decide(traffic.PUBLISHER, "order", body) for body in bodies])
    record = market.record()
    with LedgerStore.open("sqlite:", MARKET, data_dir=folder, identity="journal", market_key=KEY) as store:
        store.append(first)
        found["archive"] = cost_of(lambda: store.append([record]))
        assert store.tip is not None and store.tip.seq == record.seq
    mail_of(_followed(first[-1]))
    mails: list[Mail] = []
    found["tell"] = cost_of(lambda: mails.append(mail_of(_followed(record))))
    told = sum(letter.tells for letter in mails[0].results.letters)
    assert told >= 1.9 * ORDERS, "each order is seated, and nearly each hears that its group is filled"
    return found


@interpreted_only
@pytest.mark.parametrize("service", ["decide", "archive", "tell"])
def test_an_order_costs_each_service_a_bounded_number_of_calls_and_steps(service: str, costs: dict[str, Cost]) -> None:
    calls, steps = costs[service]
    assert calls / ORDERS <= CALLS_MAX[service]
    assert steps / ORDERS <= STEPS_MAX[service]
