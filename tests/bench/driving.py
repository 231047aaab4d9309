"""What the benchmarks of the running service share: a stack, a backlog, requests in flight, processor time.

Rates are taken from the broker's own timestamps of the journal: the first record's entries and the time before it
(starting the process) do not count.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Raw
from nats.aio.client import Client

from deploy.permissions import LEDGER, MATCHER, NOTIFIER, PROVISIONER
from deploy.plan import SERVICES, StackPlan
from deploy.stack import Stack
from deploy.stack_files import ensure_market_key
from deploy.supervisor import ServiceChild
from events import subjects
from events.record import decode_entry, decode_record
from services.bus.wire import wire_of
from tests.bench import traffic
from tests.bench.lags import metrics_of
from tests.bench.loads import Load, Said

MARKET: Final = "main"
ATOMIC_BATCH: Final = 500
ENTRY_HEAD_BYTES: Final = 160
PATIENCE_S: Final = 300
LEVEL_POLL_S: Final = 0.1


class Span(NamedTuple):
    """Events answered in a stretch of the journal, from the moment of one record to that of another, in s."""

    events: int
    begun_s: float
    ended_s: float


@asynccontextmanager
async def running_stack(services: tuple[str, ...] = SERVICES, nodes: int = 1) -> AsyncIterator[Stack]:
    """Run a stack of its own in a temporary folder, over one broker or a cluster of several."""
    cluster: dict[str, Any] = {"nodes": nodes} if nodes > 1 else {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with stack_over(StackPlan(data=Path(folder), market=MARKET, services=services, **cluster)) as stack:
            yield stack


@asynccontextmanager
async def stack_over(plan: StackPlan) -> AsyncIterator[Stack]:
    """Run a stack as planned."""
    async with Stack(plan, lambda _: None) as stack:
        yield stack


async def backlog_per_s(load: Load, events: int, module: str | None = None) -> float:
    """Return decided events a second from a backlog of `load`, one matcher; `module` is run in its place."""
    async with running_stack(services=(MATCHER,)) as stack:
        return per_s([await decide_backlog(stack, load, events, module)])


async def decide_backlog(
    stack: Stack, load: Load, events: int, module: str | None = None, gate: asyncio.Barrier | None = None
) -> Span:
    """Lay a backlog before a matcher that stands still, let it run, and return the stretch of its journal.

    With `gate` several that do the same let their matchers run at one moment.
    """
    async with stack.connected(PROVISIONER) as client:
        await configure(stack, load, events)
        await wait_decided(client, stack.market)
        skip = (await journal_state(client, stack.market)).last_seq
        matcher = matcher_of(stack)
        await matcher.stop()
        if module is not None:
            matcher.module = module
        await publish_backlog(stack, load.backlog(events))
        if gate is not None:
            await gate.wait()
        await matcher.start()
        await wait_decided(client, stack.market)
        return await journal_span(client, stack.market, skip)


def matcher_of(stack: Stack) -> ServiceChild:
    """Return the matcher's process."""
    found = next(child for child in stack.supervisor.children if child.name == MATCHER)
    assert isinstance(found, ServiceChild)
    return found


def per_s(spans: Sequence[Span]) -> float:
    """Return events a second of stretches that ran at the same time."""
    took_s = max(span.ended_s for span in spans) - min(span.begun_s for span in spans)
    return sum(span.events for span in spans) / took_s


async def configure(stack: Stack, load: Load, events: int = 0) -> None:
    """Have the market configured and list what the load's events are for."""
    key_file = ensure_market_key(stack.data, stack.market)
    said = load.setup(events, bytes.fromhex(key_file.read_text().strip()))
    for publisher in dict.fromkeys(publisher for publisher, _, _ in said):
        async with stack.connected(publisher) as client:
            for _, family, body in (one for one in said if one[0] == publisher):
                await client.jetstream().publish(subjects.intake(stack.market, publisher, family), body)


async def publish_backlog(stack: Stack, messages: list[Said]) -> None:
    """Publish a backlog as fast as the broker takes it: in its own atomic batches."""
    async with stack.connected(traffic.PUBLISHER) as client:
        for first in range(0, len(messages), ATOMIC_BATCH):
            chunk = messages[first : first + ATOMIC_BATCH]
            for place, (publisher, family, body) in enumerate(chunk, start=1):
                headers = {"Nats-Batch-Id": f"b{first}", "Nats-Batch-Sequence": str(place)}
                subject = subjects.intake(stack.market, publisher, family)
                if place < len(chunk):
                    await client.publish(subject, body, headers=headers)
                else:
                    await client.request(subject, body, timeout=30, headers=headers | {"Nats-Batch-Commit": "1"})


