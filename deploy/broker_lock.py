"""One broker at a time over a directory: a lock that outlives whoever started the server."""

import asyncio
import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

from deploy.broker_error import BrokerError

LOCK_TIMEOUT_S: Final = 5.0
POLL_INTERVAL_S: Final = 0.05


async def lock_directory(directory: Path) -> int:
    """Lock a broker's directory and return the open file; the lock lives as long as any process that inherited it.

    So it outlives a supervisor that was killed while its server still runs: two servers over one
    directory would destroy it, and nats-server itself does not guard against that. A server that
    is just ending is waited for. Raises BrokerError when another one goes on.
    """
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"another broker{_recorded_pid(directory)} already runs over {directory.parent}: "
                    "stop it, or choose another data directory with --data"
                )
            await asyncio.sleep(POLL_INTERVAL_S)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def record_pid(directory: Path, pid: int) -> None:
    """Note the process that holds a directory, for whoever finds it locked."""
    _pid_file(directory).write_text(f"{pid}\n")


def _recorded_pid(directory: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f" (process {int(_pid_file(directory).read_text())})"
    return ""


def _pid_file(directory: Path) -> Path:
    return directory / "nats.pid"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
