"""One market's whole stack on this machine: broker, services and their wiring under a data directory."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import ServiceUnavailableError

from deploy.broker import EmbeddedBroker
from deploy.broker_config import HOST, BrokerLimits, BrokerUser, render
from deploy.copies import Copy, copies_of, data_of
from deploy.identity import DEFAULT_PUBLISHERS, ensure_identities
from deploy.nodes import Way, check_kind, make_nodes, straight
from deploy.permissions import (
    GATEWAY,
    LEDGER,
    MATCHER,
    NOTIFIER,
    PROVISIONER,
    SERVICE_USERS,
    all_permissions,
    check_market,
)
from deploy.provision import NotReadyError, StreamLimits, provision
from deploy.reach import close_quietly, connect_as, http_get, missing_streams
from deploy.stack_files import (
    Address,
    StackError,
    config_directory,
    data_lock,
    ensure_link_key,
    ensure_market_key,
    ensure_tokens,
    forget_address,
    free_service_port,
    is_port_free,
    logs_directory,
    write_address,
    write_private,
    write_service_configs,
)
from deploy.supervisor import BrokerChild, Child, Say, ServiceChild, Supervisor, gather_all, last_line
from events import subjects
from services.bus.config import SQLITE_URL, ServiceConfig

SERVICES: Final = (MATCHER, LEDGER, NOTIFIER, GATEWAY)
"""In the order in which they are started."""
STOP_ORDER: Final = (GATEWAY, MATCHER, NOTIFIER, LEDGER, "broker", "node")
"""First nothing new comes in, then what is there is decided, sent and archived, and the broker goes last."""
REPLICAS_MAX: Final = 3
MODULES: Final = {
    MATCHER: "services.matcher",
    LEDGER: "services.ledger",
    NOTIFIER: "services.notifier",
    GATEWAY: "services.matcher.gateway",
}
EXAMPLE_PORT: Final = 4222
HEALTHY_TIMEOUT_S: Final = 60.0
HEALTH_POLL_S: Final = 0.05
STARTS_MAX: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """What to run and where. A port of None takes any that is free.

    With `nats_url` the broker is somebody else's: it is only checked, unless `may_provision` allows to make the
    streams that it lacks. `ledger_url` is the ledger's database, `sqlite:` or a PostgreSQL URL. The ledger signs as
    `log_host`/groupbuy/MARKET and asks the witnesses, verifier key by URL. More than one of `nodes` make a cluster of
    embedded brokers, which keeps every stream `nodes` times (three at most); of each service there are so many
    `copies`.
    """

    data: Path
    market: str = "main"
    nats_port: int | None = None
    http_port: int | None = None
    nats_url: str | None = None
    may_provision: bool = False
    log_host: str = "localhost"
    ledger_url: str = SQLITE_URL
    witnesses: tuple[tuple[str, str], ...] = ()
    publishers: tuple[str, ...] = DEFAULT_PUBLISHERS
    services: tuple[str, ...] = SERVICES
    nodes: int = 1
    copies: int = 1
    limits: StreamLimits = field(default_factory=StreamLimits)
    way: Way = straight


class Stack:
    """The processes of one market, from `start` to `stop`."""

    def __init__(self, plan: StackPlan, say: Say) -> None:
        check_market(plan.market)
        self.plan = plan
        self.data = plan.data.resolve()
        self._say = say
        self._held = ExitStack()
        self._supervisor: Supervisor | None = None
        self._address: Address | None = None
        self._http_ports: dict[str, int] = {}
        self.brokers: list[EmbeddedBroker] = []
        """The nodes of the embedded broker, once started; none where it is somebody else's."""

    @property
    def address(self) -> Address:
        """Where the stack is reached, once started."""
        assert self._address is not None, "the stack is started"
        return self._address

    @property
    def market(self) -> str:
        """The market's name."""
        return self.plan.market

    @property
    def supervisor(self) -> Supervisor:
        """Who keeps the processes alive, once started."""
        assert self._supervisor is not None, "the stack is started"
        return self._supervisor

    async def start(self) -> None:
        """Start everything and return when every service is healthy.

        Raises StackError, or the error of the broker, its keys or its streams, and then nothing is left running.
        """
        self._held.enter_context(data_lock(self.data))
        try:
            ensure_identities(self.data, self.plan.publishers)
            nats_url = await self._start_broker()
            await self._provision(nats_url)
            children = self._wire(nats_url)
            self.supervisor.children = (*self.supervisor.children, *children)
            await self.supervisor.start()
            await self._wait_until_healthy()
            write_address(self.data, self.address)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> None:
        """End everything in order; what was acknowledged is kept."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            await supervisor.stop()
            forget_address(self.data)
        self._held.close()

    async def __aenter__(self) -> "Stack":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @contextlib.asynccontextmanager
    async def connected(self, user: str) -> AsyncIterator[Client]:
        """Give a connection to the broker as one of its users."""
        client = await connect_as(self.data, self.address.nats_url, user)
        try:
            yield client
        finally:
            await close_quietly(client)

    async def intake_last_seq(self) -> int:
        """Return the sequence of the last message ever put into the intake; 0 for a fresh market.

        Waits for a broker that was killed and is being started again. Raises StackError when it does not come back.
        """
        until = time.monotonic() + HEALTHY_TIMEOUT_S
        while time.monotonic() < until:
            try:
                async with self.connected(PROVISIONER) as client:
                    info = await client.jetstream().stream_info(subjects.intake_stream(self.market))
                    return info.state.last_seq
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(HEALTH_POLL_S)
        raise StackError(
            f"the broker did not come back within {HEALTHY_TIMEOUT_S:.0f} s; see {logs_directory(self.data)}"
        )

    async def _start_broker(self) -> str:
        """Start the embedded broker, or look at the foreign one; return its address."""
        plan = self.plan
        if plan.nats_url is not None:
            self._supervisor = Supervisor([], self._say, STOP_ORDER)
            return plan.nats_url
        check_kind(self.data, wants_cluster=plan.nodes > 1)
        port = _choose_port(plan.nats_port, "--nats-port")
        if plan.nodes == 1:
            self.brokers = [EmbeddedBroker(self.data, [plan.market], publishers=plan.publishers, port=port)]
        else:
            self.brokers = make_nodes(
                self.data,
                [plan.market],
                publishers=plan.publishers,
                count=plan.nodes,
                first_port=port,
                way=plan.way,
            )
        children = [BrokerChild(broker, broker.directory.name) for broker in self.brokers]
        self._supervisor = Supervisor(children, self._say, STOP_ORDER)
        # Together: a node of a cluster is ready when it has found the others.
        await gather_all(self._supervisor.start_one(child) for child in children)
        return ",".join(broker.url for broker in self.brokers)

    async def _provision(self, nats_url: str) -> None:
        if self.plan.nats_url is not None:
            await self._check_foreign_broker(nats_url)
        limits = replace(self.plan.limits, replicas=min(self.plan.nodes, REPLICAS_MAX))
        until = time.monotonic() + HEALTHY_TIMEOUT_S
        client = await connect_as(self.data, nats_url, PROVISIONER)
        try:
            while True:
                try:
                    await provision(client, self.market, self.plan.publishers, limits)
                    return
                except (NotReadyError, nats.errors.TimeoutError, ServiceUnavailableError):
                    # A cluster that has just begun has not chosen the leaders of its streams yet.
                    if self.plan.nodes == 1 or time.monotonic() > until:
                        raise
                    await asyncio.sleep(HEALTH_POLL_S)
        finally:
            await close_quietly(client)

    async def _check_foreign_broker(self, nats_url: str) -> None:
        """Refuse a broker that does not know our users, or has not the market's streams."""
        example = write_broker_example(self.data, self.market, self.plan.publishers)
        try:
            client = await connect_as(self.data, nats_url, PROVISIONER)
        except (nats.errors.Error, OSError) as error:
            raise StackError(
                f"the broker at {nats_url} does not take the user {PROVISIONER} ({error}): give it the users "
                f"and limits in {example}, which were written for it just now"
            ) from None
        try:
            missing = await missing_streams(client, self.market)
        finally:
            await close_quietly(client)
        if missing and not self.plan.may_provision:
            raise StackError(
                f"the broker at {nats_url} lacks {', '.join(missing)}: make them first with "
                "`--provision`, or as your other streams are made"
            )

    def _wire(self, nats_url: str) -> list[Child]:
        """Write the services' configurations and return their processes, not started yet."""
        copies = copies_of(self.plan.services, self.plan.copies)
        ports: dict[str, int] = {}
        for copy in copies:
            ports[copy.name] = free_service_port([*ports.values()])
        for copy in copies:
            if copy.service == GATEWAY:
                wanted = self.plan.http_port if copy.number == 1 else None
                self._http_ports[copy.name] = _choose_port(wanted, "--http-port")
        urls = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
        configs = {copy.name: self._config(copy, nats_url, ports[copy.name], urls) for copy in copies}
        files = write_service_configs(self.data, configs)
        gateways = [f"http://{HOST}:{port}" for port in self._http_ports.values()]
        self._address = Address(
            pid=os.getpid(),
            market=self.market,
            nats_url=nats_url,
            http_url=gateways[0] if gateways else None,
            more_http_urls=gateways[1:],
            services=urls,
        )
        logs = logs_directory(self.data)
        return [
            ServiceChild(copy.name, MODULES[copy.service], files[copy.name], logs / f"{copy.name}.log")
            for copy in copies
        ]

    def _config(self, copy: Copy, nats_url: str, health_port: int, urls: dict[str, str]) -> ServiceConfig:
        name = copy.service
        is_gateway = name == GATEWAY
        return ServiceConfig(
            service=name,
            market=self.market,
            nats_url=nats_url,
            user=name,
            nkey_seed_file=self.data / "keys" / f"{name}.nk",
            market_key_file=ensure_market_key(self.data, self.market) if name in (MATCHER, LEDGER) else None,
            data_dir=data_of(self.data, copy),
            health_port=health_port,
            http_host=HOST,
            http_port=self._http_ports.get(copy.name, 0),
            tokens_file=ensure_tokens(self.data, self.plan.publishers) if is_gateway else None,
            link_key_file=ensure_link_key(self.data, self.market) if is_gateway else None,
            peers={peer: url for peer, url in urls.items() if peer != copy.name} if is_gateway else {},
            ledger_url=self.plan.ledger_url if copy.service == LEDGER else SQLITE_URL,
            log_host=self.plan.log_host,
            witnesses=dict(self.plan.witnesses) if name == LEDGER and copy.signs else {},
            standby_s=copy.standby_s(self.plan.copies),
            signs=copy.signs,
            dispatches=copy.dispatches,
        )

    async def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTHY_TIMEOUT_S
        waiting = list(self.address.services)
        findings = "no answer"
        while waiting:
            name = waiting[0]
            findings = await self._finding(name)
            if findings == "":
                waiting.pop(0)
                continue
            if self.supervisor.restarts.get(name, 0) >= STARTS_MAX or time.monotonic() > deadline:
                log = logs_directory(self.data) / f"{name}.log"
                raise StackError(f"{name} does not get healthy: {findings}; the end of {log} is: {last_line(log)}")
            await asyncio.sleep(HEALTH_POLL_S)

    async def _finding(self, name: str) -> str:
        """Return what is wrong with a service, "" when it is healthy."""
        try:
            status, body = await http_get(f"{self.address.services[name]}/healthz")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            return f"no answer ({type(error).__name__})"
        return "" if status == 200 else body.decode(errors="replace")[:500]


def write_broker_example(data: Path, market: str, publishers: tuple[str, ...]) -> Path:
    """Write a configuration for a foreign broker with this data directory's users and rights; return the file."""
    identities = ensure_identities(data, publishers)
    ordinary = [user for user in identities if user not in SERVICE_USERS]
    users = {
        name: BrokerUser(name, identities[name].public_key, permissions)
        for name, permissions in all_permissions([market], ordinary).items()
    }
    path = config_directory(data) / "nats-example.conf"
    write_private(path, render(EXAMPLE_PORT, Path("jetstream"), users, BrokerLimits()).encode())
    return path


def _choose_port(wanted: int | None, option: str) -> int:
    """Return the wanted port, else one that is free."""
    if wanted is None:
        return free_service_port()
    if not is_port_free(wanted):
        raise StackError(f"port {wanted} on {HOST} cannot be used: stop what uses it or choose another with {option}")
    return wanted
