"""A running cluster, publishers that retry, and what must hold in the end whatever happened."""

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from deploy.first_run import first_configuration, set_up_market
from deploy.permissions import LEDGER, MATCHER, PROVISIONER
from deploy.plan import SERVICES, StackPlan
from deploy.reach import http_get
from deploy.stack import Stack
from events import subjects
from events.offer import OfferPublished
from events.record import Record, decode_entry, decode_record, entry_id, hash_bytes
from events.times import format_time_ns
from services.bus.client import GroupBuyClient, new_event
from tests.cluster.ways import Ways

T = TypeVar("T")
ROOT: Final = Path(__file__).resolve().parents[2]
PUBLISHER: Final = "local"
SOURCE: Final = "/cluster-test"
OFFER: Final = "tea"
PATIENCE_S: Final = 90.0
POLL_S: Final = 0.02
_LEADS: Final = re.compile(rb"^groupbuy_matcher_leads(?:\{[^}]*\})? 1\.0$", re.MULTILINE)


@asynccontextmanager
async def running_cluster(
    folder: Path, *, nodes: int = 3, copies: int = 2, services: tuple[str, ...] = SERVICES
) -> AsyncIterator["Cluster"]:
    """Run a cluster over a folder, its market configured and with one offer of groups of three."""
    ways = Ways()
    said: list[str] = []
    plan = StackPlan(data=folder, nodes=nodes, copies=copies, services=services, way=ways.between)
    stack = Stack(plan, said.append)
    try:
        await stack.start()
        now = format_time_ns(time.time_ns())
        offer = OfferPublished(offer=OFFER, size=3, solo_minor=1290, group_minor=990, merge="allowed")
        await set_up_market(stack, now, first_configuration([PUBLISHER]), [offer])
        yield Cluster(stack, ways, said)
    finally:
        await stack.stop()
        await ways.close()


