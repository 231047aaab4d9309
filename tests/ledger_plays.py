"""Histories of plays for the ledger, decided by the matcher itself."""

from pathlib import Path

import msgspec

from events.record import GENESIS, Record, Through, encode_record, hash_bytes
from services.ledger.store import LedgerStore
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.builders import SHOP, T0, JsonEvent, S, encode, family_of, play_market
from tests.ledger_records import INTAKE, MARKET, BuiltRecord, open_store
from tests.model.both import FACTS, ZONES


class PlayJournal:
    """A journal of what the engine decides, one record a message."""

    def __init__(self, *events: JsonEvent) -> None:
        self.engine = Engine(MARKET, FACTS, ZONES)
        self.records: list[BuiltRecord] = []
        self.at_ns = T0
        self._seq = 0
        self.add(play_market(), *events)

    def wait(self, seconds: float) -> "PlayJournal":
        """Let time pass before the next event."""
        self.at_ns += int(seconds * S)
        return self

    def add(self, *events: JsonEvent) -> "PlayJournal":
        """Let events be decided."""
        for event in events:
            self._seq += 1
            family = family_of(event)
            publisher = "operator" if family in ("market", "member") else SHOP
            body = encode(event, self.at_ns)
            entries = self.engine.process(Message(self._seq, self.at_ns, publisher, family, body))
            self._seal(Through(seq=self._seq, events=1, at=self.at_ns, hash=hash_bytes(body)), entries)
        return self

    def _seal(self, through: Through, entries: list[bytes]) -> None:
        record = Record(
            v=1,
            market=MARKET,
            prev=self.records[-1].hash if self.records else GENESIS,
            intake=INTAKE,
            rule=1,
            through=through,
            entries=[msgspec.Raw(raw) for raw in entries],
        )
        body = encode_record(record)
        self.records.append(BuiltRecord(self._seq, through.at, hash_bytes(body), body))

    def archive(self, data: Path) -> LedgerStore:
        """Return a ledger that holds the journal."""
        store = open_store(data)
        store.append(self.records)
        return store
