"""`python -m tests.simulation --seeds A..B [--json]`: run seeds and report."""

import argparse
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool
from typing import Any, Final

from tests.simulation.run import Result, simulate

CHUNK: Final = 10
SEEDS_IN_A_PROCESS: Final = 100


def main() -> int:
    """Run what the arguments say; exit status 1 when a seed shows a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="1..100", metavar="A..B", help="the first and the last seed")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="seeds at a time")
    parser.add_argument("--verbose", action="store_true", help="show what the services log")
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("..")
    if not first.isdigit() or not (last or first).isdigit():
        parser.error(f"--seeds {given.seeds}: expected A..B with two whole numbers")
    logging.basicConfig(level=logging.INFO)
    logging.disable(logging.NOTSET if given.verbose else logging.CRITICAL)
    seeds = range(int(first), int(last or first) + 1)
    begun_s = time.perf_counter()
    results = []
    for result in _all(seeds, given.jobs, quiet=given.json):
        results.append(result)
        if given.first and result.violation is not None:
            break
    report = summary(results, time.perf_counter() - begun_s)
    print(json.dumps(report) if given.json else _table(report))
    return 1 if report["violations"] else 0


def _all(seeds: range, jobs: int, *, quiet: bool) -> Iterator[Result]:
    if len(seeds) <= SEEDS_IN_A_PROCESS and (jobs == 1 or len(seeds) == 1):
        yield from (_told(simulate(seed), quiet) for seed in seeds)
        return
    # A world that is over keeps its 13 MiB: to collect it would end its coroutines, which nobody awaits any more.
    # Not a ProcessPoolExecutor: with `max_tasks_per_child` CPython 3.11's may wait for a process that has ended.
    with Pool(jobs, maxtasksperchild=SEEDS_IN_A_PROCESS // CHUNK) as pool:
        yield from (_told(result, quiet) for result in pool.imap(simulate, seeds, chunksize=CHUNK))


def _told(result: Result, quiet: bool) -> Result:
    if result.violation is not None and not quiet:
        print(f"seed {result.seed}: {result.violation}", file=sys.stderr)
        print(f"  again: python -m tests.simulation --seeds {result.seed}..{result.seed} --verbose", file=sys.stderr)
    return result


def summary(results: list[Result], took_s: float) -> dict[str, Any]:
    """Return the report on seeds."""
    faults, decided = Counter[str](), Counter[str]()
    for result in results:
        faults.update(result.faults)
        decided.update(result.decided)
    simulated_s = sum(result.simulated_s for result in results)
    cpu_s = sum(result.cpu_s for result in results)
    return {
        "seeds": len(results),
        "violations": [{"seed": one.seed, "what": one.violation} for one in results if one.violation is not None],
        "simulated_hours": round(simulated_s / 3_600, 2),
        "faults": dict(sorted(faults.items())),
        "decided": dict(sorted(decided.items())),
        "seconds": round(took_s, 1),
        "cpu_seconds": round(cpu_s, 1),
        "times_real_time": round(simulated_s / cpu_s) if cpu_s else 0,
        "trace": results[0].trace if len(results) == 1 else None,
    }


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{name:>18}  {value}" for name, value in report.items() if name not in ("faults", "decided", "violations")
    ]
    lines += [f"{'fault ' + name:>24}  {count}" for name, count in report["faults"].items()]
    lines.append(f"{'decisions':>18}  {sum(report['decided'].values())} of {len(report['decided'])} kinds")
    return "\n".join([*lines, f"{len(report['violations'])} violations"])


if __name__ == "__main__":
    # Texts hash alike in every process, so that a seed is the same run everywhere.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
