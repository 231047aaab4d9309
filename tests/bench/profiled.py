"""`python -m tests.bench.profiled CONFIG.json`: a service under the profiler, by processor time of each thread.

When it ends, DATA/profile-<service>.json says where the time went.
"""

import cProfile
import json
import pstats
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from deploy.plan import MODULES
from services.bus.config import load_config

ROOT: Final = Path(__file__).resolve().parents[2]
SHOWN: Final = 15


def main(config_file: str) -> None:
    """Run the service that the configuration is for, until it is asked to end."""
    config = load_config(Path(config_file))
    # Loads what it imports, so that this is not what the profile shows.
    runpy.run_module(MODULES[config.service], run_name="loaded")
    profiles = [new_profile()]
    _profile_threads(profiles)
    sys.argv = [MODULES[config.service], config_file]
    profiles[0].enable()
    try:
        runpy.run_module(MODULES[config.service], run_name="__main__", alter_sys=True)
    finally:
        profiles[0].disable()
        (config.data_dir / f"profile-{config.service}.json").write_text(json.dumps(functions(profiles)))


def new_profile() -> cProfile.Profile:
    """Return a profiler that counts processor time: what waits costs nothing."""
    return cProfile.Profile(time.thread_time)


def functions(profiles: list[cProfile.Profile]) -> list[dict[str, Any]]:
    """Return the functions with the largest share of their own of the time, as `function`, `percent` and `calls`."""
    stats = pstats.Stats(profiles[0])
    for profile in profiles[1:]:
        stats.add(profile)
    timed: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = stats.stats  # type: ignore[attr-defined]
    total_s = sum(own_s for _, _, own_s, _, _ in timed.values())
    largest = sorted(timed.items(), key=lambda one: one[1][2], reverse=True)[:SHOWN]
    return [
        {"function": _name(*place), "percent": round(100 * own_s / total_s, 1), "calls": calls}
        for place, (_, calls, own_s, _, _) in largest
    ]


def _name(file: str, line: int, function: str) -> str:
    """Return a function's name with its file as seen from the checkout or from where libraries lie."""
    if line == 0:
        return function
    parts = Path(file).parts
    if ROOT.parts == parts[: len(ROOT.parts)]:
        parts = parts[len(ROOT.parts) :]
    if "site-packages" in parts:
        parts = parts[parts.index("site-packages") + 1 :]
    return f"{'/'.join(parts[-4:])}:{function}"


def _profile_threads(profiles: list[cProfile.Profile]) -> None:
    """Have every thread that begins from now on profiled as well."""
    run = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        profile = new_profile()
        try:
            profile.enable()
        except ValueError:
            # From Python 3.12 on a process has one profiler at a time: then only the main thread is seen.
            run(thread)
            return
        try:
            run(thread)
        finally:
            profile.disable()
            profiles.append(profile)

    threading.Thread.run = profiled  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1])
