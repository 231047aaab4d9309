"""A matcher that goes on from another intake: what was due is committed under the old one, what comes under the new."""

from pathlib import Path
from typing import Any

import pytest

from events.record import GENESIS, Record, Through, decode_entry, decode_record, join_entries
from services.ledger.audit import audit
from services.ledger.audit_accounts import Check
from services.ledger.replay_check import replay_check
from services.ledger.replay_part import Source
from services.ledger.verify import verify
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.log import Standing
from services.matcher.records import RecordBuilder
from services.matcher.shift import Shift
from tests.builders import (
    T0,
    JsonEvent,
    S,
    encode,
    encode_batch,
    market,
    market_restored,
    offer,
    offer_withdrawn,
    posted,
)
from tests.ledger_records import MARKET, BuiltRecord, open_store
from tests.model.both import FACTS, ZONES

OLD, NEW = "intake-1", "intake-2"


class Journal:
    """A journal in memory, written as the matcher's is."""

    def __init__(self) -> None:
        self.records: list[BuiltRecord] = []

    async def append(self, body: bytes, own_hash: str) -> int:
        seq = len(self.records) + 1
        self.records.append(BuiltRecord(seq, T0, own_hash, body))
        return seq

    def decoded(self) -> list[Record]:
        return [decode_record(record.body) for record in self.records]


class NoIntake:
    """The old intake, which is lost."""

    async def message(self, seq: int, at_ns: int) -> Message:
        raise AssertionError(f"message {seq} is lost: nobody may need it")


def message(seq: int, publisher: str, family: str, *events: JsonEvent) -> Message:
    at = T0 + seq * S
    body = encode(events[0], at) if len(events) == 1 else encode_batch(list(events), at)
    return Message(seq, at, publisher, family, body)


async def go_on_after(told: list[Message], kept_entries: int) -> Journal:
    """Have the first entries that a matcher decides of `told` archived, lose the rest, go on from another intake."""
    journal = Journal()
    engine, builder, count = Engine(MARKET, FACTS, ZONES), RecordBuilder(MARKET, OLD, GENESIS), 0
    standing = Standing()
    for each in told:
        entries = engine.process(each)
        kept = entries[: max(0, kept_entries - count)]
        count += len(kept)
        if not kept:
            break
        builder.add(join_entries(kept), each, engine.state.position[1] + 1, 1)
        ready = builder.cut()
        seq = await journal.append(ready.body, ready.hash)
        standing = Standing(seq=seq, hash=ready.hash, intake=OLD, through=ready.through)
    follower = Engine(MARKET, FACTS, ZONES)
    for record in journal.decoded():
        for raw in record.entries:
            follower.evolve(raw)
    shift = Shift(MARKET, follower, standing, NEW, journal, lambda *_: None)  # type: ignore[arg-type]
    await shift.resume(NoIntake())  # type: ignore[arg-type]
    through: Through | None = standing.through
    assert through is not None
    decided = follower.state.decided[1] + 1
    act = market_restored(through.seq, OLD, NEW, lost_events=through.events - decided)
    shift.decide([message(through.seq + 1, "operator", "market", act)])
    shift.decide([message(through.seq + 2, "shop-a", "order", posted("o-new"))])
    await shift.flush()
    return journal


def check(folder: Path, journal: Journal) -> None:
    """The ledger takes every record, and finds nothing wrong with them."""
    with open_store(folder) as store:
        store.append(journal.records)
        assert verify(store).fault is None
        assert audit(store).checks[Check.NO_OUTCOME].faults == 0


def market_messages() -> list[Message]:
    return [message(1, "operator", "market", market()), message(2, "shop-a", "offer", offer(hold_s=0))]


async def test_what_comes_is_committed_under_the_new_intake(tmp_path: Path) -> None:
    told = [*market_messages(), message(3, "shop-a", "order", posted("o1"))]
    journal = await go_on_after(told, kept_entries=3)
    assert [record.intake for record in journal.decoded()] == [OLD, OLD, OLD, NEW]
    kinds = [str(decode_entry(raw).decisions[0].__struct_config__.tag) for raw in journal.decoded()[-1].entries]
    assert kinds == ["market.restored", "group.opened"]
    check(tmp_path, journal)
    with open_store(tmp_path) as store:
        assert replay_check(store, Source(FACTS, ZONES)).is_same


@pytest.mark.parametrize("kept", [1, 2, 3])
async def test_the_rest_of_the_last_batch_is_lost_and_told(kept: int, tmp_path: Path) -> None:
    batch = message(3, "shop-a", "order", *(posted(f"o{number}") for number in range(4)))
    journal = await go_on_after([*market_messages(), batch], kept_entries=2 + kept)
    act: Any = decode_entry(journal.decoded()[-1].entries[0]).decisions[0]
    assert (act.through, act.lost_events) == (3, 4 - kept)
    check(tmp_path, journal)


async def test_what_the_last_message_left_due_is_committed_under_the_old_intake(tmp_path: Path) -> None:
    orders = [message(seq, "shop-a", "order", posted(f"o{seq}")) for seq in range(3, 143)]
    told = [*market_messages(), *orders, message(143, "shop-a", "offer", offer_withdrawn(open_groups="dissolve"))]
    # The entry that takes the offer down is archived; the groups that are dissolved for it are due work after it.
    journal = await go_on_after(told, kept_entries=143)
    records = journal.decoded()
    assert [record.intake for record in records[-2:]] == [OLD, NEW]
    due = [decode_entry(raw) for raw in records[-2].entries]
    assert {(entry.seq, entry.publisher) for entry in due} == {(143, None)}
    assert records[-2].through == records[-3].through
    check(tmp_path, journal)
