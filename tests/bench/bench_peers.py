"""The alternatives, one after the other, on this machine: joins a second, overfilled and stuck groups of each."""

from collections.abc import Callable
from typing import Any, Final

from tests.bench.peers import PeerResult, broker, naive, postgres, redis

_PEERS: Final[tuple[Callable[[], dict[str, PeerResult]], ...]] = (
    postgres.measure,
    redis.measure,
    naive.measure,
    broker.measure,
)


def run() -> dict[str, Any]:
    """Return `peers` in joins a second by name, and what went wrong in them; a peer that is not here is named."""
    results: dict[str, PeerResult] = {}
    missing: list[str] = []
    for measure in _PEERS:
        try:
            results |= measure()
        except redis.RedisMissingError as error:
            missing.append(str(error))
    return {
        "peers": {name: round(result.joins_per_s) for name, result in results.items()},
        "peers_overfilled_groups": {name: result.overfilled for name, result in results.items()},
        "peers_stuck_groups": {name: result.stuck for name, result in results.items()},
        "peers_missing": missing,
    }
