"""`python -m tests.simulation.planted [--json]`: plants one bug at a time in the production code, and sees it found.

A checker that has never found anything may be one that cannot. Each bug is one replacement in one file, made in a copy
of the project; seeds are run there until one shows a violation. A bug that survives is a missing checker.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.simulation.bugs import BUGS, Bug

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("events", "services", "deploy", "tests")
SEEDS_MAX: Final = 2_000
STEP: Final = 25
STEP_TIMEOUT_S: Final = 900


def changed(bug: Bug) -> str:
    """Return the text of the bug's file with the bug in it. Raises ValueError where it does not apply."""
    text = (ROOT / bug.path).read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: {bug.path} holds its place {text.count(bug.old)} times, expected once")
    return text.replace(bug.old, bug.new)


def plant(bug: Bug, folder: Path) -> None:
    """Copy the project's sources into `folder` with the bug in them. Raises ValueError where it does not apply."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (folder / bug.path).write_text(changed(bug), encoding="utf-8")


def hunt(bug: Bug) -> dict[str, object]:
    """Return which seed finds a bug, and how; `seed` is None when none of 2,000 does."""
    with tempfile.TemporaryDirectory(prefix="planted-") as temporary:
        folder = Path(temporary)
        plant(bug, folder)
        for first in range(1, SEEDS_MAX + 1, STEP):
            found = _first_violation(folder, first, first + STEP - 1)
            if found is not None:
                return {"bug": bug.name, **found}
    return {"bug": bug.name, "seed": None, "what": None}


def _first_violation(folder: Path, first: int, last: int) -> dict[str, object] | None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", f"{first}..{last}", "--jobs", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            [*command, "--first"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"seed": first, "what": "it hangs"}
    if done.returncode == 0:
        return None
    try:
        found: dict[str, object] = json.loads(done.stdout)["violations"][0]
    except (ValueError, LookupError):
        return {"seed": first, "what": f"it crashes: {done.stderr[-200:]}"}
    return {**found, "what": str(found["what"])[:200]}


def _all(names: list[str], jobs: int) -> Iterator[dict[str, object]]:
    bugs = [bug for bug in BUGS if not names or bug.name in names]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(hunt, bugs)


def main() -> int:
    """Hunt for all bugs, or for those named; exit status 1 when one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("bugs", nargs="*", help="names of bugs; all by default")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bugs at a time")
    given = parser.parse_args()
    found = []
    for one in _all(given.bugs, given.jobs):
        found.append(one)
        if not given.json:
            print(
                f"{one['bug']:>42}  {'survives' if one['seed'] is None else one['seed']}  {one['what'] or ''}",
                flush=True,
            )
    survivors = [one["bug"] for one in found if one["seed"] is None]
    if given.json:
        print(json.dumps({"planted": len(found), "survivors": survivors, "found": found}))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
