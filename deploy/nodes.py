"""The nodes of a cluster of brokers on this machine: who connects to whom, over which data."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import nats
import nats.errors
from nats.js.errors import APIError

from deploy.broker import EmbeddedBroker
from deploy.broker_config import HOST, BrokerLimits, ClusterNode
from deploy.identity import keys_directory
from deploy.permissions import PROVISIONER
from deploy.stack_files import StackError, free_service_port, write_private
from deploy.supervisor import gather_all

NODES: Final = 3
"""Enough that one may fail: a majority of three is two."""
NODES_MAX: Final = 5
SECRET_BYTES: Final = 24
READY_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.1
PROBE: Final = "groupbuy-ready"

Way = Callable[[int, int, int], int]
"""Returns the port by which one node reaches another: from its number, to whose number, listening at which port."""


def straight(_from: int, _to: int, port: int) -> int:
    """Reach another node where it listens."""
    return port


def make_nodes(
    data: Path,
    markets: Sequence[str],
    *,
    publishers: Iterable[str],
    count: int = NODES,
    first_port: int | None = None,
    limits: BrokerLimits | None = None,
    way: Way = straight,
) -> list[EmbeddedBroker]:
    """Return the brokers of a cluster over one data directory, not started yet; node 1 takes `first_port` for clients.

    They become ready only together: start them at once. Raises StackError when the data belongs to a single broker.
    """
    assert 2 <= count <= NODES_MAX, f"{count} nodes"
    check_kind(data, wants_cluster=True)
    secret = _ensure_route_secret(data)
    taken: list[int] = []
    for _ in range(2 * count):
        taken.append(free_service_port(taken))
    route_ports, client_ports = taken[:count], taken[count:]
    client_ports[0] = first_port or client_ports[0]
    brokers = []
    for number in range(1, count + 1):
        others = [other for other in range(1, count + 1) if other != number]
        routes = tuple(f"{HOST}:{way(number, other, route_ports[other - 1])}" for other in others)
        node = ClusterNode(f"node-{number}", route_ports[number - 1], routes, secret)
        port = client_ports[number - 1]
        brokers.append(EmbeddedBroker(data, markets, publishers=publishers, port=port, limits=limits, node=node))
    return brokers


@contextlib.asynccontextmanager
async def running_nodes(brokers: Sequence[EmbeddedBroker]) -> AsyncIterator[str]:
    """Run the nodes of a cluster, and give the address of all of them."""
    try:
        await gather_all(broker.start() for broker in brokers)
        await _until_all_take_part(brokers)
        yield ",".join(broker.url for broker in brokers)
    finally:
        await asyncio.gather(*(broker.stop() for broker in brokers))


async def _until_all_take_part(brokers: Sequence[EmbeddedBroker]) -> None:
    """Wait until a stream can be kept by all nodes, by making one and deleting it again."""
    until = time.monotonic() + READY_TIMEOUT_S
    client = await nats.connect(brokers[0].url, **brokers[0].connect_options(PROVISIONER))
    try:
        while True:
            try:
                jetstream = client.jetstream(timeout=READY_TIMEOUT_S)
                await jetstream.add_stream(name=PROBE, subjects=[PROBE], num_replicas=len(brokers))
                await jetstream.delete_stream(PROBE)
                return
            except (APIError, TimeoutError, nats.errors.Error) as error:
                if time.monotonic() > until:
                    raise StackError(f"the nodes of the cluster do not find each other: {error}") from None
                await asyncio.sleep(POLL_S)
    finally:
        await client.close()


def is_cluster(data: Path) -> bool:
    """Tell whether a data directory holds the streams of a cluster."""
    return (data / "node-1" / "store").exists()


def has_broker(data: Path) -> bool:
    """Tell whether a data directory holds streams of a broker of its own, or of several."""
    return _single_store(data).exists() or is_cluster(data)


def _single_store(data: Path) -> Path:
    return data / "broker" / "store"


def check_kind(data: Path, *, wants_cluster: bool) -> None:
    """Refuse to run a cluster over the data of a single broker, or the other way round.

    A broker that joins a cluster deletes the streams that the cluster does not know.
    """
    if wants_cluster and _single_store(data).exists():
        raise StackError(
            f"{data} holds a market on a single broker, which a cluster cannot take over: once everything is archived, "
            f"stop it, move {data / 'broker'} away, and fill a cluster from the ledger with "
            "`groupbuy ledger restore --cluster`"
        )
    if not wants_cluster and is_cluster(data):
        raise StackError(f"{data} holds a market on a cluster of brokers: start it with `groupbuy up --cluster`")


def _ensure_route_secret(data: Path) -> str:
    path = keys_directory(data) / "routes.secret"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, f"{secrets.token_urlsafe(SECRET_BYTES)}\n".encode())
    return path.read_text(encoding="ascii").strip()
