"""A market whose ledger tests start and end, with its log as others see it."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import pytest

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import LEDGER
from deploy.ports import free_port
from events.leaf import leaf
from events.record import decode_entry_bytes, decode_record
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.ledger.app import build
from services.ledger.archiver import Archiver
from services.ledger.checkpoint import Checkpoint, open_checkpoint
from services.ledger.log_key import log_key_file, read_log_key
from services.ledger.note import VerifierKey
from services.ledger.store import LedgerStore
from tests.conftest import MARKET
from tests.journal_writer import JournalWriter, ticked

KEY: Final = bytes(range(32))
WAIT_S: Final = 60.0
ENTRIES_PER_RECORD: Final = 50

T = TypeVar("T")


@dataclass
class Log:
    """One market with a broker, a journal that the test writes, and a ledger that it starts and ends."""

    broker: EmbeddedBroker
    writer: JournalWriter
    data: Path
    port: int = field(default_factory=free_port)
    log_host: str = "log.example.com"
    witnesses: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> VerifierKey:
        """The key that whoever follows the log trusts."""
        return read_log_key(log_key_file(self.data, MARKET)).verifier

    @property
    def leaves(self) -> list[bytes]:
        """The leaves of what was written."""
        with LedgerStore.open("sqlite:", MARKET, data_dir=self.data, read_only=True) as store:
            records = [decode_record(record.body) for record in store.records()]
        return [leaf(KEY, decode_entry_bytes(raw), record.rule) for record in records for raw in record.entries]

    def config(self) -> ServiceConfig:
        """What the ledger is started with."""
        key_file = self.data / "keys" / f"market-{MARKET}.key"
        if not key_file.exists():
            key_file.write_text(KEY.hex())
        return ServiceConfig(
            service="ledger",
            market=MARKET,
            nats_url=self.broker.url,
            user=LEDGER,
            nkey_seed_file=load_identity(self.data, LEDGER).seed_file,
            market_key_file=key_file,
            data_dir=self.data,
            health_port=self.port,
            log_host=self.log_host,
            witnesses=self.witnesses,
        )

    async def write(self, records: int) -> None:
        """Write records of the smallest entries there are."""
        for _ in range(records):
            first = self.writer.next_entry_seq
            self.writer.next_entry_seq += ENTRIES_PER_RECORD
            await self.writer.append([ticked(seq) for seq in range(first, first + ENTRIES_PER_RECORD)])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Archiver]:
        """Run the ledger."""
        config = self.config()
        service = await connect_broker(config)
        await service.start()
        try:
            async with build()(config, service) as archiver:
                yield archiver
        finally:
            await service.stop()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask the ledger's HTTP server."""
        return await asyncio.to_thread(get_url, f"http://127.0.0.1:{self.port}{path}")

    async def checkpoint(self, size: int = 1) -> Checkpoint:
        """Wait until a checkpoint of at least `size` leaves is served, and open it."""

        async def found() -> Checkpoint | None:
            status, body = await self.get(f"/ledger/{MARKET}/checkpoint")
            checkpoint = open_checkpoint(body, self.key) if status == 200 else None
            return checkpoint if checkpoint is not None and checkpoint.size >= size else None

        return await until(found, f"a checkpoint of {size} leaves")


def get_url(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def until(condition: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Wait for something that must come, without caring when."""
    for _ in range(int(WAIT_S / 0.02)):
        if (found := await condition()) is not None:
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")
