"""A database whose schema has other bytes in it is refused in a sentence, by everybody who keeps one."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from services.ledger.faults import LedgerError
from services.ledger.vault.vault import Vault
from services.notifier.addresses import AddressBook
from services.notifier.dispatch.database import Database, OutboxError
from tests.ledger_records import open_store

NO_TEXT = b"\xee\xff"


def damage_schema(file: Path) -> None:
    """Overwrite the name of a table, and how it was made, with bytes that are no text."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    content = file.read_bytes()
    at = content.index(b"CREATE TABLE")
    name = content.rindex(b"table", 0, at) + len(b"table")
    file.write_bytes(content[:name] + NO_TEXT + content[name + 2 : at] + b"CREATX TABLE" + content[at + 12 :])
    with closing(sqlite3.connect(file)) as connection, pytest.raises(UnicodeDecodeError):
        connection.execute("SELECT 1 FROM sqlite_master")


def open_ledger(folder: Path) -> None:
    open_store(folder).close()


def open_vault(folder: Path) -> None:
    with Vault(folder / "vault.sqlite", b"k" * 32):
        pass


def open_outbox(folder: Path) -> None:
    Database(folder / "outbox.sqlite").close()


def open_addresses(folder: Path) -> None:
    AddressBook(folder / "addresses.sqlite").close()


@pytest.mark.parametrize("open_it", [open_ledger, open_vault, open_outbox, open_addresses])
def test_a_database_with_a_damaged_schema_is_refused_in_a_sentence(
    tmp_path: Path, open_it: Callable[[Path], None]
) -> None:
    open_it(tmp_path)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes()[:6] == b"SQLite")
    damage_schema(file)
    with pytest.raises((LedgerError, OutboxError), match="malformed database schema"):
        open_it(tmp_path)
