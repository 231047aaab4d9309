"""A backlog: single events by the hundred thousand while no matcher runs, and how they are decided afterwards.

What is left of it is looked at record by record: a million entries at once would be a gigabyte of them.
"""

import asyncio
import signal
import time
from array import array
from typing import Any, Final

import msgspec
import nats.errors

from deploy.cli.delivered import count_results
from deploy.permissions import MATCHER, PROVISIONER
from deploy.reach import close_quietly, connect_as
from events import subjects
from events.outcomes import results_of
from events.record import decode_entry, decode_record
from events.times import format_time_ns
from services.bus.client import GroupBuyClient, new_event
from tests import builders as make
from tests.chaos.arena import MARKET, SHOPS, Arena
from tests.chaos.checks import deciding_again_leads_to_the_same, the_ledger_adds_up, the_ledger_verifies
from tests.chaos.evidence import Evidence, Violation, must
from tests.chaos.round import Result, until_done
from tests.chaos.shoppers import Memory

SHOP: Final = SHOPS[0]
OFFER: Final = "backlog"
WINDOW_MESSAGES: Final = 4_000
ACK_TIMEOUT_S: Final = 60.0
KILLS: Final = 2
DRAIN_PATIENCE_S: Final = 1_200.0
MEMBERS: Final = 100_000
_encode: Final = msgspec.json.Encoder().encode


async def play_backlog(arena: Arena, events: int, result: Result) -> None:
    """Pile up, drain with kills on the way, and check. Raises Violation."""
    await _list_offer(arena)
    async with arena.down(MATCHER):
        acknowledged = await _pile_up(arena, events)
        arena.say(f"{len(acknowledged)} events are in the intake")
    began_s = time.monotonic()
    for _ in range(KILLS):
        await asyncio.sleep(arena.chance.uniform(1.0, 3.0))
        await arena.send(MATCHER, signal.SIGKILL)
        arena.tally.faults["kill matcher"] += 1
    await until_done(arena, DRAIN_PATIENCE_S)
    result.notes["backlog_drained_s"] = round(time.monotonic() - began_s, 1)
    arena.tally.faults["backlog"] += 1
    result.events += events
    result.entries, results = await asyncio.to_thread(_every_event_is_decided_once, arena, acknowledged)
    async with arena.stack.connected(PROVISIONER) as client:
        told = await count_results(client, MARKET, results)
    must(told == results, f"{results} results are due to members, {told} are told")
    result.notes["results"] = results
    nothing = Evidence(Memory(), [], [], [], [])
    for check in (the_ledger_verifies, the_ledger_adds_up, deciding_again_leads_to_the_same):
        await asyncio.to_thread(check, arena, nothing)


async def _list_offer(arena: Arena) -> None:
    seed_file = arena.data / "keys" / f"{SHOP}.nk"
    url = arena.stack.address.nats_url
    async with await GroupBuyClient.connect(url, market=MARKET, publisher=SHOP, seed_file=seed_file) as client:
        offer = make.offer(OFFER, size=5, group_ttl_s=3_600, hold_s=0)
        await client.submit({**offer, "id": "offer-backlog", "time": format_time_ns(time.time_ns())})


async def _pile_up(arena: Arena, events: int) -> "array[int]":
    """Publish single events, many on the way at a time; return at which sequence each was acknowledged."""
    client = await connect_as(arena.data, arena.stack.address.nats_url, SHOP)
    subject, inbox = subjects.intake(MARKET, SHOP, "order"), client.new_inbox()
    acknowledged, left = array("Q", bytes(8 * events)), asyncio.Semaphore(WINDOW_MESSAGES)

    async def hear(message: Any) -> None:
        answer = msgspec.json.decode(message.data)
        must("seq" in answer, f"the intake does not take an event: {answer}")
        acknowledged[int(message.subject.rpartition(".")[2])] = answer["seq"]
        left.release()

    try:
        await client.subscribe(f"{inbox}.*", cb=hear)
        for number in range(events):
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await left.acquire()
            await client.publish(subject, _order(number), reply=f"{inbox}.{number}")
        async with asyncio.timeout(ACK_TIMEOUT_S):
            for _ in range(WINDOW_MESSAGES):
                await left.acquire()
    except (TimeoutError, nats.errors.Error) as error:
        raise Violation(f"the intake stops taking events: {type(error).__name__}") from None
    finally:
        await close_quietly(client)
    return acknowledged


def _order(number: int) -> bytes:
    order = {"order": f"bo-{number}", "member": f"bm-{number % MEMBERS}", "offer": OFFER, "lead": "if_needed"}
    return _encode(new_event("order.posted", order, "/backlog", event_id=f"b-{number}"))


def _every_event_is_decided_once(arena: Arena, acknowledged: "array[int]") -> tuple[int, int]:
    """Check each place in the intake against the archive; return how many entries and results there are."""
    number_at = {seq: number for number, seq in enumerate(acknowledged)}
    must(len(number_at) == len(acknowledged), "two events were acknowledged at one place")
    entries = results = 0
    with arena.ledger() as store:
        for record in store.records():
            for raw in decode_record(record.body).entries:
                entry = decode_entry(raw)
                entries += 1
                results += sum(1 for _ in results_of(entry))
                if entry.publisher == SHOP and entry.event is not None:
                    number = number_at.pop(entry.seq, None)
                    name = msgspec.json.decode(bytes(entry.event))["id"]
                    must(number is None or name == f"b-{number}", f"{entry.seq} is {name}, not b-{number}")
    must(not number_at, f"{len(number_at)} acknowledged events have no outcome: {sorted(number_at)[:3]}")
    return entries, results
