"""A market with a real broker, a journal that tests write, notifiers that they start and crash, and what came of it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext, api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import NOTIFIER, PROVISIONER
from events import subjects
from events.outcomes import results_of
from events.record import Entry
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.notifier.channels.nats import NatsChannel
from services.notifier.notifier import Notifier
from tests.journal_writer import MARKET, JournalWriter

RESULTS = subjects.results_stream(MARKET)
OUTCOMES = subjects.outcomes_stream(MARKET)
JOURNAL = subjects.journal_stream(MARKET)
WAIT_S = 60.0

Told = tuple[str, str, str]
"""Addressee, entry and kind: what makes a result or an outcome the one it is."""


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come, without caring when."""
    for _ in range(int(WAIT_S / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


@dataclass(frozen=True)
class Stored:
    """A message of an output stream."""

    seq: int
    subject: str
    body: bytes
    headers: dict[str, str]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The results or outcomes in it; a marker has none."""
        read = json.loads(self.body)
        documents: list[dict[str, Any]] = read.get("results", read.get("outcomes", []))
        return documents


@dataclass
class Running:
    """A notifier and its connection."""

    notifier: Notifier
    service: ServiceBroker

    async def has_told(self, journal_seq: int) -> None:
        """Wait until everything through a record is told, or the alarm sounds."""
        await until(
            lambda: self.notifier.alarm or all(c.reached.position.seq >= journal_seq for c in self.notifier.channels),
            f"everything told through record {journal_seq}",
        )
        assert self.notifier.alarm is None, self.notifier.alarm

    async def stopped(self) -> str:
        """Wait until it has stopped for good and return why."""
        await until(lambda: self.notifier.alarm, "an alarm")
        alarm = self.notifier.alarm
        assert alarm is not None
        return alarm

    async def stop(self) -> None:
        """End cleanly."""
        await self.notifier.stop()
        await self.service.stop()

    async def crash(self) -> None:
        """End at once, in the middle of whatever it does."""
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith(("notifier", "journal"))]
        pending = set(tasks)
        while pending:
            # Again and again: nats-py swallows a cancellation that meets it while it flushes.
            for task in pending:
                task.cancel()
            await self.service.client.close()
            _, pending = await asyncio.wait(pending, timeout=0.01)


@dataclass
class Setting:
    """One broker, one journal, any number of notifiers."""

    broker: EmbeddedBroker
    data: Path
    writer: JournalWriter
    entries: list[Entry] = field(default_factory=list)
    last_seq: int = 0

    def config(self) -> ServiceConfig:
        """What the notifier is started with."""
        return ServiceConfig(
            service="notifier",
            market=MARKET,
            nats_url=self.broker.url,
            user=NOTIFIER,
            nkey_seed_file=load_identity(self.data, NOTIFIER).seed_file,
            data_dir=self.data / "notifier",
        )

    async def write(self, *entries: Entry) -> int:
        """Write one record and return its sequence."""
        self.entries += entries
        self.last_seq = await self.writer.append(list(entries))
        return self.last_seq

    async def connect(self) -> ServiceBroker:
        """Connect as a notifier does."""
        service = await connect_broker(self.config())
        await service.start()
        return service

    async def start(self, sent_through: int | None = None) -> Running:
        """Start a notifier; one test may run several, but must crash only when it runs alone."""
        service = await self.connect()
        notifier = Notifier(service, MARKET, NOTIFIER, sent_through)
        await notifier.start()
        return Running(notifier, service)

    @asynccontextmanager
    async def running(self, sent_through: int | None = None) -> AsyncIterator[Running]:
        """Run a notifier and end it cleanly."""
        running = await self.start(sent_through)
        try:
            yield running
        finally:
            await running.stop()

    async def tell_everything(self) -> None:
        """Run a notifier until it has told what the journal holds."""
        async with self.running() as running:
            await running.has_told(self.last_seq)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[JetStreamContext]:
        """Somebody with every right over streams and consumers."""
        client = await nats.connect(self.broker.url, **self.broker.connect_options(PROVISIONER))
        try:
            yield client.jetstream(timeout=10)
        finally:
            await client.close()

    async def stored(self, stream: str = RESULTS) -> list[Stored]:
        """Every message of a stream, in order."""
        messages: list[Stored] = []
        async with self.operator() as js:
            pending = (await js.stream_info(stream)).state.messages
            config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE)
            reader = await js.pull_subscribe(">", stream=stream, config=config)
            while len(messages) < pending:
                for message in await reader.fetch(min(500, pending - len(messages)), timeout=5):
                    seq = message.metadata.sequence.stream
                    messages.append(Stored(seq, message.subject, message.data, message.headers or {}))
        return messages

    async def told(self, stream: str = RESULTS) -> list[Told]:
        """Every result or outcome of a stream, in order."""
        return [
            (message.subject.rsplit(".", 1)[1], document["entry"], document["kind"])
            for message in await self.stored(stream)
            for document in message.documents
        ]

    async def assert_each_result_once(self) -> None:
        """Everybody got every result of what was written, once, and each member in the order of the journal."""
        expected = [
            (member, result["entry"], result["kind"]) for entry in self.entries for member, result in results_of(entry)
        ]
        told = await self.told()
        assert Counter(told) == Counter(expected)
        for member in {member for member, _, _ in expected[:200]}:
            assert [x for x in told if x[0] == member] == [x for x in expected if x[0] == member]

    async def assert_each_outcome_once(self) -> None:
        """Every event of a publisher was answered on its subject, once, in the order of the journal."""
        answered = [
            (message.subject.rsplit(".", 1)[1], document["id"])
            for message in await self.stored(OUTCOMES)
            for document in message.documents
            if "id" in document
        ]
        expected = [
            (entry.publisher, json.loads(bytes(entry.event))["id"])
            for entry in self.entries
            if entry.event is not None and entry.publisher != subjects.MATCHER
        ]
        assert answered == expected


def channel_of(running: Running, stream: str = RESULTS) -> NatsChannel:
    """The channel that writes a stream."""
    return running.notifier.results if stream == RESULTS else running.notifier.outcomes
