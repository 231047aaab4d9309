"""The ledger that is tampered with: made once, copied for each try, in SQLite or PostgreSQL; and raw hands on it."""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg
from psycopg.conninfo import make_conninfo

from events.notice import SENT, NoticeData, NoticeFact, encode_fact
from events.times import format_time_ns
from services.ledger.checkpointing import make_checkpoint
from services.ledger.leaves import LeafMaker
from services.ledger.note import SigningKey
from services.ledger.notices import Arrived, archive_notices
from services.ledger.postgres_recorder import schema_of
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify_tree import LogKeys
from tests.bench.bench_ledger import MARKET, MARKET_KEY, journal
from tests.ledger_records import BuiltRecord

IDENTITY: Final = "journal-of-the-tampering"
LOG_KEY: Final = SigningKey("example.com/groupbuy/bench", bytes(range(1, 33)))
ENTRIES_PER_RECORD: Final = 40
RECORDS_PER_APPEND: Final = 5
NOTICES_STREAM: Final = "notices-of-the-tampering"
NOTICES_PER_RECORD: Final = 4
KEPT_AT: Final = 0.8
"""At this share of the ledger somebody outside kept a checkpoint."""
TABLES: Final = {
    "events": ("stored_events", "ledger_events"),
    "tracking": ("tracking", "ledger_tracking"),
    "meta": ("ledger_meta", "ledger_meta"),
    "records": ("ledger_records", "ledger_records"),
    "runs": ("ledger_runs", "ledger_runs"),
    "pages": ("ledger_pages", "ledger_pages"),
    "tiles": ("ledger_tiles", "ledger_tiles"),
    "notices": ("ledger_notices", "ledger_notices"),
}
"""By the name that statements use: in SQLite, in PostgreSQL."""
COLUMNS: Final = {
    "events": ("originator_id", "originator_version", "topic", "state"),
    "tracking": ("application_name", "notification_id"),
    "meta": ("name", "value"),
    "records": (
        "record",
        "hash",
        "size_bytes",
        "first_leaf",
        "entries",
        "first_seq",
        "first_index",
        "first_part",
        "last_at",
    ),
    "runs": ("run", "first_record", "last_record", "pairs"),
    "pages": ("run", "first_pair", "body"),
    "tiles": ("level", "tile", "body"),
    "notices": ("stream", "seq", "at", "as_of", "member", "entry", "kind", "body", "no", "mac"),
}
KEYS: Final = {
    "events": ("originator_id", "originator_version"),
    "tracking": ("application_name",),
    "meta": ("name",),
    "records": ("record",),
    "runs": ("run",),
    "pages": ("run", "first_pair"),
    "tiles": ("level", "tile"),
    "notices": ("stream", "seq"),
}
"""What tells the rows of a table apart."""
Row = tuple[Any, ...]


class Hands(Protocol):
    """Raw hands on the tables of one copy; a statement names them `@records` and so on, and parameters `?`."""

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return rows."""

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Change something at once; return how many rows."""


class Copy(Protocol):
    """One copy of the ledger, to be spoiled."""

    url: str
    folder: Path

    def hands(self) -> Any:
        """Lay hands on its tables (a context)."""


def build(folder: Path, url: str, entries: int) -> tuple[list[BuiltRecord], bytes]:
    """Archive a journal as a ledger does, signing on the way; return its records and the checkpoint that was kept."""
    records = list(journal(entries, ENTRIES_PER_RECORD))
    with LedgerStore.open(url, MARKET, data_dir=folder, identity=IDENTITY, market_key=MARKET_KEY) as store:
        at = int(KEPT_AT * len(records))
        archive(store, records[:at], RECORDS_PER_APPEND)
        kept = make_checkpoint(store, LOG_KEY).note.encode()
        archive(store, records[at:], RECORDS_PER_APPEND)
        make_checkpoint(store, LOG_KEY)
    return records, kept


def archive(store: LedgerStore, records: Sequence[BuiltRecord], at_a_time: int) -> None:
    """Archive records as a ledger does, some at a time, with notices about some of their entries."""
    for first in range(0, len(records), at_a_time):
        part = records[first : first + at_a_time]
        store.append(part)
        archive_notices(store, NOTICES_STREAM, [notice for record in part for notice in notices_about(record)])


