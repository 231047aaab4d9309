"""A market with a gateway for tests: real broker, a double of the matcher, and ways to ask."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from events import subjects
from services.bus.client import (
    GroupBuyClient,
    new_event,
)
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.matcher.gateway.app import Gateway, gateway
from services.matcher.gateway.tokens import hash_token
from tests.conftest import connect_user
from tests.journal_writer import MARKET, JournalWriter
from tests.matcher_double import MatcherDouble

TOKEN = "shop-a-secret"
SUBMIT = subjects.submit(MARKET, "shop-a", "order")
EVENTS_PATH = f"/markets/{MARKET}/events"
WAIT_S = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


def order(number: int) -> dict[str, Any]:
    data = {"order": f"o-{number}", "member": f"m-{number}", "offer": "tea"}
    return new_event("order.posted", data, "/shop", f"e-{number}", "2026-11-23T10:00:00Z")


def encode(document: object) -> bytes:
    return msgspec.json.encode(document)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Setting:
    """One market: broker, a matcher that decides something, and gateways."""

    broker: EmbeddedBroker
    data: Path
    matcher: MatcherDouble
    stack: AsyncExitStack
    gateways: list[Gateway] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)
    link_key_file: Path | None = None

    def config(self) -> ServiceConfig:
        tokens = self.data / "tokens.json"
        tokens.write_bytes(encode({hash_token(TOKEN): "shop-a"}))
        return ServiceConfig(
            service="gateway",
            market=MARKET,
            nats_url=self.broker.url,
            user="gateway",
            nkey_seed_file=load_identity(self.data, "gateway").seed_file,
            data_dir=self.data / "gateway",
            tokens_file=tokens,
            link_key_file=self.link_key_file,
            peers=self.peers,
        )

    async def start_gateway(self, outcome_timeout_s: float = 10.0) -> Gateway:
        made = await self.stack.enter_async_context(self.running_gateway(outcome_timeout_s))
        self.gateways.append(made)
        return made

    @asynccontextmanager
    async def running_gateway(self, outcome_timeout_s: float = 10.0) -> AsyncIterator[Gateway]:
        service = await connect_broker(self.config())
        await service.start()
        try:
            async with gateway(self.config(), service, outcome_timeout_s) as made:
                yield made
        finally:
            await service.stop()

    async def client(self, publisher: str = "shop-a") -> GroupBuyClient:
        made = await GroupBuyClient.connect(
            self.broker.url,
            market=MARKET,
            publisher=publisher,
            seed_file=load_identity(self.data, publisher).seed_file,
        )
        return await self.stack.enter_async_context(made)

    @property
    def stored(self) -> list[bytes]:
        """The bodies of the intake messages that the matcher has read."""
        return self.matcher.bodies

    async def post(self, body: bytes, token: str | None = TOKEN, path: str = EVENTS_PATH, **headers: str) -> Answer:
        given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        return await self.call("POST", path, body, given)

    async def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        def ask() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateways[-1].http_port, timeout=WAIT_S)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)


async def ask(market: Setting, body: bytes, subject: str = SUBMIT, publisher: str = "shop-a") -> dict[str, Any]:
    """Submit bytes as they are and return the answer as it is."""
    user = await connect_user(market.broker, publisher)
    try:
        answer: Msg = await user.client.request(subject, body, timeout=WAIT_S)
        return dict(json.loads(answer.data))
    finally:
        await user.client.close()


async def restart_matcher(market: Setting) -> None:
    """Begin anew from the first message, writing only what the journal does not hold: as a matcher recovers."""
    js = market.matcher.writer.client.jetstream(timeout=10)
    info = await js.stream_info(subjects.journal_stream(MARKET))
    bodies = [
        (await js.get_msg(subjects.journal_stream(MARKET), seq=seq)).data or b""
        for seq in range(1, info.state.last_seq + 1)
    ]
    market.matcher.recover(bodies)
    await market.matcher.start()


@asynccontextmanager
async def open_market(broker: EmbeddedBroker, data: Path) -> AsyncIterator[Setting]:
    """The market of a broker whose data directory is `data`, with a matcher that decides, and no gateway yet."""
    user = await connect_user(broker, "matcher")
    matcher = MatcherDouble(JournalWriter(user.client))
    await matcher.start()
    try:
        async with AsyncExitStack() as stack:
            yield Setting(broker, data, matcher, stack)
    finally:
        await matcher.stop()
        await user.client.close()
