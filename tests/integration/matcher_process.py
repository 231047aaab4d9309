"""The real matcher as a process against a real broker, and what tests ask of its journal."""

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from events import subjects
from events.record import Entry, Record, decode_entry, decode_record, hash_bytes
from services.bus.journal_consumer import parse_reply
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.builders import JsonEvent, encode, encode_batch, family_of
from tests.conftest import MARKET

KEY = b"k" * 32
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


async def _ignore(_: Exception) -> None:
    """The library's own handler prints a traceback for every reconnect."""


class MatcherProcess:
    """`python -m services.matcher` with a data folder of its own.

    `settings` are more of its configuration. `changes` is code that makes another version of the program of it, run
    before it begins.
    """

    def __init__(
        self, broker: EmbeddedBroker, folder: Path, health_port: int, *, changes: str = "", **settings: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.health_port = health_port
        key = folder / "market.key"
        key.write_text(KEY.hex())
        self._config = folder / "matcher.json"
        config = {
            "service": "matcher",
            "market": MARKET,
            "nats_url": broker.url,
            "user": "matcher",
            "nkey_seed_file": str(load_identity(broker.directory.parent, "matcher").seed_file),
            "market_key_file": str(key),
            "data_dir": str(folder / "data"),
            "health_port": health_port,
            **settings,
        }
        self._program = ["-m", "services.matcher"]
        if changes:
            run = "import sys; from services.matcher.__main__ import build, run_service"
            self._program = ["-c", f"{changes}\n{run}\nsys.exit(run_service(sys.argv[1:], build))"]
        self._config.write_text(json.dumps(config))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process."""
        with (self.folder / "matcher.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                str(self._config),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is None:
            return
        self._process.terminate()
        await self._process.wait()
        self._process = None

    async def health(self) -> dict[str, Any]:
        """Return what /healthz says, asking until it answers."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                return await asyncio.to_thread(self._ask)
            except OSError:
                await asyncio.sleep(0.05)
        raise AssertionError("the matcher does not answer: " + self.log()[-2000:])

    async def says(self, words: str) -> str:
        """Wait until health has a sentence that contains `words`, and return it."""
        until = time.monotonic() + PATIENCE_S
        sentence = ""
        while time.monotonic() < until:
            sentence = str((await self.health())["checks"]["matcher"]["sentence"])
            if words in sentence:
                return sentence
            await asyncio.sleep(0.05)
        raise AssertionError(f"expected {words!r}, last was {sentence!r}")

    async def unhealthy_because(self, words: str) -> str:
        """Wait until health names a reason that contains `words`; return the sentence."""
        until = time.monotonic() + PATIENCE_S
        sentence = ""
        while time.monotonic() < until:
            found = (await self.health())["checks"]["matcher"]
            sentence = found["sentence"]
            if found["status"] == "unhealthy" and words in sentence:
                return str(sentence)
            await asyncio.sleep(0.05)
        raise AssertionError(f"expected unhealthy because of {words!r}, last was {sentence!r}")

    def log(self) -> str:
        """Return what it has logged."""
        return (self.folder / "matcher.log").read_text()

    def _ask(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/healthz", timeout=2) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        return found


class MarketLog:
    """Publishes as any user and reads both logs as the provisioner."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.broker = broker
        self.clients: dict[str, Client] = {}

    async def client(self, user: str) -> Client:
        """Return a connection of `user`."""
        if user not in self.clients:
            self.clients[user] = await nats.connect(
                self.broker.url,
                **self.broker.connect_options(user),
                error_cb=_ignore,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.05,
            )
        return self.clients[user]

    async def close(self) -> None:
        """Close every connection."""
        for client in self.clients.values():
            await client.close()

    async def publish(self, publisher: str, events: JsonEvent | list[JsonEvent]) -> int:
        """Publish one event or a batch of one family; return its sequence."""
        first = events[0] if isinstance(events, list) else events
        body = encode_batch(events) if isinstance(events, list) else encode(events)
        return await self.publish_body(publisher, family_of(first), body)

    async def publish_body(self, publisher: str, family: str, body: bytes) -> int:
        """Publish any bytes; return their sequence."""
        jetstream = (await self.client(publisher)).jetstream()
        return (await jetstream.publish(subjects.intake(MARKET, publisher, family), body)).seq

    async def records(self) -> list[Record]:
        """Return every record of the journal, strays left out, after checking that each names the one before."""
        jetstream = (await self.client("provisioner")).jetstream()
        stream = subjects.journal_stream(MARKET)
        last_seq = (await jetstream.stream_info(stream)).state.last_seq
        records: list[Record] = []
        prev = "0" * 64
        for seq in range(1, last_seq + 1):
            try:
                found = await jetstream.get_msg(stream, seq=seq)
            except NotFoundError:
                continue
            body = found.data or b""
            if (found.headers or {}).get(subjects.HEADER_MESSAGE_ID) != hash_bytes(body):
                continue
            record = decode_record(body)
            assert record.prev == prev, f"record {seq} does not name the one before"
            prev = hash_bytes(body)
            records.append(record)
        return records

    async def entries(self) -> list[bytes]:
        """Return the entries of all records, as the bytes that they are."""
        return [bytes(raw) for record in await self.records() for raw in record.entries]

    async def decided_until(self, seq: int) -> list[Entry]:
        """Wait until the input with sequence `seq` is decided whole; return all entries."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            records = await self.records()
            if records:
                last, through = decode_entry(records[-1].entries[-1]), records[-1].through
                if through.seq > seq or (through.seq == seq and last.index == through.events - 1):
                    return [decode_entry(raw) for record in records for raw in record.entries]
            await asyncio.sleep(0.02)
        raise AssertionError(f"input {seq} is not decided after {PATIENCE_S} s")

    async def messages(self) -> list[Message]:
        """Return the intake, as the matcher reads it."""
        jetstream = (await self.client("provisioner")).jetstream()
        stream = subjects.intake_stream(MARKET)
        inbox = await jetstream.pull_subscribe(
            "", stream=stream, config=api.ConsumerConfig(ack_policy=api.AckPolicy.NONE)
        )
        found: list[Message] = []
        last_seq = (await jetstream.stream_info(stream)).state.last_seq
        while not found or found[-1].seq < last_seq:
            for msg in await inbox.fetch(100, timeout=5):
                seq, _, at_ns, _ = parse_reply(msg.reply.encode())
                publisher, family = subjects.parse_intake(msg.subject)
                found.append(Message(seq, at_ns, publisher, family, msg.data))
        return found


def decided_alone(messages: Iterable[Message]) -> list[bytes]:
    """Return the entries that one engine, never interrupted, makes of an intake."""
    engine = Engine(MARKET, Facts(KEY), pinned_zones())
    return [entry for message in messages for entry in engine.process(message)]
