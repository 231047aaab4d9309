"""Ledgers of markets with disputes, decided by the engine from a list of events."""

from pathlib import Path
from typing import Any, Final

import msgspec

from events.record import GENESIS, Record, Through, encode_record, hash_bytes
from events.times import NS_PER_S
from services.ledger.checkpoint import origin_of
from services.ledger.checkpointing import make_checkpoint
from services.ledger.log_key import ensure_log_key, log_key_file
from services.ledger.note import SigningKey
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.builders import (
    SHOP,
    T0,
    JsonEvent,
    answered,
    claimed,
    encode,
    family_of,
    joined,
    market,
    offer,
    payment,
    posted,
)
from tests.ledger_records import INTAKE, MARKET, BuiltRecord, open_store
from tests.model.both import FACTS, MARKET_KEY, ZONES

_AT: Final = "at_s"
_OFFICES: Final = {"market": "operator", "dispute": "operator", "clock": "matcher"}
ORIGIN: Final = origin_of("localhost", MARKET)


def at(seconds: int, event: JsonEvent) -> JsonEvent:
    """Return an event for `decided` that comes so many seconds after the beginning."""
    return {**event, _AT: seconds}


def decided(*events: JsonEvent, configured: JsonEvent | None = None, **configuration: Any) -> list[BuiltRecord]:
    """The records of a market, `configured` or so, in which these events came, a second apart."""
    engine, records = Engine(MARKET, FACTS, ZONES), list[BuiltRecord]()
    at_ns = T0
    for seq, event in enumerate((configured or market(**configuration), *events), 1):
        event, family = dict(event), family_of(event)
        at_ns = max(at_ns + NS_PER_S, T0 + event.pop(_AT, 0) * NS_PER_S)
        publisher = _OFFICES.get(family, SHOP)
        body = encode(event, at_ns)
        entries = engine.process(Message(seq, at_ns, publisher, family, body))
        record = Record(
            v=1,
            market=MARKET,
            prev=records[-1].hash if records else GENESIS,
            intake=INTAKE,
            rule=1,
            through=Through(seq=seq, events=1, at=at_ns, hash=hash_bytes(body)),
            entries=[msgspec.Raw(raw) for raw in entries],
        )
        raw = encode_record(record)
        records.append(BuiltRecord(seq, at_ns, hash_bytes(raw), raw))
    return records


FILLED = (
    offer(),
    posted("o1", "m-1", payment=payment(payment="p1")),
    joined("o2", "m-2", payment=payment(payment="p2")),
    claimed("o1", "m-1"),
    answered(),
)


def signed_ledger(data: Path, records: list[BuiltRecord]) -> SigningKey:
    """Archive records under a data directory, with its keys and a signed checkpoint; return the log's key."""
    key = ensure_log_key(log_key_file(data, MARKET), ORIGIN)
    (data / "keys" / f"market-{MARKET}.key").write_text(f"{MARKET_KEY.hex()}\n")
    with open_store(data, market_key=MARKET_KEY) as store:
        store.append(records)
        make_checkpoint(store, key)
    return key
