"""`python -m tests.chaos.planted [--json]`: plants a bug in a copy of the project, and sees chaos find it.

`tests.simulation.planted` hunts many bugs in a simulation; these few show that the checks on real processes bite too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.simulation.planted import Bug, plant

ROUNDS: Final = 3
TIMEOUT_S: Final = 1_500


class Planted(NamedTuple):
    """A bug, and the chaos that must find it."""

    bug: Bug
    arguments: tuple[str, ...]


PLANTED: Final = (
    Planted(
        Bug(
            "skip_the_fence",
            "services/matcher/commit.py",
            "fence = {subjects.HEADER_MESSAGE_ID: own_hash, subjects.HEADER_LAST_SEQUENCE: str(self.last_seq)}",
            "return header_block({subjects.HEADER_MESSAGE_ID: own_hash})\n        fence: dict[str, str] = {}",
        ),
        ("--only", "rival", "--losses", "0"),
    ),
    Planted(
        Bug(
            "take_as_told_before_it_is_sent",
            "services/notifier/channels/ahead.py",
            "        try:\n            end_seq = await end_of_stream(answer, sent.messages, sent.last_seq)\n",
            "        end.note_stored(sent.last_seq + len(sent.messages), len(sent.messages), sent.items[-1].reached)\n"
            "        try:\n"
            "            end_seq = await end_of_stream(answer, sent.messages, sent.last_seq)\n"
            "        except Exception:\n"
            "            return\n",
        ),
        ("--only", "broker", "--losses", "0"),
    ),
    Planted(
        Bug(
            "forget_how_far_the_journal_came",
            "services/matcher/recovery.py",
            "    await _check_mark(broker, market, snapshots, journal)\n",
            "",
        ),
        ("--faults", "0", "--losses", "14"),
    ),
)


def hunt(planted: Planted) -> dict[str, Any]:
    """Return what chaos finds in a copy with the bug; `what` is None when it survives."""
    with tempfile.TemporaryDirectory(prefix="planted-") as temporary:
        folder = Path(temporary)
        plant(planted.bug, folder)
        command = [sys.executable, "-m", "tests.chaos", "--seed", "1", "--rounds", str(ROUNDS), "--short", "--json"]
        done = subprocess.run(
            [*command, "--first", "--database", "sqlite", *planted.arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "TMPDIR": temporary},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if not done.stdout:
        raise RuntimeError(f"{planted.bug.name}: chaos itself failed: {done.stderr[-500:]}")
    violations = json.loads(done.stdout)["violations"]
    return {"bug": planted.bug.name, "what": violations[0]["what"][:300] if violations else None}


def main() -> int:
    """Hunt for all bugs, or for those named; exit status 1 when one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.planted", description=__doc__)
    parser.add_argument("bugs", nargs="*", help="names of bugs; all by default")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    given = parser.parse_args()
    found = [hunt(each) for each in PLANTED if not given.bugs or each.bug.name in given.bugs]
    if given.json:
        sys.stdout.write(f"{json.dumps(found)}\n")
    else:
        sys.stdout.writelines(f"{each['bug']}: {each['what'] or 'SURVIVES'}\n" for each in found)
    return int(any(each["what"] is None for each in found))


if __name__ == "__main__":
    sys.exit(main())
