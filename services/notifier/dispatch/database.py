"""The dispatcher's own store: one SQLite file, write-ahead log, every commit synced.

One transaction moves the position in the journal together with everything that the records up to there say, and
one transaction ends a message together with the facts about it. So what a killed process leaves is a state that was.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.bus.sqlite_errors import SQLITE_ERRORS, told_by_sqlite

FORMAT: Final = "1"
LOCK_TIMEOUT_S: Final = 10.0
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
CACHE_KIB: Final = 8 * 1024
STORE_ID_BYTES: Final = 8

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (kind TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choices (member TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, member TEXT NOT NULL, due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL, facts INTEGER NOT NULL, round INTEGER NOT NULL, first TEXT,
    digest_key TEXT, digest TEXT, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS notices_due ON notices (channel, due_at);
CREATE INDEX IF NOT EXISTS notices_gathered ON notices (digest_key) WHERE digest_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS notices_digest ON notices (digest) WHERE digest IS NOT NULL;
CREATE TABLE IF NOT EXISTS facts (n INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dead (id TEXT PRIMARY KEY, at INTEGER NOT NULL, channel TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS dead_by_time ON dead (at);
CREATE TABLE IF NOT EXISTS tickets (
    play TEXT, member TEXT, line INTEGER, tickets INTEGER NOT NULL, PRIMARY KEY (play, member, line)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tickets_by_line ON tickets (play, line);
CREATE TABLE IF NOT EXISTS draws (
    play TEXT, channel TEXT, through TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (play, channel)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS endpoints (channel TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""


class OutboxError(Exception):
    """The dispatcher's store cannot be used; the message says why and what to do."""


def outbox_file(data_dir: Path, market: str) -> Path:
    """Return the file of a market's outbox under a stack's data directory."""
    return data_dir / "notifier" / f"outbox-{market}.sqlite"


class Database:
    """The connection, and transactions on it. One thread at a time."""

    def __init__(self, file: Path) -> None:
        """Open the store, making it when it is not there. Raises OutboxError."""
        try:
            file.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            file.touch(FILE_MODE)
            self._connection = sqlite3.connect(
                file, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            for setting in ("journal_mode = WAL", "synchronous = FULL", f"cache_size = -{CACHE_KIB}"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.executescript(_SCHEMA)
            with self.transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                    (("format", FORMAT), ("store", secrets.token_hex(STORE_ID_BYTES))),
                )
        except (OSError, *SQLITE_ERRORS) as error:
            raise OutboxError(f"the outbox {file} cannot be opened: {told_by_sqlite(error)}") from None
        if self.meta("format") != FORMAT:
            raise OutboxError(f"the outbox {file} has format {self.meta('format')}, this program knows only {FORMAT}")

    def meta(self, name: str) -> str | None:
        """Return what is noted under a name."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for changes that are written all or not at all."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for reading."""
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def note(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Write down something under a name, within a transaction."""
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
    )