class Cluster:
    """A running stack of several brokers and copies, with what tests ask of it."""

    def __init__(self, stack: Stack, ways: Ways, said: list[str]) -> None:
        self.stack = stack
        self.ways = ways
        self.said = said

    async def leaders(self) -> list[str]:
        """Return the matchers that believe that they lead."""
        found = []
        for name, url in self.stack.address.services.items():
            if name.partition("-")[0] == MATCHER:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    _, body = await http_get(f"{url}/metrics")
                    if _LEADS.search(body):
                        found.append(name)
        return found

    async def leader(self) -> str:
        """Return the matcher that leads, once one does."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            if found := await self.leaders():
                return found[0]
            await asyncio.sleep(POLL_S)
        raise AssertionError("no matcher leads")

    async def until_standing_by(self) -> None:
        """Wait until all matchers are up and one of them leads."""
        matchers = [name for name in self.stack.address.services if name.partition("-")[0] == MATCHER]
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                sentences = [(await self.health(name))["checks"]["matcher"]["sentence"] for name in matchers]
                if sum("standing by" in sentence for sentence in sentences) == len(matchers) - 1:
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"the matchers do not settle: {sentences}")

    async def health(self, name: str) -> dict[str, Any]:
        """Return what a service says of itself."""
        _, body = await http_get(f"{self.stack.address.services[name]}/healthz")
        found: dict[str, Any] = json.loads(body)
        return found

    def pid(self, name: str) -> int:
        """Return the process id of a child."""
        pid = next(child.pid for child in self.stack.supervisor.children if child.name == name)
        assert pid is not None, f"{name} runs"
        return pid

    async def ask(self, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        """Ask the brokers something, as the provisioner, until they answer."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with self.stack.connected(PROVISIONER) as client:
                    return await question(client.jetstream(timeout=2))
            # Not found as well: each question is a new connection, and may come to a node that is cut off.
            except (nats.errors.Error, TimeoutError, OSError) as error:
                if time.monotonic() > until_s:
                    raise AssertionError(f"the brokers do not answer: {error!r}") from error
                await asyncio.sleep(POLL_S)

    async def node_that_leads(self, stream: str) -> int:
        """Return the number of the broker node that leads a stream, once one does."""
        while True:
            info = await self.ask(lambda jetstream: jetstream.stream_info(stream))
            if info.cluster is not None and info.cluster.leader:
                return int(info.cluster.leader.rpartition("-")[2])
            await asyncio.sleep(POLL_S)

    async def is_replicated(self, stream: str) -> bool:
        """Tell whether every node holds all of a stream."""
        try:
            async with self.stack.connected(PROVISIONER) as client:
                info = await client.jetstream(timeout=2).stream_info(stream)
        except (nats.errors.Error, TimeoutError, OSError):
            return False
        peers = info.cluster.replicas if info.cluster is not None and info.cluster.replicas is not None else []
        return len(peers) == self.stack.plan.nodes - 1 and all(peer.current and not peer.offline for peer in peers)

    async def last_seq(self, stream: str) -> int:
        """Return where a stream ends."""
        info = await self.ask(lambda jetstream: jetstream.stream_info(stream))
        return info.state.last_seq

    async def _record(self, seq: int) -> RawStreamMsg:
        name = subjects.journal_stream(self.stack.market)
        return await self.ask(lambda jetstream: jetstream.get_msg(name, seq=seq))

    async def record_times_s(self, after_seq: int) -> list[tuple[int, float]]:
        """Return (sequence, when the broker stored it) of each record after a sequence."""
        found = []
        for seq in range(after_seq + 1, await self.last_seq(subjects.journal_stream(self.stack.market)) + 1):
            message = await self._record(seq)
            assert message.time is not None
            found.append((seq, message.time.timestamp()))
        return found

    async def journal(self) -> list[Record]:
        """Return every record, after checking that each names the one before."""
        records: list[Record] = []
        name, prev = subjects.journal_stream(self.stack.market), "0" * 64
        last_seq = await self.last_seq(name)
        async with self.stack.connected(PROVISIONER) as client:
            jetstream = client.jetstream(timeout=10)
            for seq in range(1, last_seq + 1):
                try:
                    body = (await jetstream.get_msg(name, seq=seq)).data or b""
                except NotFoundError:
                    continue
                record = decode_record(body)
                assert record.prev == prev, f"record {seq} does not name the one before"
                prev = hash_bytes(body)
                records.append(record)
        return records

    async def until_all_decided(self) -> None:
        """Wait until every message of the intake is covered by a record, whole."""
        intake, journal = (name(self.stack.market) for name in (subjects.intake_stream, subjects.journal_stream))
        target = await self.last_seq(intake)
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            found = await self._record(await self.last_seq(journal))
            record = decode_record(found.data or b"")
            if record.through.seq >= target and decode_entry(record.entries[-1]).index == record.through.events - 1:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"message {target} is not decided after {PATIENCE_S} s: {self.said}")

    async def until_level(self) -> None:
        """Wait until every service that follows the journal has reached its end."""
        until_s = time.monotonic() + PATIENCE_S
        last_seq = await self.last_seq(subjects.journal_stream(self.stack.market))
        names = [name for name in self.stack.address.services if name.partition("-")[0] == LEDGER]
        while names and time.monotonic() < until_s:
            _, body = await http_get(f"{self.stack.address.services[names[0]]}/metrics")
            found = re.search(rb"^groupbuy_ledger_record (\S+)$", body, re.MULTILINE)
            if found is not None and float(found[1]) >= last_seq:
                names.pop()
            await asyncio.sleep(POLL_S)
        assert not names, f"{names} do not get level"

    async def command(self, *arguments: str, copy: int = 1) -> dict[str, Any]:
        """Run a command of the command line over the data of a copy, and return its report; it must end well."""
        data = self.stack.data if copy == 1 else self.stack.data / "copies" / str(copy)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.cli.main",
            *arguments,
            "--data",
            str(data),
            "--json",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, f"{arguments}: {process.returncode} {out.decode()} {err.decode()}"
        report: dict[str, Any] = json.loads(out)
        return report


