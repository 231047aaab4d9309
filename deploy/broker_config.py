"""The broker's configuration file: a pure function from settings and users to its text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.permissions import Permissions
from events.limits import PAYLOAD_MAX_BYTES

HOST: Final = "127.0.0.1"
SINGLE_NAME: Final = "groupbuy"
CLUSTER_NAME: Final = "groupbuy"
NOWHERE: Final = "127.0.0.1:1"
"""A port on which nobody listens: what a node would tell the others of itself must not be tried."""
MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What the broker may use; the defaults suit one machine with a few markets."""

    max_payload_bytes: int = PAYLOAD_MAX_BYTES
    # What the broker holds for one slow reader before it drops the connection: 16 of the largest messages.
    max_pending_bytes: int = 128 * MIB
    max_connections: int = 1_024
    # What the notifier sends of results at a time. The broker's own limit is 1,000.
    batch_max_messages: int = 2_000
    # A ceiling for the reservations of all streams, not a reservation of disk.
    max_file_store_bytes: int = 256 * GIB
    max_memory_store_bytes: int = 64 * MIB
    # What its garbage collector aims at: it collects more often before it takes more. No limit of what it may hold.
    # None is a share of the machine's memory. With 1 GiB a broker with two million results collected all the time.
    heap_bytes: int | None = None
    log_file_bytes: int = 16 * MIB
    log_files: int = 3


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A user as the broker's configuration knows it."""

    name: str
    public_key: str
    permissions: Permissions


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """One node of a cluster of brokers: its name, where it listens for the others, and where it finds them.

    `secret` keeps everybody else on the machine out of the routes.
    """

    name: str
    route_port: int
    routes: tuple[str, ...]
    secret: str


def render(
    port: int,
    directory: Path,
    users: Mapping[str, BrokerUser],
    limits: BrokerLimits,
    node: ClusterNode | None = None,
) -> str:
    """Render the configuration of a broker on the loopback address that keeps its data in `directory`.

    Durations are quoted: the broker reads a bare 2m as two million.
    """
    lines = [
        "# Written by groupbuy at every start: changes are lost.",
        f"listen: {_quoted(f'{HOST}:{port}')}",
        f"server_name: {_quoted(SINGLE_NAME if node is None else node.name)}",
        f"log_file: {_quoted(str(directory / 'nats.log'))}",
        f"logfile_size_limit: {limits.log_file_bytes}",
        f"logfile_max_num: {limits.log_files}",
        "logtime_utc: true",
        f"max_payload: {limits.max_payload_bytes}",
        f"max_pending: {limits.max_pending_bytes}",
        f"max_connections: {limits.max_connections}",
        'ping_interval: "20s"',
        'write_deadline: "10s"',
        "jetstream {",
        f"  store_dir: {_quoted(str(directory / 'store'))}",
        f"  max_file_store: {limits.max_file_store_bytes}",
        f"  max_memory_store: {limits.max_memory_store_bytes}",
        "  # An acknowledged message is on the disk, not in a cache.",
        "  sync_interval: always",
        f"  limits {{ batch {{ max_msgs: {limits.batch_max_messages} }} }}",
        "}",
        "authorization {",
        "  users: [",
        *(line for name in sorted(users) for line in _user_lines(users[name])),
        "  ]",
        "}",
        *([] if node is None else _cluster_lines(node)),
    ]
    return "\n".join(lines) + "\n"


def _cluster_lines(node: ClusterNode) -> list[str]:
    user = f"route:{node.secret}@"
    return [
        "cluster {",
        f"  name: {_quoted(CLUSTER_NAME)}",
        f"  listen: {_quoted(f'{HOST}:{node.route_port}')}",
        f"  authorization {{ user: route, password: {_quoted(node.secret)} }}",
        "  # Nodes find each other by the routes below alone, and clients by their own lists.",
        f"  advertise: {_quoted(NOWHERE)}",
        "  no_advertise: true",
        "  routes: [",
        *(f"    {_quoted(f'nats-route://{user}{route}')}," for route in node.routes),
        "  ]",
        "}",
    ]


def _user_lines(user: BrokerUser) -> list[str]:
    return [
        f"    # {user.name}",
        "    {",
        f"      nkey: {user.public_key}",
        "      permissions: {",
        "        publish: {allow: [",
        *(f"          {_quoted(subject)}," for subject in user.permissions.publish),
        "        ]}",
        "        subscribe: {allow: [",
        *(f"          {_quoted(subject)}," for subject in user.permissions.subscribe),
        "        ]}",
        "      }",
        "    }",
    ]


def _quoted(text: str) -> str:
    """Quote a string for the configuration; a `$` inside quotes is not a variable there."""
    return json.dumps(text, ensure_ascii=False)
