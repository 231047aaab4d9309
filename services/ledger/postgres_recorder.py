"""The ledger in PostgreSQL: one schema a market, its tables and its index written in one transaction."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import psycopg
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresFactory, PostgresProcessRecorder
from eventsourcing.utils import Environment
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from services.ledger.faults import LedgerError
from services.ledger.recorders import (
    BYTES_COLUMNS,
    DELETE_RUN,
    DELETE_TILE,
    INDEX_COLUMNS,
    TABLES,
    UNCHECKED_COLUMN,
    IndexChange,
    Row,
    name_tables,
    tile_names,
    tile_rows,
)
from services.ledger.tiles import Tile

CONNECT_TIMEOUT_S: Final = 5
LOCK_TIMEOUT_S: Final = 30
IDENTIFIER_MAX_CHARS: Final = 63
_OWN_PARAMETERS: Final = ("dbname", "host", "port", "user", "password")
_CREATE_META: Final = "CREATE TABLE IF NOT EXISTS @meta (name text PRIMARY KEY, value text NOT NULL)"
_CREATE_RECORDS: Final = """
CREATE TABLE IF NOT EXISTS @records (
    record bigint PRIMARY KEY, hash bytea NOT NULL, size_bytes bigint NOT NULL,
    first_leaf bigint NOT NULL, entries bigint NOT NULL,
    first_seq bigint NOT NULL, first_index bigint NOT NULL, first_part bigint NOT NULL, last_at bigint NOT NULL)
"""
_CREATE_RUNS: Final = """
CREATE TABLE IF NOT EXISTS @runs (
    run bigint PRIMARY KEY, first_record bigint NOT NULL, last_record bigint NOT NULL, pairs bigint NOT NULL)
"""
# Pairs begin with hashes: trying to compress them would be wasted time.
_CREATE_PAGES: Final = """
CREATE TABLE IF NOT EXISTS @pages (
    run bigint NOT NULL, first_pair bytea NOT NULL, body bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (run, first_pair))
"""
# Nor can hashes be compressed.
_CREATE_TILES: Final = """
CREATE TABLE IF NOT EXISTS @tiles (
    level bigint NOT NULL, tile bigint NOT NULL, body bytea STORAGE EXTERNAL NOT NULL, PRIMARY KEY (level, tile))
"""
_CREATE_NOTICES: Final = """
CREATE TABLE IF NOT EXISTS @notices (
    stream text NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, as_of bigint NOT NULL, member text NOT NULL,
    entry text NOT NULL, kind text NOT NULL, body bytea NOT NULL, no bigint, mac bytea, PRIMARY KEY (stream, seq))
