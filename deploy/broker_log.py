"""What the broker says in its log and nowhere else: that a stream can be written no more."""

import re
import shutil
from pathlib import Path
from typing import Final

READ_MAX_BYTES: Final = 1024 * 1024
ROOM_BYTES: Final = 16 * 1024 * 1024
_WRITE_ERROR: Final = re.compile(
    rb"Critical write error|failed to store a msg on stream .*(no space left on device|input/output error)"
)


class StuckStore:
    """Watches for streams that nats-server has given up.

    Once a write to a stream's file fails, for want of room for instance, nats-server 2.15 answers no publish to that
    stream any more, whatever room there is later: only a restart helps. What was acknowledged before is not touched.
    """

    def __init__(self, log_file: Path, store: Path) -> None:
        """Watch what comes into `log_file` from now on; `store` is where the streams' files lie."""
        self._log_file = log_file
        self._store = store
        self._read_to = self._size()
        self._is_stuck = False

    def restart_helps(self) -> bool:
        """Tell whether a stream is stuck and there is room to go on."""
        self._is_stuck = self._is_stuck or self._has_failed()
        return self._is_stuck and shutil.disk_usage(self._store).free >= ROOM_BYTES

    def _has_failed(self) -> bool:
        size_bytes = self._size()
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

    def _size(self) -> int:
        try:
            return self._log_file.stat().st_size
        except FileNotFoundError:
            return 0
