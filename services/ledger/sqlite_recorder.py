"""The ledger in a SQLite file: write-ahead log, every commit synced, positions that are never used twice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from eventsourcing.persistence import DatabaseError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteProcessRecorder,
)
from eventsourcing.utils import Environment

from services.bus.sqlite_errors import SQLITE_ERRORS, told_by_sqlite
from services.ledger.recorders import (
    DELETE_RUN,
    DELETE_TILE,
    INDEX_COLUMNS,
    UNCHECKED_COLUMN,
    IndexChange,
    Row,
    insert_into,
    name_tables,
    tile_names,
    tile_rows,
)
from services.ledger.tiles import Tile

LOCK_TIMEOUT_S: Final = 10
CACHE_KIB: Final = 16 * 1024
WAL_KEPT_BYTES: Final = 16 * 1024 * 1024
_TABLES: Final = {
    "events": "stored_events",
    "tracking": "tracking",
    "meta": "ledger_meta",
    "records": "ledger_records",
    "runs": "ledger_runs",
    "pages": "ledger_pages",
    "tiles": "ledger_tiles",
    "notices": "ledger_notices",
}
# The library leaves positions to the implicit rowid, which VACUUM may renumber and which uses the ids of a
# deleted tail again. The column keeps the name under which the library reads it.
_CREATE_EVENTS: Final = """
CREATE TABLE IF NOT EXISTS stored_events (
    rowid INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL, topic TEXT NOT NULL, state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version))
"""
_CREATE_META: Final = """
CREATE TABLE IF NOT EXISTS ledger_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""
_CREATE_RECORDS: Final = """
CREATE TABLE IF NOT EXISTS ledger_records (
    record INTEGER PRIMARY KEY, hash BLOB NOT NULL, size_bytes INTEGER NOT NULL,
    first_leaf INTEGER NOT NULL, entries INTEGER NOT NULL,
    first_seq INTEGER NOT NULL, first_index INTEGER NOT NULL, first_part INTEGER NOT NULL, last_at INTEGER NOT NULL)
"""
_CREATE_RUNS: Final = """
CREATE TABLE IF NOT EXISTS ledger_runs (
    run INTEGER PRIMARY KEY, first_record INTEGER NOT NULL, last_record INTEGER NOT NULL, pairs INTEGER NOT NULL)
"""
_CREATE_PAGES: Final = """
CREATE TABLE IF NOT EXISTS ledger_pages (
    page INTEGER PRIMARY KEY, run INTEGER NOT NULL, first_pair BLOB NOT NULL, body BLOB NOT NULL)
"""
_CREATE_TILES: Final = """
CREATE TABLE IF NOT EXISTS ledger_tiles (
    level INTEGER NOT NULL, tile INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (level, tile))
"""
_CREATE_NOTICES: Final = """
CREATE TABLE IF NOT EXISTS ledger_notices (
    stream TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, as_of INTEGER NOT NULL, member TEXT NOT NULL,
    entry TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, no INTEGER, mac BLOB,
    PRIMARY KEY (stream, seq)) WITHOUT ROWID
"""
_LACKED_BY_NOTICES: Final = {"no": "INTEGER", "mac": "BLOB"}
"""Columns that older programs did not have."""
_INDEX_LINKS: Final = "CREATE UNIQUE INDEX IF NOT EXISTS ledger_notices_by_no ON ledger_notices (no)"
_INDEX_NOTICES: Final = (
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_member ON ledger_notices (member, at)",
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_entry ON ledger_notices (entry)",
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_kind ON ledger_notices (kind, as_of)",
)
_INDEX_RUNS: Final = "CREATE UNIQUE INDEX IF NOT EXISTS ledger_runs_by_record ON ledger_runs (last_record)"
_INDEX_PAGES: Final = "CREATE UNIQUE INDEX IF NOT EXISTS ledger_pages_by_pair ON ledger_pages (run, first_pair)"
_CREATE_INDEX: Final = (
    _CREATE_META,
    _CREATE_RECORDS,
    _CREATE_RUNS,
    _CREATE_PAGES,
    _CREATE_TILES,
    _CREATE_NOTICES,
    *_INDEX_NOTICES,
    _INDEX_RUNS,
    _INDEX_PAGES,
)


@lru_cache(maxsize=256)
def _translate(statement: str) -> str:
    return name_tables(statement, _TABLES)


_INSERT: Final = {table: _translate(insert_into(table, columns)) for table, columns in INDEX_COLUMNS.items()}


