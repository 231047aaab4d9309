"""What the broker says in its log and nowhere else: why it ended, which users it took, that a stream is stuck."""

import contextlib
import re
import shutil
from pathlib import Path
from typing import Final

from deploy.broker_error import BrokerError
from deploy.logs import tail

READ_MAX_BYTES: Final = 1024 * 1024
ROOM_BYTES: Final = 16 * 1024 * 1024
_WRITE_ERROR: Final = re.compile(
    rb"Critical write error|failed to store a msg on stream .*(no space left on device|input/output error)"
)


def last_failure(stderr_file: Path, log_file: Path) -> str:
    """Return what a server that ended said last: a failure if it named one, else the end of its log."""
    for path in (stderr_file, log_file):
        with contextlib.suppress(OSError):
            text = tail(path)
            failures = [line for line in text.splitlines() if "[FTL]" in line or "[ERR]" in line or "panic" in line]
            if failures or (path == log_file and text):
                return (failures or text.splitlines())[-1].strip()
    return f"it said nothing; see {log_file}"


class ReloadAnswer:
    """What the server says to a reload that is asked for from now on."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._log_start = size_of(log_file)

    def is_yes(self) -> bool:
        """Tell whether it has reloaded. Raises BrokerError when it says that it will not."""
        with self._log_file.open("rb") as log:
            # A log that shrank was rotated meanwhile: all of the new one is news.
            log.seek(self._log_start if self._log_start <= size_of(self._log_file) else 0)
            news = log.read().decode(errors="replace")
        for line in news.splitlines():
            if "Failed to reload" in line:
                raise BrokerError(f"the broker refuses its new users: {line.strip()}")
        return "Reloaded server configuration" in news


class StuckStore:
    """Watches for streams that nats-server has given up.

    Once a write to a stream's file fails, for want of room for instance, nats-server 2.15 answers no publish to that
    stream any more, whatever room there is later: only a restart helps. What was acknowledged before is not touched.
    """

    def __init__(self, log_file: Path, store: Path) -> None:
        """Watch what comes into `log_file` from now on; `store` is where the streams' files lie."""
        self._log_file = log_file
        self._store = store
        self._read_to = size_of(self._log_file)
        self._is_stuck = False

    def restart_helps(self) -> bool:
        """Tell whether a stream is stuck and there is room to go on."""
        self._is_stuck = self._is_stuck or self._has_failed()
        return self._is_stuck and shutil.disk_usage(self._store).free >= ROOM_BYTES

    def _has_failed(self) -> bool:
        size_bytes = size_of(self._log_file)
        if size_bytes < self._read_to:
            # A log that shrank was rotated meanwhile: all of the new one is news.
            self._read_to = 0
        if size_bytes == self._read_to:
            return False
        with self._log_file.open("rb") as log:
            log.seek(max(self._read_to, size_bytes - READ_MAX_BYTES))
            news = log.read(size_bytes - log.tell())
        # A line that is not whole yet is read again.
        self._read_to = size_bytes - len(news) + news.rfind(b"\n") + 1
        return _WRITE_ERROR.search(news) is not None


def size_of(log_file: Path) -> int:
    """Return how long a log is, 0 when there is none yet."""
    try:
        return log_file.stat().st_size
    except FileNotFoundError:
        return 0
