"""`python -m tests.chaos --seed N [--rounds N | --minutes M] [--json]`: real processes, real faults, and a report."""

import argparse
import asyncio
import json
import logging
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.chaos.arena import DATABASES, Arena, Setting
from tests.chaos.backlog import play_backlog
from tests.chaos.damage import DAMAGES
from tests.chaos.disks import own_mounts
from tests.chaos.evidence import Violation
from tests.chaos.loss import lose
from tests.chaos.round import Result, in_words, play
from tests.chaos.shoppers import Memory

SHORT_FAULT_S: Final = 12.0
LONG_FAULT_S: Final = 100.0
BACKLOG_DISK_BYTES: Final = 4 * 1024**3
CHOSEN_ANEW: Final = ("--seed", "--rounds", "--minutes", "--database", "--backlog")
LONG_PAUSE_S: Final = (6.0, 70.0)
"""Past the time after which the broker takes a silent client for dead: three pings of 20 s."""


def main() -> int:
    """Play rounds and report; exit status 1 when a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first round's seed; each next one has the next")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help="how many rounds (default 2)")
    parser.add_argument("--minutes", type=float, default=None, metavar="M", help="rounds until so long has passed")
    parser.add_argument("--database", choices=(*DATABASES, "both"), default="both", help="the ledger's; both in turn")
    parser.add_argument(
        "--faults", type=float, default=None, metavar="SECONDS", help="how long faults go on; 0 for losses alone"
    )
    parser.add_argument("--short", action="store_true", help="short rounds with short pauses, as the tests play them")
    parser.add_argument("--only", default="", metavar="WORDS", help="only faults whose kind contains this")
    parser.add_argument("--losses", type=int, default=2, metavar="N", help="damages to the broker's files, each round")
    parser.add_argument("--backlog", type=int, default=0, metavar="N", help="events of a backlog, after the rounds")
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    given = parser.parse_args()
    logging.getLogger("groupbuy").setLevel(logging.CRITICAL)
    why_no_mounts = own_mounts()
    begun_s = time.monotonic()
    results: list[Result] = []
    try:
        asyncio.run(_all(given, results, mounts=why_no_mounts is None))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("interrupted: everything that was started is ended\n")
        return 130
    report = summary(results, time.monotonic() - begun_s)
    sys.stdout.write(f"{json.dumps(report) if given.json else table(report)}\n")
    return int(bool(report["violations"]))


async def _all(given: argparse.Namespace, results: list[Result], *, mounts: bool) -> None:
    main_task = asyncio.current_task()
    assert main_task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, main_task.cancel)
    until_s = time.monotonic() + 60 * given.minutes if given.minutes is not None else None
    rounds = given.rounds
    if rounds is None and until_s is None:
        rounds = 2
    seed = given.seed
    while (rounds is None or len(results) < rounds) and (until_s is None or time.monotonic() < until_s):
        setting = _setting(given, seed, mounts=mounts)
        result = Result(seed, setting.database)
        if setting.fault_s > 0:
            result = await play(setting)
            setting = replace(setting, folder=_folder(seed))
        if result.violation is None and given.losses:
            await _lose(setting, given.losses, result)
        elif setting.folder.exists():
            setting.folder.rmdir()
        results.append(result)
        _tell(result)
        if given.first and result.violation is not None:
            return
        seed += 1
    if given.backlog:
        results.append(await _pile_up(_setting(given, seed, mounts=mounts), given.backlog))
        _tell(results[-1])


async def _lose(setting: Setting, losses: int, result: Result) -> None:
    """Have the broker lose something, in a market of its own; the folder stays where something was wrong."""
    chance = random.Random(setting.seed)
    damages = tuple(chance.sample(DAMAGES, min(losses, len(DAMAGES))))
    begun_s = time.monotonic()
    try:
        lost = await lose(setting, damages)
    except (Violation, ExceptionGroup) as found:
        result.violation, result.kept = f"loss: {in_words(found)}", str(setting.folder)
        return
    except BaseException:
        shutil.rmtree(setting.folder, ignore_errors=True)
        raise
    finally:
        result.seconds += time.monotonic() - begun_s
    shutil.rmtree(setting.folder, ignore_errors=True)
    for each in lost:
        kind = f"{each.damage}: {'noticed and restored' if each.noticed else 'no harm'}"
        result.losses[kind] = result.losses.get(kind, 0) + 1


async def _pile_up(setting: Setting, events: int) -> Result:
    async def playing(arena: Arena, _: Memory, result: Result) -> None:
        await play_backlog(arena, events, result)

    return await play(replace(setting, disk_bytes=BACKLOG_DISK_BYTES), playing)


def _setting(given: argparse.Namespace, seed: int, *, mounts: bool) -> Setting:
    database = DATABASES[seed % len(DATABASES)] if given.database == "both" else given.database
    folder = _folder(seed)
    if given.short:
        fault_s = SHORT_FAULT_S if given.faults is None else given.faults
        return Setting(seed=seed, database=database, folder=folder, fault_s=fault_s, mounts=mounts, only=given.only)
    return Setting(
        seed=seed,
        database=database,
        folder=folder,
        fault_s=LONG_FAULT_S if given.faults is None else given.faults,
        pause_s=LONG_PAUSE_S,
        shoppers=6,
        mounts=mounts,
        only=given.only,
    )


def _folder(seed: int) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))


def _tell(result: Result) -> None:
    """Say on standard error how a round went."""
    went = result.violation or "every promise held"
    sys.stderr.write(
        f"seed {result.seed} ({result.database}): {sum(result.faults.values())} faults, {result.events} events, "
        f"{result.seconds:.0f} s: {went}\n"
    )
    if result.violation is not None:
        sys.stderr.write(f"  again: {again(result)}\n  logs and data: {result.kept}\n")
    sys.stderr.flush()


def again(result: Result) -> str:
    """Return the command that plays a round again: as it was asked for, with its own seed and nothing else."""
    kept, given = [], iter(sys.argv[1:])
    for argument in given:
        if argument.partition("=")[0] in CHOSEN_ANEW:
            if "=" not in argument:
                next(given, None)
        else:
            kept.append(argument)
    own = ["--seed", str(result.seed), "--rounds", "1", "--database", result.database]
    return shlex.join(["python", "-m", "tests.chaos", *own, *kept])


def summary(results: list[Result], took_s: float) -> dict[str, Any]:
    """Return the report on rounds."""
    faults: Counter[str] = Counter()
    skipped: dict[str, str] = {}
    losses: Counter[str] = Counter()
    played = [result for result in results if result.skipped or result.faults]
    for result in results:
        faults.update(result.faults)
        skipped |= result.skipped
        losses.update(result.losses)
    return {
        "rounds": len(results),
        "seeds": [result.seed for result in results],
        "kills": sum(count for kind, count in faults.items() if kind.startswith("kill ")),
        "pauses": sum(count for kind, count in faults.items() if kind.startswith("pause ")),
        "faults": dict(sorted(faults.items())),
        "losses": dict(sorted(losses.items())),
        "skipped": {kind: why for kind, why in sorted(skipped.items()) if all(kind in one.skipped for one in played)},
        "events": sum(result.events for result in results),
        "retries": sum(result.retries for result in results),
        "entries": sum(result.entries for result in results),
        "results": sum(result.notes.get("results", 0) for result in results),
        "violations": [
            {"seed": one.seed, "what": one.violation, "again": again(one), "kept": one.kept}
            for one in results
            if one.violation is not None
        ],
        "backlog_drained_s": [one.notes["backlog_drained_s"] for one in results if "backlog_drained_s" in one.notes],
        "seconds": round(took_s, 1),
    }


def table(report: dict[str, Any]) -> str:
    """Return the report for people."""
    own = ("faults", "losses", "skipped", "violations", "seeds")
    lines = [f"{name:>10}  {value}" for name, value in report.items() if name not in own]
    lines += [f"{count:>10}  {kind}" for kind, count in report["faults"].items()]
    lines += [f"{count:>10}  {kind}" for kind, count in report["losses"].items()]
    lines += [f"{'skipped':>10}  {kind}: {why}" for kind, why in report["skipped"].items()]
    lines += [f"seed {each['seed']}: {each['what']}\n  again: {each['again']}" for each in report["violations"]]
    return "\n".join([*lines, f"{len(report['violations'])} violations"])


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
