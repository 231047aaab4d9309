"""The alternatives, one after the other, on this machine: joins a second, overfilled and stuck groups of each."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from deploy.cli.output import say
from tests.bench.peers import PeerMissing, PeerResult, broker, naive, postgres, redis


class Peer(NamedTuple):
    measure: Callable[[bool], dict[str, PeerResult]]
    names: tuple[str, ...]


PEERS: Final = (
    Peer(postgres.measure, ("postgres_procedure", "postgres_statements")),
    Peer(redis.measure, ("redis_lua", "redis_lua_pipelined")),
    Peer(naive.measure, ("naive",)),
    Peer(broker.measure, ("broker_singles", "broker_atomic")),
)


def run(quick: bool = False) -> dict[str, Any]:
    """Return `peers` in joins a second by name, what went wrong in them, and why those that are missing are."""
    results: dict[str, PeerResult] = {}
    missing: dict[str, str] = {}
    for peer in PEERS:
        say(f"peers: {', '.join(peer.names)}")
        try:
            results |= peer.measure(quick)
        except PeerMissing as error:
            missing |= dict.fromkeys(peer.names, str(error))
        except Exception as error:  # noqa: BLE001 - whatever ails somebody else's server, the others are measured
            missing |= dict.fromkeys(peer.names, f"failed: {str(error) or type(error).__name__}")
    return {
        "peers": {name: round(result.joins_per_s) for name, result in results.items()},
        "peers_overfilled_groups": {name: result.overfilled for name, result in results.items()},
        "peers_stuck_groups": {name: result.stuck for name, result in results.items()},
        "peers_missing": missing,
    }
