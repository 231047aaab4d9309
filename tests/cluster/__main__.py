"""`python -m tests.cluster --json`: how long the journal stands still when something in a cluster dies, many times.

Three brokers and two copies of each service on this machine, a publisher who goes on all the time, and in the end the
checks of `setting`: every acknowledged event has exactly one outcome, both archives verify, audit and replay.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tests.cluster import faults
from tests.cluster.setting import Cluster, Load, check_everything, running_cluster

RATE_PER_S: Final = 40
LONG_PAUSE_S: Final = 15.0
PARTITION_S: Final = 20.0
REST_S: Final = 3.0


def main() -> int:
    """Measure, print, and return 1 when something was lost, doubled, or took longer than promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--matcher-kills", type=int, default=20)
    parser.add_argument("--node-kills", type=int, default=6)
    parser.add_argument("--pauses", type=int, default=3, help="SIGSTOPs of the leading matcher")
    parser.add_argument("--partitions", type=int, default=3, help="separations of the node that leads the journal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="report as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        report = asyncio.run(_measure(Path(folder), given))
    if given.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:>24}  {value}")
    return 0


async def _measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(given.seed)
    begun_s = time.monotonic()
    async with running_cluster(folder) as cluster:
        found: dict[str, list[float]] = {}

        async def repeat(name: str, times: int, fault: Callable[[], Awaitable[float]], rest_s: float) -> None:
            for _ in range(times):
                found.setdefault(name, []).append(await fault())
                print(f"{name}: next record after {found[name][-1]:.2f} s", file=sys.stderr)
                await _until_whole(cluster, rest_s + faults.pause_s(chance))

        async with Load(cluster, RATE_PER_S) as load:
            await asyncio.sleep(REST_S)
            await repeat("matcher_killed", given.matcher_kills, lambda: faults.kill_leader(cluster), 0.0)
            await repeat("node_killed", given.node_kills, lambda: faults.kill_node(cluster), REST_S)
            await repeat(
                "matcher_stopped", given.pauses, lambda: faults.stop_leader(cluster, LONG_PAUSE_S), LONG_PAUSE_S
            )
            await repeat(
                "node_cut_off",
                given.partitions,
                lambda: faults.cut_off_leading_node(cluster, PARTITION_S),
                PARTITION_S,
            )
        checked = await check_everything(cluster, load.acknowledged)
    return {
        **{name: _summary(times) for name, times in found.items()},
        **checked,
        "seconds": time.monotonic() - begun_s,
    }


async def _until_whole(cluster: Cluster, rest_s: float) -> None:
    """Rest, and wait until all nodes hold everything and there is a matcher that stands by again."""
    await asyncio.sleep(rest_s)
    await faults.until_replicated(cluster)
    await cluster.until_standing_by()


def _summary(times_s: list[float]) -> dict[str, Any]:
    return {
        "times": len(times_s),
        "median_s": round(statistics.median(times_s), 2),
        "max_s": round(max(times_s), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