def notices_about(record: BuiltRecord) -> list[Arrived]:
    """Return what members were told of a record; its place in the stream follows from the record alone."""
    begin = record.seq * NOTICES_PER_RECORD
    return [Arrived(seq, encode_fact(_fact(record, seq))) for seq in range(begin, begin + NOTICES_PER_RECORD)]


def _fact(record: BuiltRecord, seq: int) -> NoticeFact:
    notice = hashlib.sha256(str(seq).encode()).hexdigest()[:32]
    data = NoticeData(
        at_ns=record.at_ns,
        notice=notice,
        decision=f"{record.seq * ENTRIES_PER_RECORD}.0.0/0",
        record=record.seq,
        as_of=record.seq,
        member=f"member-{seq % 97}",
        purpose="result",
        kind="filled",
        channel="email",
    )
    return NoticeFact(type=SENT, id=f"{notice}.1", source="/notifier", time=format_time_ns(record.at_ns), data=data)


def keys(*kept: bytes) -> LogKeys:
    """Return what a verifier holds: the market's key, the log's, and the checkpoint that was kept outside."""
    return LogKeys(LeafMaker(MARKET_KEY), LOG_KEY.verifier, kept=kept, must_be_signed=True)


def content_hash(hands: Hands) -> str:
    """Return a hash over every value of every table: a manipulation that does not change it is none."""
    digest = hashlib.sha256()
    for table, columns in COLUMNS.items():
        statement = f"SELECT {', '.join(columns)} FROM @{table} ORDER BY {', '.join(KEYS[table])}"
        for row in hands.rows(statement):
            for value in row:
                raw = bytes(value) if isinstance(value, bytes | memoryview) else f"{type(value)}{value}".encode()
                digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


class SqliteHands:
    """Raw hands on a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(named(statement, 0), parameters).fetchall()

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(named(statement, 0), parameters).rowcount


class SqliteCopy:
    """A copy of a file."""

    url = "sqlite:"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def hands(self) -> Iterator[SqliteHands]:
        with closing(sqlite3.connect(ledger_file(self.folder, MARKET), isolation_level=None)) as connection:
            yield SqliteHands(connection)


class SqliteLedgers:
    """Copies of one file."""

    def __init__(self, folder: Path, entries: int) -> None:
        self._pristine = folder / "pristine"
        self._copies = folder / "copies"
        self.records, self.kept = build(self._pristine, "sqlite:", entries)
        with closing(sqlite3.connect(ledger_file(self._pristine, MARKET))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def copy(self) -> Iterator[SqliteCopy]:
        shutil.copytree(self._pristine, self._copies)
        try:
            yield SqliteCopy(self._copies)
        finally:
            shutil.rmtree(self._copies)


class PostgresHands:
    """Raw hands on a database."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(self._named(statement), parameters, binary=True).fetchall()

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(self._named(statement), parameters).rowcount

    def _named(self, statement: str) -> bytes:
        return named(statement, 1).replace("?", "%s").encode()


class PostgresCopy:
    """A database made from a template."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    @contextmanager
    def hands(self) -> Iterator[PostgresHands]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'SET search_path TO "{schema_of(MARKET)}"'.encode())
            yield PostgresHands(connection)


class PostgresLedgers:
    """Databases made from one template."""

    def __init__(self, folder: Path, entries: int, server_url: str) -> None:
        self._folder = folder
        self._server_url = server_url
        self._count = 0
        self._run("CREATE DATABASE pristine")
        self.records, self.kept = build(folder, make_conninfo_url(server_url, "pristine"), entries)

    @contextmanager
    def copy(self) -> Iterator[PostgresCopy]:
        self._count += 1
        name = f"copy_{self._count}"
        self._run(f"CREATE DATABASE {name} TEMPLATE pristine")
        try:
            yield PostgresCopy(make_conninfo_url(self._server_url, name), self._folder)
        finally:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement.encode())


def make_conninfo_url(server_url: str, database: str) -> str:
    """Return the URL of another database on the same server."""
    head, _, query = server_url.partition("?")
    assert make_conninfo(server_url), "a URL that libpq can read"
    return f"{head.rsplit('/', 1)[0]}/{database}{'?' + query if query else ''}"


def named(statement: str, database: int) -> str:
    """Return a statement with a database's own names of the tables."""
    for name, names in TABLES.items():
        statement = statement.replace(f"@{name}", names[database])
    return statement
