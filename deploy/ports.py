"""Ports on the loopback address: a free one, whether one is taken, whether somebody listens."""

import socket
from typing import Final

from deploy.broker_config import HOST
from deploy.broker_error import BrokerError, PortTakenError

PROBE_TIMEOUT_S: Final = 0.05


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def refuse_taken_port(port: int) -> None:
    """Raise PortTakenError when another program has the port, BrokerError when this user may not have it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise BrokerError(f"port {port} needs rights that this user lacks: choose one above 1023") from None
        except (OSError, OverflowError):
            raise PortTakenError(HOST, port) from None


def listens(port: int) -> bool:
    """Tell whether anybody takes connections at the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        return probe.connect_ex((HOST, port)) == 0
