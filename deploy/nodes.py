"""The nodes of a cluster of brokers on this machine: who connects to whom, over which data."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.broker import EmbeddedBroker
from deploy.broker_config import HOST, BrokerLimits, ClusterNode
from deploy.identity import keys_directory
from deploy.stack_files import StackError, free_service_port, write_private

NODES: Final = 3
"""Enough that one may fail: a majority of three is two."""
NODES_MAX: Final = 5
SECRET_BYTES: Final = 24

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
    check_kind(data, is_cluster=True)
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


def check_kind(data: Path, *, is_cluster: bool) -> None:
    """Refuse to run a cluster over the data of a single broker, or the other way round.

    A broker that joins a cluster deletes the streams that the cluster does not know.
    """
    single, nodes = data / "broker" / "store", data / "node-1" / "store"
    if is_cluster and single.exists():
        raise StackError(
            f"{data} holds a market on a single broker, which a cluster cannot take over: start the cluster over "
            "another --data, and fill it from the ledger with `groupbuy ledger restore`"
        )
    if not is_cluster and nodes.exists():
        raise StackError(f"{data} holds a market on a cluster of brokers: start it with `groupbuy up --cluster`")


def _ensure_route_secret(data: Path) -> str:
    path = keys_directory(data) / "routes.secret"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, f"{secrets.token_urlsafe(SECRET_BYTES)}\n".encode())
    return path.read_text(encoding="ascii").strip()
