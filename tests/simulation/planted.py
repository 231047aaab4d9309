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
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("events", "services", "deploy", "tests")
SEEDS_MAX: Final = 2_000
STEP: Final = 25
STEP_TIMEOUT_S: Final = 900


class Bug(NamedTuple):
    """One replacement: `old`, which stands once in `path`, becomes `new`."""

    name: str
    path: str
    old: str
    new: str


BUGS: Final = (
    Bug(
        "skip_the_fence",
        "services/matcher/commit.py",
        "fence = {subjects.HEADER_MESSAGE_ID: own_hash, subjects.HEADER_LAST_SEQUENCE: str(self.last_seq)}",
        "return header_block({subjects.HEADER_MESSAGE_ID: own_hash})\n        fence: dict[str, str] = {}",
    ),
    Bug(
        "take_a_lost_fence_for_a_commit",
        "services/matcher/commit.py",
        "            if seq is None:\n                raise FenceLostError(",
        "            if seq is None:\n                return self._committed(self.last_seq + 1, own_hash)\n"
        "                raise FenceLostError(",
    ),
    Bug(
        "forget_the_tracking_row",
        "services/ledger/store.py",
        "Tracking(tracking_name(self.market, self.identity), tip.seq),",
        "Tracking(tracking_name(self.market, self.identity), max(1, tip.seq - 1)),",
    ),
    Bug(
        "archive_all_but_the_last",
        "services/ledger/archiver.py",
        "entries = await self._in_thread(lambda: store.append(records))",
        "entries = await self._in_thread(lambda: store.append(records[:-1] if len(records) > 2 else records))",
    ),
    Bug(
        "drop_the_tail_of_a_batch",
        "services/matcher/domain/engine.py",
        "for index in range(first_index, len(raws)):",
        "for index in range(first_index, min(len(raws), 6)):",
    ),
    Bug(
        "do_not_finish_a_message_after_a_restart",
        "services/matcher/shift.py",
        "        if not entries and first_index >= through.events:\n            return",
        "        return",
    ),
    Bug(
        "decide_a_message_twice_after_a_restart",
        "services/matcher/loop.py",
        "await self._reader.open(self.standing.through_seq + 1)",
        "await self._reader.open(max(1, self.standing.through_seq))",
    ),
    Bug(
        "forget_identities_at_recovery",
        "services/matcher/domain/engine.py",
        "            self._note_event(entry.decisions, raw_event, key)\n        self._close_entry(event, entry.at)",
        "            self._note_event(entry.decisions, None, None)\n        self._close_entry(event, entry.at)",
    ),
    Bug(
        "tell_events_apart_by_their_id_alone",
        "services/matcher/domain/identities.py",
        'f"{publisher}\\n{source}\\n{event_id}"',
        'f"{event_id}"',
    ),
    Bug(
        "resume_by_sequence_alone",
        "services/matcher/intake.py",
        "        if through is None:\n            return identity\n",
        "        if through is None or standing.seq:\n            return identity\n",
    ),
    Bug(
        "read_past_a_gap",
        "services/matcher/intake.py",
        "if self._hole or full or consumer_seq != self._consumer_seq + 1 or seq <= self._received_seq:",
        "if full:",
    ),
    Bug(
        "never_notice_silence",
        "services/matcher/intake.py",
        "return time.monotonic() - self._heard_at_s > SILENCE_S and not self._pending",
        "return False",
    ),
    Bug(
        "trust_a_damaged_snapshot",
        "services/matcher/snapshots.py",
        "if content[:head] != _MAGIC + hashlib.sha256(body).digest():",
        "if content[: len(_MAGIC)] != _MAGIC:",
    ),
    Bug(
        "let_time_go_back",
        "services/matcher/domain/gate.py",
        "return max(last, at)",
        "return at",
    ),
    Bug(
        "seat_at_the_deadline",
        "services/matcher/domain/due.py",
        "    tree.due_from = first\n    return first <= now",
        "    tree.due_from = first + 1\n    return first < now",
    ),
    Bug(
        "owe_a_payment_back_twice",
        "services/matcher/domain/paying.py",
        "    if is_owed(turn, data.order, data.payment):\n        raise Refusal(Reason.PAYMENT_KNOWN)\n    order",
        "    order",
    ),
    Bug(
        "send_results_again_after_a_restart",
        "services/notifier/channels/nats.py",
        "        if journal_seq == known.seq and record_hash != known.hash:",
        "        if self._unconfirmed == 0 and self.tally.messages == 0:\n            return False\n"
        "        if journal_seq == known.seq and record_hash != known.hash:",
    ),
    Bug(
        "skip_what_could_not_be_sent",
        "services/notifier/lane.py",
        "        failed = [bundle for sent in self._sent for bundle in sent.bundles]",
        "        failed: list[Bundle] = []",
    ),
    Bug(
        "answer_with_a_neighbours_outcome",
        "services/matcher/gateway/board.py",
        "request, place, event_id = sent.places[entry.index]",
        "request, place, event_id = sent.places[entry.index - (entry.index > 2)]",
    ),
    Bug(
        "give_stock_back_twice",
        "services/matcher/domain/holdings.py",
        "stock[key] = left = stock[key] + delta",
        "stock[key] = left = stock[key] + delta * (2 if delta > 0 else 1)",
    ),
)


def plant(bug: Bug, folder: Path) -> None:
    """Copy the project into `folder` with the bug in it. Raises ValueError where it does not apply."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / bug.path
    text = file.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: {bug.path} holds its place {text.count(bug.old)} times, expected once")
    file.write_text(text.replace(bug.old, bug.new), encoding="utf-8")


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
