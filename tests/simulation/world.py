"""One simulated world: broker, services, publishers, everything that a seed decides."""

import contextvars
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker, connect_broker
from services.bus.health import Check, Status
from services.ledger import app as ledger_app
from services.matcher import app as matcher_app
from services.matcher.gateway import app as gateway_app
from services.matcher.gateway.tokens import hash_token
from services.notifier import app as notifier_app
from services.notifier.addresses import EMAIL
from services.notifier.dispatch.database import outbox_file
from services.notifier.dispatch.dispatcher import Dispatcher
from tests.simulation.broker import SimulatedBroker
from tests.simulation.faults import Faults
from tests.simulation.http_client import HttpClient, Road
from tests.simulation.loop import SimulationLoop
from tests.simulation.network import Network
from tests.simulation.nodes import SimulatedNode
from tests.simulation.outside import ADDRESSES, Outside, furnish
from tests.simulation.setting import OPERATOR, SHOPS, setting_of
from tests.simulation.workload.publishing import Promises
from tests.simulation.workload.town import Town

MARKET: Final = "main"
PUBLISHERS: Final = (*SHOPS, OPERATOR)
URL: Final = "nats://simulated:4222"

Running = Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Any]]


RESTART_S: Final = 0.5
RESTART_MAX_S: Final = 8.0
LATELY_S: Final = 30.0
SENDING_EVERY: Final = 3
"""In one of so many seeds messages leave the market, by webhook and mail."""
STANDBY_EVERY: Final = 3
"""In one seed of so many there are two matchers all the time, of which one stands by."""
STANDBY_S: Final = 0.5


def _token(publisher: str) -> str:
    return f"token-of-{publisher}"


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
        self.has_standby = seed % STANDBY_EVERY == 2
        self.nodes: dict[str, SimulatedNode] = {}
        self.graveyard: list[object] = []
        """What killed processes held: it must not be collected, which would run their `finally`, before the end."""
        self.running: dict[str, Any] = {}
        self.faults = Faults(self)
        self.broker.kill = self.kill
        self.lost: str | None = None
        """What the broker lost although it had acknowledged it, in the seeds where it does."""
        self.is_ledger_damaged = False
        self._ends: dict[str, list[float]] = {}
        """When each service ended lately."""
        self.promises = Promises()
        self.setting = setting_of(seed)
        self.town = Town()
        self.road = Road(self)
        self.outside = Outside(self.network, random.Random(seed ^ 0x0D))
        self.is_sending = seed % SENDING_EVERY == 1
        if self.is_sending:
            furnish(folder / "notifier")
        self._addresses = {f"m-{number}" for number in range(ADDRESSES)}
        self._services: dict[str, Running] = {}
        self._outside = contextvars.copy_context()
        (folder / "market.key").write_text("6b" * 32)
        tokens = {hash_token(_token(publisher)): publisher for publisher in PUBLISHERS}
        (folder / "tokens.json").write_text(json.dumps(tokens))

    def later(self, wait_s: float, call: Callable[[], object]) -> None:
        """Do something in `wait_s` seconds, outside of every node."""
        self.loop.call_later(wait_s, call, context=self._outside.copy())

    def http_client(self, publisher: str) -> HttpClient:
        """Return a publisher's client over HTTP."""
        return HttpClient(self.road, MARKET, _token(publisher))

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
            tokens_file=self.folder / "tokens.json" if service == "gateway" else None,
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
        node = SimulatedNode(name, self.loop, self.network, self.faults.disk)
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
            self.later(self._restart_s(node.name), lambda: self._restart(node))

    def _restart_s(self, name: str) -> float:
        """Return how long the supervisor waits: the longer, the more often it was needed lately."""
        now_s = self.loop.time()
        ends = self._ends[name] = [at_s for at_s in self._ends.get(name, []) if now_s - at_s < LATELY_S] + [now_s]
        return min(RESTART_MAX_S, RESTART_S * 2.0 ** (len(ends) - 1))

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
            if node.dispatcher is not None:
                found += self._unsent(name, node.dispatcher)
        return found

    def dispatcher(self) -> Dispatcher | None:
        """Return what sends messages out of the market at the moment, None where none are sent."""
        found = self.nodes["notifier"].dispatcher
        assert found is None or isinstance(found, Dispatcher)
        return found

    def has_address(self, member: str, kind: str) -> bool:
        """Tell whether a member left an address."""
        return member in self._addresses and kind == EMAIL

    def waiting_notices(self) -> list[str]:
        """Return the ids of the notices that are in the outbox."""
        with sqlite3.connect(outbox_file(self.folder / "notifier", MARKET)) as outbox:
            return [str(row[0]) for row in outbox.execute("SELECT id FROM notices")]

    def _unsent(self, name: str, sending: Dispatcher) -> list[str]:
        """Return what the dispatcher has still to do now."""
        check = sending.check()
        found = [] if check.status == Status.OK and not sending.lag else [f"{name}: {check.sentence}"]
        file = outbox_file(self.folder / name, MARKET)
        with sqlite3.connect(file) as outbox:
            due = outbox.execute("SELECT count(*) FROM notices WHERE due_at <= ?", (self.loop.now_ns(),)).fetchone()[0]
            facts = outbox.execute("SELECT coalesce(max(n), 0) FROM facts").fetchone()[0]
        if due:
            found.append(f"{name}: {due} notices are due")
        if sending.publisher.through is None or sending.publisher.through < facts:
            found.append(f"{name}: facts are published through {sending.publisher.through} of {facts}")
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
