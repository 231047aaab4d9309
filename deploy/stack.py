"""A whole stack on this machine: broker and services of its markets under one data directory."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js.errors import ServiceUnavailableError

from deploy.added_markets import added_markets
from deploy.broker import EmbeddedBroker
from deploy.foreign_broker import check_foreign_broker
from deploy.identity import ensure_identities
from deploy.nodes import check_kind, make_nodes
from deploy.permissions import GATEWAY, LEDGER, MATCHER, NOTIFIER, PROVISIONER, check_market
from deploy.plan import StackPlan
from deploy.provision import NotReadyError, provision
from deploy.reach import close_quietly, connect_as
from deploy.stack_files import (
    Address,
    MarketAddress,
    StackError,
    data_lock,
    forget_address,
    logs_directory,
    write_address,
)
from deploy.supervisor import BrokerChild, Say, Supervisor, gather_all
from deploy.wiring import HEALTH_POLL_S, HEALTHY_TIMEOUT_S, Wired, choose_port, wait_until_healthy, wire
from events import subjects

__all__ = ["Stack", "StackPlan"]

STOP_ORDER: Final = (GATEWAY, MATCHER, NOTIFIER, LEDGER, "broker", "node")
"""First nothing new comes in, then what is there is decided, sent and archived, and the broker goes last."""
REPLICAS_MAX: Final = 3


class Stack:
    """The processes of a market, and of those that are added to it, from `start` to `stop`."""

    def __init__(self, plan: StackPlan, say: Say) -> None:
        check_market(plan.market)
        self.plan = plan
        self.data = plan.data.resolve()
        self._say = say
        self._held = ExitStack()
        self._supervisor: Supervisor | None = None
        self._address: Address | None = None
        self._added: dict[str, Wired] = {}
        self.brokers: list[EmbeddedBroker] = []
        """The nodes of the embedded broker, once started; none where it is somebody else's."""

    @property
    def address(self) -> Address:
        """Where the stack is reached, once started."""
        assert self._address is not None, "the stack is started"
        return self._address

    @property
    def market(self) -> str:
        """The first market's name."""
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
            if self.plan.nats_url is not None:
                await self._check_foreign_broker(nats_url)
            await self._provision(nats_url, self.market)
            wired = wire(self.plan, self.data, nats_url, is_first=True)
            self._address = Address(
                pid=os.getpid(),
                market=self.market,
                nats_url=nats_url,
                http_url=wired.address.http_url,
                more_http_urls=wired.address.more_http_urls,
                services=wired.address.services,
            )
            await self._run(wired)
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

    @property
    def added(self) -> tuple[str, ...]:
        """The markets that are served beside the first."""
        return tuple(self._added)

    async def add(self, plan: StackPlan) -> None:
        """Serve the market of `plan` as well, by services of its own; every other process goes on.

        Connections of services and publishers are made anew, as their rights change. Raises StackError, or the error
        of the broker or its streams, and then none of the market's services is left running.
        """
        assert self.brokers, "the users of a broker that is somebody else's cannot be changed"
        assert plan.market not in (self.market, *self._added), f"{plan.market} is served already"
        for broker in self.brokers:
            if plan.market not in broker.markets:
                await broker.reload(markets=[plan.market])
        await self._provision(self.address.nats_url, plan.market)
        wired = wire(plan, self.data, self.address.nats_url, is_first=False)
        try:
            await self._run(wired)
        except Exception:
            await self.supervisor.remove(_names(wired))
            raise
        self._added[plan.market] = wired

    async def remove(self, market: str) -> None:
        """Serve an added market no more; its streams, its ledger and its keys stay."""
        await self.supervisor.remove(_names(self._added.pop(market)))

    def say_where(self, *, takes_markets: bool, troubles: Mapping[str, str]) -> None:
        """Say where the stack and its added markets are reached, and what keeps others from being served."""
        self._address = msgspec.structs.replace(
            self.address,
            added={market: wired.address for market, wired in self._added.items()}
            | {market: MarketAddress(trouble=trouble) for market, trouble in troubles.items()},
            takes_markets=takes_markets,
        )
        write_address(self.data, self._address)

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

    async def intake_last_seq(self, market: str | None = None) -> int:
        """Return the sequence of the last message ever put into a market's intake; 0 for a fresh one.

        Waits for a broker that was killed and is being started again. Raises StackError when it does not come back.
        """
        until = time.monotonic() + HEALTHY_TIMEOUT_S
        while time.monotonic() < until:
            try:
                async with self.connected(PROVISIONER) as client:
                    info = await client.jetstream().stream_info(subjects.intake_stream(market or self.market))
                    return info.state.last_seq
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(HEALTH_POLL_S)
        raise StackError(
            f"the broker did not come back within {HEALTHY_TIMEOUT_S:.0f} s; see {logs_directory(self.data)}"
        )

    async def _run(self, wired: Wired) -> None:
        """Start the services of a market beside what runs, and return when they are well."""
        self.supervisor.children = (*self.supervisor.children, *wired.children.values())
        await self.supervisor.start()
        await wait_until_healthy(wired, self.supervisor)

    async def _start_broker(self) -> str:
        """Start the embedded broker, or look at the foreign one; return its address."""
        plan = self.plan
        added = [market for market in added_markets(self.data) if market != plan.market]
        if plan.nats_url is not None:
            if added:
                raise StackError(
                    f"{self.data} has the markets {', '.join(added)} beside {plan.market}, which takes a broker of its "
                    "own: leave --nats out, or take them away with `groupbuy market remove`"
                )
            self._supervisor = Supervisor([], self._say, STOP_ORDER)
            return plan.nats_url
        check_kind(self.data, wants_cluster=plan.nodes > 1)
        markets = [plan.market, *added]
        port = choose_port(plan.nats_port, "--nats-port")
        if plan.nodes == 1:
            self.brokers = [EmbeddedBroker(self.data, markets, publishers=plan.publishers, port=port)]
        else:
            self.brokers = make_nodes(
                self.data,
                markets,
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

    async def _check_foreign_broker(self, nats_url: str) -> None:
        plan = self.plan
        await check_foreign_broker(self.data, nats_url, plan.market, plan.publishers, may_provision=plan.may_provision)

    async def _provision(self, nats_url: str, market: str) -> None:
        limits = replace(self.plan.limits, replicas=min(self.plan.nodes, REPLICAS_MAX))
        until = time.monotonic() + HEALTHY_TIMEOUT_S
        client = await connect_as(self.data, nats_url, PROVISIONER)
        try:
            while True:
                try:
                    await provision(client, market, self.plan.publishers, limits)
                    return
                except (NotReadyError, nats.errors.TimeoutError, ServiceUnavailableError):
                    # A cluster that has just begun has not chosen the leaders of its streams yet.
                    if self.plan.nodes == 1 or time.monotonic() > until:
                        raise
                    await asyncio.sleep(HEALTH_POLL_S)
        finally:
            await close_quietly(client)


def _names(wired: Wired) -> list[str]:
    return [child.name for child in wired.children.values()]
