"""A journal with readers for tests: real broker, and hands to do it harm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext, api

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import PROVISIONER
from events import subjects
from events.record import hash_bytes
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.bus.journal import (
    FollowedRecord,
    JournalFollower,
    JournalPosition,
)
from tests.conftest import connect_user, provision_market
from tests.journal_writer import MARKET, JournalWriter, record_of, ticked

STREAM = subjects.journal_stream(MARKET)
WAIT_S = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come, without caring when."""
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


def service_config(broker: EmbeddedBroker, data: Path, user: str) -> ServiceConfig:
    """What a service of this user is started with."""
    return ServiceConfig(
        service=user,
        market=MARKET,
        nats_url=broker.url,
        user=user,
        nkey_seed_file=load_identity(data, user).seed_file,
        data_dir=data / user,
    )


@dataclass
class Reader:
    """A ledger reduced to what it was handed."""

    follower: JournalFollower
    service: ServiceBroker
    records: list[FollowedRecord] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)

    @property
    def hashes(self) -> list[str]:
        return [record.hash for record in self.records]

    async def handle(self, records: list[FollowedRecord]) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.calls.append(len(records))
        self.records += records

    async def has(self, count: int) -> None:
        """Wait until `count` records have come, or the alarm sounds."""
        await until(lambda: len(self.records) >= count or self.follower.broken, f"{count} records")
        assert self.follower.broken is None


@dataclass
class Setting:
    """One broker, one writer, and readers to follow it."""

    broker: EmbeddedBroker
    data: Path
    writer: JournalWriter
    open_readers: list[Reader] = field(default_factory=list)

    async def reader(self, position: JournalPosition | None = None) -> Reader:
        """A follower that has been started."""
        service = await connect_broker(service_config(self.broker, self.data, "ledger"))
        await service.start()
        reader = Reader(None, service)  # type: ignore[arg-type]  # the two need each other
        reader.follower = JournalFollower(service, MARKET, "ledger", position or JournalPosition(), reader.handle)
        self.open_readers.append(reader)
        await reader.follower.start()
        return reader

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[JetStreamContext]:
        """Somebody with every right over streams and consumers, who may do harm with it."""
        client = await nats.connect(self.broker.url, **self.broker.connect_options(PROVISIONER))
        try:
            yield client.jetstream(timeout=10)
        finally:
            await client.close()

    async def recreate_journal(self) -> None:
        """Delete the journal and make another of the same name."""
        async with self.operator() as js:
            await js.delete_stream(STREAM)
        await provision_market(self.broker)


@asynccontextmanager
async def open_journal(broker: EmbeddedBroker, data: Path) -> AsyncIterator[Setting]:
    """The journal of a broker whose data directory is `data`, with a writer and no reader yet."""
    user = await connect_user(broker, "matcher")
    made = Setting(broker, data, JournalWriter(user.client))
    try:
        yield made
    finally:
        for reader in made.open_readers:
            await reader.follower.stop()
            await reader.service.stop()
        await user.client.close()


async def append_when_back(writer: JournalWriter) -> None:
    """Write a record once, however often the answer is lost: settled by looking, as the matcher does."""
    body = record_of([ticked(writer.next_entry_seq)], writer.prev)
    own_hash = hash_bytes(body)
    writer.next_entry_seq += 1
    js = writer.client.jetstream(timeout=2)
    while True:
        headers = {
            subjects.HEADER_MESSAGE_ID: own_hash,
            subjects.HEADER_LAST_MESSAGE_ID: writer.prev if writer.written else "",
        }
        try:
            await js.publish(subjects.journal(writer.market), body, headers=headers)
        except (nats.errors.Error, TimeoutError, OSError):
            if await last_hash(js) != own_hash:
                continue
        writer.prev = own_hash
        writer.written.append(own_hash)
        return


async def last_hash(js: JetStreamContext) -> str:
    while True:
        try:
            found = await js.get_last_msg(STREAM, subjects.journal(MARKET))
        except (nats.errors.Error, TimeoutError, OSError):
            await asyncio.sleep(0.05)
        else:
            return hash_bytes(found.data or b"")


async def harm_journal(
    setting: Setting, harm: Callable[[JetStreamContext], Awaitable[object]]
) -> api.StreamInfo | None:
    """Do to the journal what its configuration denies: it is made anew without that, messages and all."""
    async with setting.operator() as js:
        config = (await js.stream_info(STREAM)).config
        held = [
            await js.get_msg(STREAM, seq=seq) for seq in range(1, (await js.stream_info(STREAM)).state.last_seq + 1)
        ]
        await js.delete_stream(STREAM)
        config.deny_delete = False
        await js.add_stream(config)
    for message in held:
        await setting.writer.publish(message.data or b"", dict(message.headers or {}))
    async with setting.operator() as js:
        await harm(js)
    return None
