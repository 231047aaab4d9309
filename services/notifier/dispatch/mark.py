"""How far an outbox has come, read while no notifier runs: for whoever restores the journal that it follows."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final, Self

import msgspec

from services.bus.journal_chain import JournalPosition
from services.bus.sqlite_errors import SQLITE_ERRORS
from services.notifier.dispatch.database import outbox_file

_PARTS: Final = ("", "-wal", "-shm")
"""What SQLite keeps of one database, after its name."""


class OutboxMark(msgspec.Struct, frozen=True):
    """The file of an outbox, the records that it has taken in and told of, and how many messages wait in it."""

    file: Path
    positions: tuple[JournalPosition, ...]
    waiting: int

    @classmethod
    def of(cls, data_dir: Path, market: str) -> Self | None:
        """Return that of a market's outbox; None when there is none, or none that can be read."""
        file = outbox_file(data_dir, market)
        if not file.exists():
            return None
        try:
            with contextlib.closing(sqlite3.connect(file)) as connection:
                noted = dict(connection.execute("SELECT name, value FROM meta"))
                (waiting,) = connection.execute("SELECT count(*) FROM notices").fetchone()
        except SQLITE_ERRORS:
            return None
        pairs = ((noted.get(f"{of}seq"), noted.get(f"{of}hash")) for of in ("", "told_"))
        return cls(file, tuple(JournalPosition(int(seq), own) for seq, own in pairs if seq and own), waiting)

    def set_aside(self) -> str:
        """Rename the outbox, so that the next notifier begins a new one; return what it is called now."""
        for part in _PARTS:
            found = self.file.with_name(f"{self.file.name}{part}")
            if found.exists():
                found.rename(found.with_name(f"{self.file.name}.set-aside{part}"))
        return f"{self.file.name}.set-aside"
