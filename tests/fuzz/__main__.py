"""Runs one of the fuzzers for as long as wanted: `python -m tests.fuzz rules|service|files [--seed N] [--count N]`."""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.fuzz.files import fuzz_files
from tests.fuzz.rules import Found, fuzz
from tests.fuzz.service import fuzz_service

COUNTS: Final = {"rules": 1_000_000, "service": 100_000, "files": 20_000}


def main() -> int:
    """Run what the arguments ask for; return 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=sorted(COUNTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, help="messages, events, or changes of each file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    count = given.count or COUNTS[given.what]
    # A damaged snapshot is a warning each.
    logging.disable(logging.WARNING)
    begun_s = time.monotonic()
    try:
        tally = _run(given.what, given.seed, count)
    except Found as found:
        sys.stderr.write(f"found: {found}\nrepeat: python -m tests.fuzz {given.what} --seed {given.seed}\n")
        return 1
    seconds = round(time.monotonic() - begun_s, 1)
    if given.json:
        sys.stdout.write(f"{json.dumps({'count': count, 'seconds': seconds, 'tally': tally})}\n")
        return 0
    for name, times in tally.most_common():
        sys.stdout.write(f"{times:>10,}  {name}\n")
    sys.stdout.write(f"{given.what}: {count:,} and nothing found, in {seconds} s\n")
    return 0


def _run(what: str, seed: int, count: int) -> Counter[str]:
    if what == "rules":
        done = fuzz(seed, count)
        counts = {"markets": done.markets, "messages": done.messages, "states compared": done.compared}
        return done.outcomes + Counter(counts)
    if what == "service":
        return fuzz_service(seed, count)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        return fuzz_files(seed, count, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
