"""What machine the figures are from: cores, kernel, memory, versions, and how long a flush to its disk takes."""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from deploy.broker_binary import find_binary
from deploy.broker_error import BrokerError
from events.compiled import way

FLUSHES: Final = 200
FLUSH_BYTES: Final = 4_096
LOOK_S: Final = 1.0


def machine_facts(directory: Path) -> dict[str, Any]:
    """Return the facts; flushes are measured where temporary files lie, since the benchmarks keep their data there."""
    flushes_us = flush_times_us(Path(tempfile.gettempdir()))
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "memory_gib": memory_gib(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rules": way(),
        "broker": _version([_broker(), "--version"]),
        "redis": _version(["redis-server", "--version"]),
        "fsync_p50_us": round(statistics.median(flushes_us)),
        "fsync_p99_us": round(statistics.quantiles(flushes_us, n=100)[98]),
        "busy_cores_before": _busy_cores(),
        "report": directory.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def flush_times_us(directory: Path) -> list[float]:
    """Return how long each of many flushes of 4 KiB, appended to a file in `directory`, took in µs."""
    took_us = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(FLUSHES):
            file.write(b"x" * FLUSH_BYTES)
            begun_s = time.perf_counter()
            os.fdatasync(file.fileno())
            took_us.append((time.perf_counter() - begun_s) * 1e6)
    return took_us


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def memory_gib() -> float:
    """Return how much memory the machine has."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1)


def _broker() -> str:
    try:
        return str(find_binary())
    except BrokerError:
        return "nats-server"


def _version(command: list[str]) -> str | None:
    """Return what a program says of its version, None where it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    return said.splitlines()[0] if said else None


def _busy_cores() -> float | None:
    """Return how many cores others kept busy for a second before anything was measured; None without /proc."""
    before = _busy_s()
    if before is None:
        return None
    time.sleep(LOOK_S)
    after = _busy_s()
    assert after is not None
    return round((after - before) / LOOK_S, 2)


def _busy_s() -> float | None:
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