"""
_LACKED_BY_NOTICES: Final = {"no": "bigint", "mac": "bytea"}
"""Columns that older programs did not have."""
_INDEX_LINKS: Final = "CREATE UNIQUE INDEX IF NOT EXISTS ledger_notices_by_no ON @notices (no)"
_INDEX_NOTICES: Final = (
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_member ON @notices (member, at)",
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_entry ON @notices (entry)",
    "CREATE INDEX IF NOT EXISTS ledger_notices_by_kind ON @notices (kind, as_of)",
)
_INDEX_RUNS: Final = "CREATE UNIQUE INDEX IF NOT EXISTS ledger_runs_by_record ON @runs (last_record)"
_CREATE_INDEX: Final = (
    _CREATE_META,
    _CREATE_RECORDS,
    _CREATE_RUNS,
    _CREATE_PAGES,
    _CREATE_TILES,
    _CREATE_NOTICES,
    *_INDEX_NOTICES,
    _INDEX_RUNS,
)


class _Copy(NamedTuple):
    """Where rows are copied to: the table, and the types of its columns by name."""

    table: str
    columns: dict[str, str]


_COPY_EVENTS: Final = _Copy(
    "events", {"originator_id": "uuid", "originator_version": "int8", "topic": "text", "state": "bytea"}
)
_COPY_INDEX: Final = {
    table: _Copy(table, {name: "bytea" if name in BYTES_COLUMNS else "int8" for name in names})
    for table, names in INDEX_COLUMNS.items()
}


def schema_of(market: str) -> str:
    """Return the schema that holds a market's ledger: lower case without dashes, since the library quotes no names.

    A name that has to be changed for that, or cut, is told apart from others by a hash.
    """
    name = f"ledger_{market}"
    if re.fullmatch(r"[a-z0-9_]+", name) and len(name) <= IDENTIFIER_MAX_CHARS:
        return name
    return f"{name.lower().replace('-', '_')[:40]}_{hashlib.sha256(market.encode()).hexdigest()[:20]}"


class LedgerPostgresRecorder(PostgresProcessRecorder):
    """Stores records; tracking and index go into the same transaction."""

    def __init__(self, datastore: PostgresDatastore, **names: Any) -> None:
        super().__init__(datastore, **names)
        schema = Identifier(datastore.schema).as_string()
        own = {name: f'{schema}."ledger_{name}"' for name in TABLES}
        self._tables = own | {
            "events": f"{schema}.{Identifier(self.events_table_name).as_string()}",
            "tracking": f"{schema}.{Identifier(self.tracking_table_name).as_string()}",
        }
        self._translate = lru_cache(maxsize=256)(self._translated)
        self.sql_create_statements += [SQL(self._named(statement)).format() for statement in _CREATE_INDEX]

    def _named(self, statement: str) -> Any:
        return name_tables(statement, self._tables)

    def _translated(self, statement: str) -> Any:
        return self._named(statement).replace("?", "%b")

    def create_table(self) -> None:
        """Make what is missing, and drop what an older program kept that nothing could check."""
        super().create_table()
        # Asked before: even in vain the change would wait for everybody who reads.
        if self._has_column("records", UNCHECKED_COLUMN):
            self.execute(f"ALTER TABLE @records DROP COLUMN {UNCHECKED_COLUMN}", ())
        for column, kind in _LACKED_BY_NOTICES.items():
            if not self._has_column("notices", column):
                self.execute(f"ALTER TABLE @notices ADD COLUMN {column} {kind}", ())
        self.execute(_INDEX_LINKS, ())

    def _has_column(self, table: str, column: str) -> bool:
        is_there = "SELECT 1 FROM pg_attribute WHERE attrelid = ?::regclass AND attname = ? AND NOT attisdropped"
        return bool(self.query(is_there, (self._tables[table], column)))

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Write events, with `tracking` and `index`, in one transaction, and nothing when there are none.

        Unlike the library: not in pipeline mode, in which a statement of some MiB stalls for ever, each side
        waiting for the other, and without its ten attempts, since whoever calls tries again and knows how.
        """
        if not stored_events:
            return None
        with self.datastore.transaction(commit=True) as cursor:
            self._lock_table(cursor)
            self._notify_channel(cursor)
            tracking: Tracking | None = kwargs.get("tracking")
            if tracking is not None:
                self._insert_tracking(cursor, tracking)
            events = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
            self._copy(cursor, _COPY_EVENTS, events)
            index: IndexChange | None = kwargs.get("index")
            if index is not None:
                self._write_index(cursor, index)
        return None

    def put_index(self, index: IndexChange) -> None:
        """Write a change of the index in a transaction of its own."""
        with self.datastore.transaction(commit=True) as cursor:
            self._write_index(cursor, index)

    def _write_index(self, cursor: Cursor[DictRow], index: IndexChange) -> None:
        for table in ("pages", "runs") if index.absorbed else ():
            cursor.executemany(self._translate(DELETE_RUN[table]), [(run,) for run in index.absorbed])
        if index.tiles:
            cursor.executemany(self._translate(DELETE_TILE), tile_names(index.tiles))
        for table, rows in index.rows().items():
            self._copy(cursor, _COPY_INDEX[table], rows)

    def _copy(self, cursor: Cursor[DictRow], copy: _Copy, rows: Sequence[Row]) -> None:
        columns = ", ".join(copy.columns)
        statement = self._named(f"COPY @{copy.table} ({columns}) FROM STDIN (FORMAT BINARY)")
        with cursor.copy(statement) as stream:
            stream.set_types([*copy.columns.values()])
            for row in rows:
                stream.write_row(row)

    def query(self, statement: str, parameters: Row = ()) -> list[Row]:
        """Return the rows that a statement gives."""
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            # Binary: a record as text would come in hexadecimal.
            cursor.execute(self._translate(statement), parameters, binary=True)
            return cursor.fetchall()

    def put_tiles(self, tiles: Mapping[Tile, bytes]) -> None:
        """Write tiles, each in place of what had its name, in a transaction of their own."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.executemany(self._translate(DELETE_TILE), tile_names(tiles))
            self._copy(cursor, _COPY_INDEX["tiles"], tile_rows(tiles))

    def execute(self, statement: str, parameters: Row) -> None:
        """Run one statement in a transaction of its own."""
        self.execute_all([(statement, parameters)])

    def execute_all(self, statements: Sequence[tuple[str, Row]]) -> None:
        """Run statements, each with its parameters, in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            for statement, parameters in statements:
                cursor.execute(self._translate(statement), parameters)


class LedgerPostgresFactory(PostgresFactory):
    """Makes the recorder for one market in the database of a URL; a reader makes no tables."""

    process_recorder_class = LedgerPostgresRecorder

    def __init__(self, url: str, market: str, *, read_only: bool = False) -> None:
        parameters = _parameters(url)
        schema = schema_of(market)
        if not read_only:
            _ensure_schema(url, schema)
        super().__init__(
            Environment(
                "ledger",
                {
                    self.POSTGRES_DBNAME: parameters.get("dbname", ""),
                    self.POSTGRES_HOST: parameters.get("host", ""),
                    self.POSTGRES_PORT: parameters.get("port", "5432"),
                    self.POSTGRES_USER: parameters.get("user", ""),
                    self.POSTGRES_PASSWORD: parameters.get("password", ""),
                    self.POSTGRES_SCHEMA: schema,
                    self.POSTGRES_CONNECT_TIMEOUT: str(CONNECT_TIMEOUT_S),
                    self.POSTGRES_LOCK_TIMEOUT: str(LOCK_TIMEOUT_S),
                    self.POSTGRES_POOL_SIZE: "1",
                    self.POSTGRES_MAX_OVERFLOW: "3",
                    self.POSTGRES_PRE_PING: "yes",
                    # Its functions lock nothing and hide what failed.
                    self.POSTGRES_ENABLE_DB_FUNCTIONS: "no",
                    self.CREATE_TABLE: "no" if read_only else "yes",
                },
            )
        )
        # The library knows five parameters and drops the rest, sslmode among them.
        settings = self.datastore.pool.kwargs
        assert isinstance(settings, dict), "the pool keeps its parameters in a dictionary"
        settings |= {name: value for name, value in parameters.items() if name not in _OWN_PARAMETERS}
        for name in _OWN_PARAMETERS:
            if name not in parameters:
                # Left to libpq: its environment variables, password file and defaults.
                settings.pop(name, None)


def _parameters(url: str) -> dict[str, str]:
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise LedgerError(f"the ledger's PostgreSQL URL cannot be read: {error}") from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _ensure_schema(url: str, schema: str) -> None:
    """Make the schema unless it is there: asking for an existing one would still need the right to make it."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
            if found is None:
                connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
    except psycopg.Error as error:
        raise LedgerError(f"the ledger's PostgreSQL cannot be used: {error}") from None