@contextmanager
def _told_as_database_error() -> Iterator[None]:
    """Turn what the library lets through (at BEGIN and when connecting) into its own kind of error."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise DatabaseError(told_by_sqlite(error)) from error


class _Pool(SQLiteConnectionPool):
    """Connections that sync every commit, whatever this SQLite was built to do."""

    read_only = False

    def _create_connection(self) -> SQLiteConnection:
        settings = [
            "PRAGMA synchronous = FULL",
            f"PRAGMA cache_size = -{CACHE_KIB}",
            f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}",
            # Some builds overwrite what is freed: merging runs frees pages all the time.
            "PRAGMA secure_delete = OFF",
            f"PRAGMA query_only = {'ON' if self.read_only else 'OFF'}",
        ]
        with _told_as_database_error():
            connection = super()._create_connection()
            with connection.cursor() as cursor:
                for setting in settings:
                    cursor.execute(setting)
        return connection


class _Datastore(SQLiteDatastore):
    def __init__(self, db_name: str, *, read_only: bool, **settings: Any) -> None:
        super().__init__(db_name, lock_timeout=LOCK_TIMEOUT_S, **settings)
        self.pool = _Pool(db_name=db_name, lock_timeout=LOCK_TIMEOUT_S)
        self.pool.read_only = read_only


class LedgerSQLiteRecorder(SQLiteProcessRecorder):
    """Stores records with explicit positions; tracking and index go into the same transaction."""

    def __init__(self, datastore: SQLiteDatastore, *, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name=events_table_name)
        self.insert_events_statement = (
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"
        )

    def construct_create_table_statements(self) -> list[str]:
        """Return the statements that make the tables; the library's own table of events is replaced."""
        statements = super().construct_create_table_statements()
        kept = [statement for statement in statements if "stored_events" not in statement]
        return [_CREATE_EVENTS, *kept, *_CREATE_INDEX]

    def _create_table(self, c: SQLiteCursor) -> None:
        super()._create_table(c)
        c.execute("SELECT 1 FROM pragma_table_info('ledger_records') WHERE name = ?", (UNCHECKED_COLUMN,))
        if c.fetchone() is not None:
            c.execute(f"ALTER TABLE ledger_records DROP COLUMN {UNCHECKED_COLUMN}")
        for column, kind in _LACKED_BY_NOTICES.items():
            c.execute("SELECT 1 FROM pragma_table_info('ledger_notices') WHERE name = ?", (column,))
            if c.fetchone() is None:
                c.execute(f"ALTER TABLE ledger_notices ADD COLUMN {column} {kind}")
        c.execute(_INDEX_LINKS)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Write events, with `tracking` and `index`, in one transaction."""
        with _told_as_database_error():
            return super().insert_events(stored_events, **kwargs)

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        returning = super()._insert_events(c, stored_events, **kwargs)
        index: IndexChange | None = kwargs.get("index")
        if index is not None:
            _write_index(c, index)
        return returning

    def put_index(self, index: IndexChange) -> None:
        """Write a change of the index in a transaction of its own."""
        with _told_as_database_error(), self.datastore.transaction(commit=True) as cursor:
            _write_index(cursor, index)

    def query(self, statement: str, parameters: Row = ()) -> list[Row]:
        """Return the rows that a statement gives."""
        with _told_as_database_error(), self.datastore.transaction(commit=False) as cursor:
            cursor.execute(_translate(statement), parameters)
            return [tuple(row) for row in cursor.fetchall()]

    def put_tiles(self, tiles: Mapping[Tile, bytes]) -> None:
        """Write tiles, each in place of what had its name, in a transaction of their own."""
        with _told_as_database_error(), self.datastore.transaction(commit=True) as cursor:
            cursor.executemany(_translate(DELETE_TILE), tile_names(tiles))
            cursor.executemany(_INSERT["tiles"], tile_rows(tiles))

    def execute(self, statement: str, parameters: Row) -> None:
        """Run one statement in a transaction of its own."""
        self.execute_all([(statement, parameters)])

    def execute_all(self, statements: Sequence[tuple[str, Row]]) -> None:
        """Run statements, each with its parameters, in one transaction."""
        with _told_as_database_error(), self.datastore.transaction(commit=True) as cursor:
            for statement, parameters in statements:
                cursor.execute(_translate(statement), parameters)


def _write_index(cursor: SQLiteCursor, index: IndexChange) -> None:
    gone = [(run,) for run in index.absorbed]
    for table in ("pages", "runs"):
        cursor.executemany(_translate(DELETE_RUN[table]), gone)
    cursor.executemany(_translate(DELETE_TILE), tile_names(index.tiles))
    for table, rows in index.rows().items():
        cursor.executemany(_INSERT[table], rows)


class LedgerSQLiteFactory(SQLiteFactory):
    """Makes the recorder for one file; a reader neither makes nor changes it."""

    process_recorder_class = LedgerSQLiteRecorder

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        mode = "rw" if read_only else "rwc"
        # A URI, so that no path is taken for one, and so that a reader never makes an empty file.
        name = f"file:{quote(str(path.absolute()))}?mode={mode}"
        super().__init__(
            Environment("ledger", {self.SQLITE_DBNAME: name, self.CREATE_TABLE: "no" if read_only else "yes"})
        )
        self.datastore = _Datastore(name, read_only=read_only)
