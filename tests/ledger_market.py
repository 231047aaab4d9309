"""Histories for the ledger that the matcher itself decided, from random inputs in a world where everything collides."""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from events.decode import Unreadable, split_message
from events.record import GENESIS, Record, Through, encode_record, hash_bytes
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.domain.state import State
from services.matcher.records import RecordBuilder
from tests.builders import SHOP, T0, JsonEvent, S, encode, family_of, market
from tests.ledger_records import INTAKE, MARKET, BuiltRecord
from tests.model.both import FACTS, MARKET_KEY, ZONES
from tests.model.inputs import Inputs
from tests.model.naive import NaiveMarket
from tests.model.naive_offers import Timezones

OFFICES: Final = {"market": "operator", "member": "operator", "dispute": "operator", "clock": "matcher"}
"""Who sends events of a family that shops do not send."""


class LongMemory(Inputs):
    """Markets that remember orders: a matcher that has forgotten an order takes its payment for an unknown one."""

    def _market(self) -> JsonEvent:
        event = super()._market()
        event["data"]["order_memory_s"] = 1_000_000
        return event


@lru_cache(maxsize=16)
def decided_records(seed: int, messages: int, clock: str = "broker", taste: str = "mixed") -> tuple[BuiltRecord, ...]:
    """Return the records of a random journal, made once."""
    return tuple(DecidedJournal(seed, clock, taste).messages(messages).seal())


def records_of(messages: Sequence[tuple[int, str, str, bytes]], per_record: int = 3) -> list[BuiltRecord]:
    """Return the records of what the engine decides of (broker time in ns, publisher, family, body), in order."""
    engine, builder, records = Engine(MARKET, FACTS, ZONES), RecordBuilder(MARKET, INTAKE, GENESIS), list[BuiltRecord]()
    for seq, (at_ns, publisher, family, body) in enumerate(messages, start=1):
        message = Message(seq, at_ns, publisher, family, body)
        builder.add(engine.decide(message), message, _events_in(body), 1)
        if seq % per_record == 0 or seq == len(messages):
            while not builder.is_empty:
                ready = builder.cut()
                records.append(BuiltRecord(len(records) + 1, at_ns, ready.hash, ready.body))
    return records


class Story:
    """A market told event by event: `story.at(60).tell(posted("o1"))`; times are seconds since its beginning."""

    def __init__(self, *events: JsonEvent) -> None:
        self.messages: list[tuple[int, str, str, bytes]] = []
        self._now_ns = T0
        self.tell(market(), by="operator").tell(*events)

    def at(self, seconds: float) -> "Story":
        """Let what is told next come so many seconds after the beginning."""
        self._now_ns = T0 + int(seconds * S)
        return self

    def tell(self, *events: JsonEvent, by: str | None = None) -> "Story":
        """Let events come, each in a message of its own; by default from who usually sends such."""
        for event in events:
            family = family_of(event)
            publisher = by or OFFICES.get(family, SHOP)
            self.messages.append((self._now_ns, publisher, family, encode(event, self._now_ns)))
        return self

    def records(self) -> list[BuiltRecord]:
        """Return what was decided, as the ledger gets it."""
        return records_of(self.messages)


class DecidedJournal:
    """Records of what the engine decides; a record ends where chance will have it, between entries of one batch too."""

    def __init__(self, seed: int, clock: str = "broker", taste: str = "mixed") -> None:
        self.records: list[BuiltRecord] = []
        self._random = random.Random(seed)
        self._engine = Engine(MARKET, FACTS, ZONES)
        self._naive = NaiveMarket(MARKET_KEY, Timezones(ZONES.names, ZONES.version))
        self._inputs = LongMemory(self._random.choice, clock, taste)
        self._seq = 0
        self._pending: list[bytes] = []
        self._feed(*self._inputs.configuration())

    @property
    def state(self) -> State:
        """What the engine knows."""
        return self._engine.state

    def messages(self, count: int) -> "DecidedJournal":
        """Let `count` random messages be decided."""
        for _ in range(count):
            self._feed(*self._inputs.message(self._naive.world))
        return self

    def _feed(self, at_ns: int, publisher: str, family: str, body: bytes) -> None:
        self._seq += 1
        self._naive.apply_body(self._seq, at_ns, publisher, family, body)
        entries = self._engine.process(Message(self._seq, at_ns, publisher, family, body))
        through = Through(seq=self._seq, events=_events_in(body), at=at_ns, hash=hash_bytes(body))
        for raw in entries:
            self._pending.append(raw)
            if self._random.random() < 0.2:
                self._seal(through)
        if self._pending and self._random.random() < 0.5:
            self._seal(through)
        elif self._pending:
            self._through = through

    def seal(self) -> list[BuiltRecord]:
        """Make a record of what is left, and return all."""
        if self._pending:
            self._seal(self._through)
        return self.records

    def _seal(self, through: Through) -> None:
        prev = self.records[-1] if self.records else None
        body = encode_record(
            Record(
                v=1,
                market=MARKET,
                prev=prev.hash if prev is not None else GENESIS,
                intake=INTAKE,
                rule=1,
                through=through,
                entries=[msgspec.Raw(raw) for raw in self._pending],
            )
        )
        self._pending = []
        seq = (prev.seq if prev is not None else 0) + self._random.choice([1, 1, 1, 2])
        self.records.append(BuiltRecord(seq, through.at, hash_bytes(body), body))


def _events_in(body: bytes) -> int:
    try:
        return len(split_message(body))
    except Unreadable:
        return 1
