"""One simulated world: broker, services, publishers, everything that a seed decides."""

import contextvars
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

from services.bus import journal, journal_consumer
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.bus.health import Check, Status
from services.ledger import app as ledger_app
from services.ledger import archiver
from services.matcher import app as matcher_app
from services.matcher import intake, loop, records, shift, standby
from services.matcher.gateway import app as gateway_app
from services.matcher.gateway import gather
from services.matcher.loop import Matcher
from services.matcher.snapshots import SnapshotStore
from services.notifier import app as notifier_app
from tests.simulation.broker import SimulatedBroker
from tests.simulation.faults import Faults
from tests.simulation.loop import NODE, SimulationLoop
from tests.simulation.network import Network
from tests.simulation.nodes import SimulatedNode
from tests.simulation.workload import Promises

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


RESTART_S: Final = 0.5
STANDBY_EVERY: Final = 3
"""In one seed of so many there are two matchers all the time, of which one stands by."""
STANDBY_S: Final = 0.5


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.loop = SimulationLoop()
        self.network = Network(self.loop, random.Random(seed ^ 0x5EED))
        self.broker = SimulatedBroker(self.loop, self.network, random.Random(seed ^ 0xB0B))
        self.broker.tick_ns = self.chance.choice((1, 1, 1_000_000, 1_000_000_000))
        self.folder = folder
        self.has_standby = seed % STANDBY_EVERY == 1
        self.nodes: dict[str, SimulatedNode] = {}
        self.graveyard: list[object] = []
        """What killed processes held: it must not be collected, which would run their `finally`, before the end."""
        self.running: dict[str, Any] = {}
        self.faults = Faults(self)
        self.broker.kill = self.kill
        self.lost: str | None = None
        """What the broker lost although it had acknowledged it, in the seeds where it does."""
        self.promises = Promises()
        self._services: dict[str, Running] = {}
        self._outside = contextvars.copy_context()
        (folder / "market.key").write_text("6b" * 32)

    def later(self, wait_s: float, call: Callable[[], object]) -> None:
        """Do something in `wait_s` seconds, outside of every node."""
        self.loop.call_later(wait_s, call, context=self._outside.copy())

    # Services

    def service_names(self) -> list[str]:
        """Return the names of all services."""
        return list(self._services)

    def config(self, name: str) -> ServiceConfig:
        """Return what a service is started with."""
        service = name.partition("-")[0]
        return ServiceConfig(
            service=service,
            market=MARKET,
            nats_url=URL,
            user=service,
            market_key_file=self.folder / "market.key",
            data_dir=self.folder / name,
            standby_s=STANDBY_S if self.has_standby and service == "matcher" else 0.0,
        )

    def start_services(self) -> None:
        """Start one of each, in some seeds with a second matcher that stands by."""
        self.start_matcher("matcher")
        if self.has_standby:
            self.start_matcher("matcher-standby")
        self.start_service("ledger", ledger_app.build())
        self.start_service("notifier", notifier_app.build())
        self.start_service("gateway", gateway_app.gateway)

    def start_matcher(self, name: str) -> None:
        """Start a matcher."""
        self.start_service(name, matcher_app.matcher)

    def start_service(self, name: str, running: Running) -> None:
        """Start a service, and start it again whenever it ends."""
        self._services[name] = running
        node = SimulatedNode(name, self.loop, self.network, self.faults.before_disk)
        node.on_end = lambda: self._ended(node)
        self.nodes[name] = node

        async def main() -> None:
            broker = await connect_broker(self.config(name))
            await broker.start()
            async with running(self.config(name), broker) as made:
                self.running[name] = made
                await broker.lost.wait()

        node.run(main)

    def _ended(self, node: SimulatedNode) -> None:
        if self._services.get(node.name) is not None and self.nodes[node.name] is node:
            self.later(RESTART_S, lambda: self._restart(node))

    def _restart(self, node: SimulatedNode) -> None:
        running = self._services.get(node.name)
        if running is not None and self.nodes[node.name] is node:
            self.start_service(node.name, running)

    def kill(self, name: str, *, lose_disk: bool = False) -> None:
        """Kill a service; with `lose_disk` its disk falls back to what it held some seconds ago."""
        node = self.nodes[name]
        if node.is_dead:
            return
        self.graveyard.append((node, self.running.pop(name, None)))
        node.kill()
        if lose_disk:
            self._fall_back(name)

    def retire(self, name: str) -> None:
        """Kill a service for good."""
        if name in self._services:
            del self._services[name]
            self.kill(name)
            del self.nodes[name]

    def trouble(self) -> list[str]:
        """Return what every service says is not done yet, or broken."""
        found = []
        for name, node in self.nodes.items():
            if node.matcher is not None:
                check = matcher_app.check(node.matcher)
                if check.status != Status.OK or node.matcher.lag:
                    found.append(f"{name}: {check.sentence}")
            elif (made := self.running.get(name)) is None:
                found.append(f"{name}: not up")
            else:
                check = self._check_of(made)
                if check.status != Status.OK:
                    found.append(f"{name}: {check.sentence}")
        return found

    def alarms(self) -> list[str]:
        """Return what services say that only an operator can mend."""
        found = []
        for name, node in self.nodes.items():
            broken = node.matcher.broken if node.matcher is not None else None
            made = self.running.get(name)
            if broken is None and made is not None and node.matcher is None:
                check = self._check_of(made)
                broken = check.sentence if check.status == Status.UNHEALTHY else None
            if broken is not None:
                found.append(f"{name}: {broken}")
        return found

    def _check_of(self, made: Any) -> Check:
        if isinstance(made, gateway_app.Gateway):
            report = made.health.report()
            return next((one for one in report.checks.values() if one.status != Status.OK), Check(Status.OK, ""))
        check = made.check()
        return check if check.status != Status.OK or not made.lag else Check(Status.DEGRADED, f"lag {made.lag}")

    def keep_disk(self) -> None:
        """Note what the disks hold now, for a later fall."""
        for name in ("ledger", "matcher"):
            source, copy = self.folder / name, self.folder / f".{name}"
            if source.exists():
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(source, copy)

    def _fall_back(self, name: str) -> None:
        source, copy = self.folder / name, self.folder / f".{name}"
        if copy.exists():
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(copy, source)


