"""Everything, one part after the other, each in a process of its own, and the report about it.

A part that fails, or takes too long, spoils no other: the report says what is missing and why. What was measured
stays in the report's directory, so that `--only` measures some parts again and keeps the rest.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from events.compiled import INTERPRETED_VARIABLE
from tests.bench.parts import NAMES, PARTS, Part
from tests.bench.report import write_report
from tests.bench.report.machine import machine_facts

END_S: Final = 30.0
JOIN_S: Final = 1.0
LAST_LINES: Final = 3
SUSTAINED_S: Final = 300

Say = Callable[[str], None]


def run(
    out: Path, *, quick: bool = False, only: Sequence[str] = (), seconds: int = SUSTAINED_S, say: Say = print
) -> dict[str, Any]:
    """Measure the parts named in `only`, or all, write the report into `out`, and return its figures.

    `seconds` is for how long the whole stack must keep up. Raises ValueError for a part that there is not.
    """
    check_parts(only)
    kept = out / "parts"
    kept.mkdir(parents=True, exist_ok=True)
    wanted = [part for part in PARTS if not only or part.name in only]
    _write(kept / "machine.json", machine_facts(out))
    for number, part in enumerate(wanted, start=1):
        say(f"{number} of {len(wanted)}: {part.name}")
        begun_s = time.monotonic()
        found = _measure(part, kept / f"{part.name}.json", quick=quick, seconds=seconds)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        found |= {"took_s": round(time.monotonic() - begun_s, 1), "quick": quick, "at": now}
        _write(kept / f"{part.name}.json", found)
        say(f"{part.name} {_how(found)} after {found['took_s']:.0f} s")
    parts = {name: _read(kept / f"{name}.json") for name in NAMES}
    return write_report(out, parts, _read(kept / "machine.json") or {})


def check_parts(only: Sequence[str]) -> None:
    """Raise ValueError for a part that there is not."""
    if unknown := sorted(set(only) - set(NAMES)):
        raise ValueError(f"there is no part {', '.join(unknown)}: the parts are {', '.join(NAMES)}")


def _how(found: dict[str, Any]) -> str:
    return f"was not measured: {found['not_measured']}," if "not_measured" in found else "is done"


def _measure(part: Part, file: Path, *, quick: bool, seconds: int) -> dict[str, Any]:
    """Return the figures of a part measured just now, or why there are none."""
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.bench.part", part.name, str(file.resolve()), f"--seconds={seconds}"]
    limit_s = part.quick_limit_s if quick else part.limit_s
    status, said = in_a_process([*command, *(["--quick"] if quick else [])], limit_s, interpreted=part.interpreted)
    if status is None:
        return {"not_measured": f"given up after {limit_s} s", "failed": True}
    found = _read(file)
    if status != 0 or found is None:
        return {"not_measured": f"the part ended with status {status}: {said or 'it said nothing'}", "failed": True}
    return found


def in_a_process(command: list[str], limit_s: float, *, interpreted: bool = False) -> tuple[int | None, str]:
    """Run a command; return its exit status, None when it took too long, and the last lines that it said.

    With `interpreted` compiled rules are left out of it.
    """
    # A session of its own: whatever the part has started is ended with it.
    process = subprocess.Popen(
        command,
        env={**os.environ, **({INTERPRETED_VARIABLE: "1"} if interpreted else {})},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    listening = threading.Thread(target=_pass_on, args=(process, last), daemon=True)
    listening.start()
    try:
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None, " / ".join(last)
        listening.join(JOIN_S)
        return process.returncode, " / ".join(last)
    finally:
        _end(process)


def _pass_on(process: "subprocess.Popen[str]", last: deque[str]) -> None:
    """Show what a part says, as long as it or what it has started may say something."""
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(f"  {line}")
        sys.stderr.flush()
        if line.strip():
            last.append(line.strip())


def _end(process: "subprocess.Popen[str]") -> None:
    """End a part and what it has started: first asked as by Ctrl-C, so that it clears away, then killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _write(file: Path, figures: dict[str, Any]) -> None:
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found
