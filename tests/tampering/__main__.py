"""`python -m tests.tampering`: exit status 1 when one is missed, or fault is found with an untouched ledger."""

import argparse
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.tampering.trying import DATABASES, Tried, try_all


def main() -> int:
    """Try, and print what became of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.tampering", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many manipulations (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--entries", type=int, default=10_000, help="size of the ledger (default 10000)")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    given = parser.parse_args()

    def tell(tried: Tried) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{tried.seed - given.first + 1} of {given.seeds} ")

    seeds = range(given.first, given.first + given.seeds)
    with tempfile.TemporaryDirectory(prefix="tampering-") as folder:
        outcome = try_all(given.database, Path(folder), seeds, given.entries, tell)
    if given.json:
        sys.stdout.write(f"{msgspec.json.encode(outcome).decode()}\n")
    else:
        sys.stdout.write(f"{outcome.found} of {outcome.seeds} manipulations were found ({outcome.database})\n")
        for tried in outcome.missed:
            sys.stdout.write(f"missed: seed {tried.seed}, {tried.manipulation}: {tried.what}\n")
        sys.stdout.write(f"faults in the untouched ledger: {outcome.untouched_faults}\n")
    return int(outcome.missed_count > 0 or outcome.untouched_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