_SELDOM: Final = (
    (journal, "CHECK_INTERVAL_S", 10.0),
    (journal, "SILENCE_S", 20.0),
    (loop, "IDLE_WAIT_S", 5.0),
    (standby, "LOOK_IDLE_S", 2.0),
    (gather, "SWEEP_INTERVAL_S", 3.0),
    (archiver, "INTERVAL_S", 10.0),
)
"""Looks that a service takes at regular times, taken seldom: idle hours are cheap, and whatever a look would have
mended lasts longer."""


_SMALL: Final = (
    (loop, "SNAPSHOT_IDLE_ENTRIES", 5),
    (loop, "SNAPSHOT_IDLE_S", 2.0),
    (records, "RECORD_MAX_BYTES", 4 * 1024),
    (shift, "AHEAD_MAX_BYTES", 12 * 1024),
    (intake, "TAKE_MESSAGES", 3),
    (journal, "BATCH_MAX_RECORDS", 3),
    (journal_consumer, "WINDOW_MESSAGES", 12),
)
"""Limits that a simulation of a hundred events would else never meet."""


@contextmanager
def production_in_simulation(seed: int) -> Iterator[None]:
    """Replace what reaches out of the process: HTTP servers, random names, exits."""
    chance = random.Random(seed ^ 0x1D)
    with ExitStack() as stack:
        for app in (matcher_app, ledger_app, gateway_app, notifier_app):
            if hasattr(app, "serve_health"):
                stack.enter_context(mock.patch.object(app, "serve_health", _no_health))
        stack.enter_context(mock.patch.object(gateway_app, "HttpServer", _NoServer))
        # Everything random in the standard library comes from here: secrets, uuid4, the libraries' own names.
        stack.enter_context(mock.patch("random._urandom", chance.randbytes))
        stack.enter_context(mock.patch("os.urandom", chance.randbytes))
        random.seed(seed)
        for module, name, value in (*_SELDOM, *_SMALL):
            stack.enter_context(mock.patch.object(module, name, value))
        stack.enter_context(mock.patch.object(matcher_app, "_observe", _observe_nothing))
        # A fork would copy the whole simulation.
        stack.enter_context(mock.patch.object(SnapshotStore, "save_aside", _save_here))
        stack.enter_context(mock.patch("os._exit", _end_node))
        stack.enter_context(mock.patch.object(matcher_app, "Matcher", _RememberedMatcher))
        yield


def _end_node(_: int) -> None:
    node = NODE.get()
    assert isinstance(node, SimulatedNode)
    node.kill()


def _save_here(*_: object) -> None:
    """Have the matcher save its snapshot itself."""


async def _observe_nothing(_: Matcher) -> None:
    """Nobody reads the metrics."""


class _RememberedMatcher(Matcher):
    """The matcher, findable by the simulation."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        node = NODE.get()
        assert isinstance(node, SimulatedNode)
        node.matcher = self