class Load:
    """A publisher at a steady rate that sends each event again, the same bytes, until it is acknowledged."""

    def __init__(self, cluster: Cluster, per_s: float, first: int = 0) -> None:
        self.cluster = cluster
        self.per_s = per_s
        self.acknowledged: list[str] = []
        self.sent = self._first = first
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Load":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Send nothing more, and wait until everything is acknowledged."""
        self._ending = True
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        stack = self.cluster.stack
        seed = stack.data / "keys" / f"{PUBLISHER}.nk"
        client = await GroupBuyClient.connect(stack.address.nats_url, market=stack.market, seed_file=seed)
        going: set[asyncio.Task[None]] = set()
        begun_s = time.monotonic()
        async with client:
            while not self._ending:
                self.sent += 1
                going.add(asyncio.create_task(self._send(client, self.sent)))
                await asyncio.sleep(max(0.0, begun_s + (self.sent - self._first) / self.per_s - time.monotonic()))
                going = {task for task in going if not task.done() or task.exception() is not None}
            await asyncio.gather(*going)

    async def _send(self, client: GroupBuyClient, number: int) -> None:
        order = {"order": f"o-{number}", "member": f"m-{number}", "offer": OFFER, "lead": "if_needed"}
        event = new_event("order.posted", order, SOURCE, f"e-{number}")
        # Half of them by the gateway, whose answer is the outcome.
        if number % 2:
            (outcome,) = await client.submit(event)
            assert outcome["kind"] != "refused", outcome
        else:
            await client.publish(event)
        self.acknowledged.append(f"e-{number}")


async def check_everything(cluster: Cluster, acknowledged: list[str], told_before: int = 0) -> dict[str, Any]:
    """Check that every acknowledged event has exactly one outcome, and both archives; return what was counted.

    Of the first `told_before` outcomes the streams need not hold any more what was told.
    Raises AssertionError with the first thing that does not hold.
    """
    await cluster.until_all_decided()
    await cluster.until_level()
    outcomes: Counter[str] = Counter()
    for record in await cluster.journal():
        for entry in map(decode_entry, record.entries):
            if entry.event is not None and type(entry.decisions[0]).__name__ != "Duplicate":
                event = json.loads(bytes(entry.event))
                if event["source"] == SOURCE:
                    outcomes[event["id"]] += 1
    await _check_outcomes_told_once(cluster, told_before)
    wrong = {event: outcomes[event] for event in acknowledged if outcomes[event] != 1}
    assert not wrong, f"acknowledged events with another number of outcomes than one: {wrong}"
    assert set(outcomes.values()) <= {1}, f"decided twice: {[e for e, n in outcomes.items() if n != 1]}"
    _, checkpoint = await http_get(f"{cluster.stack.address.services[LEDGER]}/ledger/{cluster.stack.market}/checkpoint")
    kept = cluster.stack.data / "kept.checkpoint"
    kept.write_bytes(checkpoint)
    against = ("--against", str(kept))
    entries = []
    for copy in range(1, cluster.stack.plan.copies + 1):
        # What the first has signed must be what the second has archived.
        verified = await cluster.command("ledger", "verify", *against, copy=copy)
        await cluster.command("ledger", "audit", copy=copy)
        await cluster.command("ledger", "replay", "--check", copy=copy)
        entries.append(verified["entries"])
    assert len(set(entries)) == 1, f"the archives hold {entries} entries"
    return {"acknowledged": len(acknowledged), "entries": entries[0]}


async def _check_outcomes_told_once(cluster: Cluster, told_before: int) -> None:
    """Check that the stream of outcomes tells each input's outcome once, in the order of the journal."""
    decided = [
        entry_id(entry.seq, entry.index, entry.part)
        for record in await cluster.journal()
        for entry in map(decode_entry, record.entries)
        if entry.publisher == PUBLISHER
    ][told_before:]
    name = subjects.outcomes_stream(cluster.stack.market)
    until_s = time.monotonic() + PATIENCE_S
    told: list[str] = []
    async with cluster.stack.connected(PROVISIONER) as client:
        jetstream = client.jetstream(timeout=10)
        seq = 0
        while len(told) < len(decided) and time.monotonic() < until_s:
            last_seq = (await jetstream.stream_info(name)).state.last_seq
            for place in range(seq + 1, last_seq + 1):
                found = await jetstream.get_msg(name, seq=place)
                if str(found.subject).endswith(f".{PUBLISHER}"):
                    told += [outcome["entry"] for outcome in json.loads(found.data or b"")["outcomes"]]
            seq = last_seq
            await asyncio.sleep(POLL_S)
    assert told == decided, f"{len(told)} outcomes told, {len(decided)} decided"