async def journal_state(client: Client, market: str = MARKET) -> Any:
    """Return where the journal stands."""
    return (await client.jetstream().stream_info(subjects.journal_stream(market))).state


async def wait_decided(client: Client, market: str = MARKET) -> None:
    """Wait until everything in the intake is covered by a record."""
    jetstream = client.jetstream()
    target = (await jetstream.stream_info(subjects.intake_stream(market))).state.last_seq
    until, seen_seq = time.monotonic() + PATIENCE_S, 0
    while time.monotonic() < until:
        state = await journal_state(client, market)
        # A record may have 4 MiB: only one that nothing has followed for a while is fetched, not to disturb the rest.
        seen_seq, was_seq = state.last_seq, seen_seq
        if seen_seq and seen_seq == was_seq:
            found = await jetstream.get_msg(subjects.journal_stream(market), seq=state.last_seq)
            record = decode_record(found.data or b"")
            last = decode_entry(record.entries[-1])
            if record.through.seq >= target and last.index == record.through.events - 1:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError("the backlog is not decided in time")


async def journal_span(client: Client, market: str, skip: int) -> Span:
    """Return the stretch of the records after `skip`, the first of them only as the start."""
    jetstream = client.jetstream()
    stream = subjects.journal_stream(market)
    last_seq = (await journal_state(client, market)).last_seq
    events, times = 0, []
    for seq in range(skip + 1, last_seq + 1):
        found = await jetstream.get_msg(stream, seq=seq)
        assert found.time is not None
        times.append(found.time.timestamp())
        if seq > skip + 1:
            events += sum(map(_is_answer, decode_record(found.data or b"").entries))
    assert len(times) > 1, "a rate needs two records: the backlog is too small"
    return Span(events, times[0], times[-1])


def _is_answer(entry: Raw) -> bool:
    """Tell whether an entry answers an event; timers and pages have no publisher, which stands before the event."""
    return b'"publisher":' in memoryview(entry)[:ENTRY_HEAD_BYTES].tobytes()


def cpu_of_each_s(stack: Stack) -> dict[str, float]:
    """Return the processor time of each process of the stack, by its name."""
    return {child.name: cpu_s(child.pid) for child in stack.supervisor.children if child.pid is not None}


def cpu_s(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def submits_per_s(stack: Stack, in_flight: int, submits: int, prefix: str = "s") -> float:
    """Return single joins a second through the gateway with so many requests in flight.

    They are sent and their answers taken by the short way, as the services do: the client library would take a tenth
    of what all processes together spend on a request.
    """
    async with stack.connected(traffic.PUBLISHER) as client:
        events = traffic.orders(submits, prefix=prefix)
        subject = subjects.submit(stack.market, traffic.PUBLISHER, "order")
        inbox = client.new_inbox()
        wire = wire_of(client)
        answered = 0
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = iter(events)

        def answer(_subject: bytes, _reply: bytes, _head: bytes, body: bytes) -> None:
            nonlocal answered
            if done.done():
                return
            if b'"outcomes"' not in body[:32]:
                done.set_exception(AssertionError(body[:200]))
                return
            answered += 1
            if answered == len(events):
                done.set_result(None)
            elif (event := next(waiting, None)) is not None:
                wire.send(subject, event, inbox)

        await wire.subscribe(inbox, answer)
        await client.flush()
        begun_s = time.perf_counter()
        for _ in range(in_flight):
            wire.send(subject, next(waiting), inbox)
        await asyncio.wait_for(done, PATIENCE_S)
        return len(events) / (time.perf_counter() - begun_s)


async def wait_level(stack: Stack) -> None:
    """Wait until everything published is decided, archived and told. Raises TimeoutError."""
    async with stack.connected(PROVISIONER) as client:
        await wait_decided(client, stack.market)
        last_record = (await journal_state(client, stack.market)).last_seq
    assert last_record, "something was decided"
    channels = subjects.outcomes_stream(stack.market), subjects.results_stream(stack.market)
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        ledger, notifier = await asyncio.gather(*(metrics_of(stack, name) for name in (LEDGER, NOTIFIER)))
        told = [notifier[f"groupbuy_notifier_record {channel}"] for channel in channels]
        if min(ledger["groupbuy_ledger_record"], *told) >= last_record:
            return
        await asyncio.sleep(LEVEL_POLL_S)
    raise TimeoutError(f"the ledger or the notifier of {subjects.journal_stream(stack.market)} is stuck")
