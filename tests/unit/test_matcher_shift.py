"""When the next record goes on its way: at once, unless the market is busy and nobody waits for an answer."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from events.record import decode_record
from events.subjects import GATEWAY, MIXED
from services.matcher import shift as shift_module
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.log import Standing
from services.matcher.shift import GATHER_S, Shift
from tests.builders import T0, S, encode_batch, market, offer, posted
from tests.ledger_records import MARKET
from tests.model.both import FACTS, ZONES

BUSY = 100


class Journal:
    """Takes every record at once."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def append(self, body: bytes, _own_hash: str) -> int:
        self.bodies.append(body)
        return len(self.bodies)


class Leading:
    """A shift over a market with one offer, whose clock stands still until told to move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = time.monotonic()
        monkeypatch.setattr(shift_module, "time", SimpleNamespace(monotonic=lambda: self.now_s))
        self.journal = Journal()
        self.seq = 0
        self.shift = Shift(
            MARKET,
            Engine(MARKET, FACTS, ZONES),
            Standing(),
            "intake",
            self.journal,
            lambda *_: None,  # type: ignore[arg-type]
        )

    def decide(self, publisher: str, family: str, body: bytes) -> None:
        self.seq += 1
        self.shift.decide([Message(self.seq, T0 + self.seq * S, publisher, family, body)])

    def decide_orders(self, count: int) -> None:
        orders = [posted(f"o-{self.seq}-{number}", member=f"m-{self.seq}-{number}") for number in range(count)]
        self.decide("shop-a", "order", encode_batch(orders, T0 + self.seq * S))

    async def commit(self) -> None:
        await self.shift.start_commit()
        await self.shift.settle()


@pytest.fixture
async def leading(monkeypatch: pytest.MonkeyPatch) -> Leading:
    made = Leading(monkeypatch)
    made.decide("operator", "market", encode_batch([market()], T0))
    made.decide("shop-a", "offer", encode_batch([offer()], T0))
    await made.commit()
    return made


async def test_a_busy_markets_record_waits_for_company_but_not_for_long(leading: Leading) -> None:
    leading.decide_orders(BUSY)
    assert leading.shift.gathers_for_s == pytest.approx(GATHER_S)
    leading.now_s += GATHER_S
    assert leading.shift.gathers_for_s == 0.0
    await leading.commit()
    assert len(decode_record(leading.journal.bodies[-1]).entries) == BUSY


async def test_a_few_events_go_at_once(leading: Leading) -> None:
    leading.decide_orders(2)
    assert leading.shift.gathers_for_s == 0.0


async def test_who_asks_the_gateway_is_not_made_to_wait_and_after_that_record_company_counts_again(
    leading: Leading,
) -> None:
    leading.decide_orders(BUSY)
    leading.decide(GATEWAY, MIXED, b"[]")
    assert leading.shift.gathers_for_s == 0.0
    await leading.commit()
    leading.decide_orders(BUSY)
    assert leading.shift.gathers_for_s > 0.0


async def test_nothing_is_gathered_while_a_record_is_on_its_way(leading: Leading) -> None:
    leading.decide_orders(BUSY)
    await leading.shift.start_commit()
    leading.decide_orders(BUSY)
    assert leading.shift.gathers_for_s == 0.0
    await asyncio.sleep(0)
    await leading.shift.settle()
    assert leading.shift.gathers_for_s > 0.0
