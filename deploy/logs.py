"""Log files of the processes of a stack: kept small, and their ends read for whoever asks why one stopped."""

import os
from pathlib import Path
from typing import Final

LOG_MAX_BYTES: Final = 16 * 1024 * 1024
LOG_TAIL_BYTES: Final = 4_096


def limit_log(path: Path) -> None:
    """Move a log that grew past its limit aside, in place: the writer appends and so goes on at the start."""
    try:
        if path.stat().st_size <= LOG_MAX_BYTES:
            return
    except FileNotFoundError:
        return
    with path.open("rb+") as log:
        log.seek(-LOG_MAX_BYTES // 2, os.SEEK_END)
        path.with_suffix(".log.old").write_bytes(log.read())
        log.truncate(0)


def tail(path: Path) -> str:
    """Return the end of a text file, at most 4 KiB of it. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, size_bytes - LOG_TAIL_BYTES))
        return file.read().decode(errors="replace")


def last_line(path: Path) -> str:
    """Return the last non-empty line of a text file, "" when there is none."""
    try:
        lines = tail(path).split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
