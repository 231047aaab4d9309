"""One simulated world: broker, services, publishers, everything that a seed decides."""

import asyncio
import contextlib
import gc
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import nats.nuid

from deploy.provision import provision
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.ledger import app as ledger_app
from services.matcher import app as matcher_app
from services.matcher.gateway import app as gateway_app
from services.notifier import app as notifier_app
from tests.simulation.broker import SimulatedBroker
from tests.simulation.loop import SimulationLoop, simulated_time
from tests.simulation.network import Network
from tests.simulation.nodes import SimulatedNode

MARKET: Final = "main"
PUBLISHERS: Final = ("shop-a", "shop-b")
URL: Final = "nats://simulated:4222"

Running = Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Any]]


class _NoServer:
    """In place of the HTTP server of health and metrics: nobody asks."""

    port = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take whatever a server takes."""

    async def start(self) -> None:
        """Listen nowhere."""

    async def stop(self) -> None:
        """Have nothing to stop."""


async def _no_health(*_: Any, **__: Any) -> _NoServer:
    return _NoServer()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.loop = SimulationLoop()
        self.network = Network(self.loop, random.Random(seed ^ 0x5EED))
        self.broker = SimulatedBroker(self.loop, self.network, random.Random(seed ^ 0xB0B))
        self.folder = folder
        self.nodes: dict[str, SimulatedNode] = {}
        self.graveyard: list[SimulatedNode] = []
        (folder / "market.key").write_text("6b" * 32)

    def config(self, service: str) -> ServiceConfig:
        return ServiceConfig(
            service=service,
            market=MARKET,
            nats_url=URL,
            user=service.split("-")[0],
            market_key_file=self.folder / "market.key",
            data_dir=self.folder / service,
        )

    def start_service(self, name: str, running: Running) -> SimulatedNode:
        node = SimulatedNode(name, self.loop, self.network, lambda _: None)
        self.nodes[name] = node

        async def main() -> None:
            broker = await connect_broker(self.config(name))
            await broker.start()
            async with running(self.config(name), broker):
                await asyncio.Event().wait()

        node.run(main)
        return node


@contextmanager
def production_in_simulation(seed: int) -> Iterator[None]:
    """Replace what reaches out of the process: HTTP servers, random names, exits."""
    chance = random.Random(seed ^ 0x1D)
    with ExitStack() as stack:
        for app in (matcher_app, ledger_app, gateway_app, notifier_app):
            if hasattr(app, "serve_health"):
                stack.enter_context(mock.patch.object(app, "serve_health", _no_health))
        stack.enter_context(mock.patch.object(gateway_app, "HttpServer", _NoServer))
        stack.enter_context(mock.patch("nats.nuid.randbelow", lambda n: chance.randrange(n)))
        stack.enter_context(mock.patch("nats.nuid.token_bytes", lambda n: chance.randbytes(n)))
        stack.enter_context(mock.patch("secrets.token_hex", lambda n=16: chance.randbytes(n).hex()))
        yield
