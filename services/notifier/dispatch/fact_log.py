"""What is said of notices: facts, made in the transaction that makes them true, until the stream holds them."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from events.notice import SENT, NoticeData, NoticeType, ToldData, encode_fact
from services.bus.journal import START, JournalPosition
from services.notifier.dispatch.database import Database, outbox_file
from services.notifier.dispatch.rows import Streamed, Waiting
from services.notifier.dispatch.tables import read_choices
from services.notifier.policy.choices import Choices
from services.notifier.policy.facts import fact, notice_data, streamed_data, told_fact

FACTS_MAX_BYTES: Final = 2 * 1024 * 1024


class FactLog:
    """A market's outbox as far as facts go: the store, how far it has come, and what was said."""

    def __init__(self, data_dir: Path, market: str) -> None:
        self.market = market
        self.database = Database(outbox_file(data_dir, market))
        self.store_id = self.database.meta("store") or ""
        seq, own_hash = self.database.meta("seq"), self.database.meta("hash")
        self.position = START if seq is None or own_hash is None else JournalPosition(int(seq), own_hash)

    def close(self) -> None:
        """Close the store."""
        self.database.close()

    def choices_of(self, member: str) -> Choices:
        """Return what a member has chosen."""
        return read_choices(self.database.connection, member)

    def facts_after(self, n: int, limit: int) -> list[tuple[int, bytes]]:
        """Return facts after number `n` that are not known to be published: up to `limit`, as one publish can take."""
        rows = self.database.connection.execute("SELECT n, body FROM facts WHERE n > ? ORDER BY n LIMIT ?", (n, limit))
        found: list[tuple[int, bytes]] = []
        size_bytes = 0
        for number, body in rows:
            size_bytes += len(body)
            if found and size_bytes > FACTS_MAX_BYTES:
                break
            found.append((int(number), bytes(body)))
        return found

    def forget_facts(self, through: int) -> None:
        """Drop the facts up to number `through`, which the stream holds."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM facts WHERE n <= ?", (through,))

    def data_of(self, row: Waiting) -> NoticeData:
        """Return what every fact says of a notice; whoever says it adds what became of it."""
        data = notice_data(row.notice, row.id, row.channel, self.position.seq)
        data.attempts, data.round, data.first = row.attempts, row.round, row.first
        return data

    def say(self, connection: sqlite3.Connection, row: Waiting, kind: NoticeType, data: NoticeData, at_ns: int) -> str:
        """Write down a fact within a transaction, and return its id."""
        made = fact(self.market, kind, data, row.facts + 1, at_ns)
        connection.execute("INSERT INTO facts (body) VALUES (?)", (encode_fact(made),))
        return made.id

    def say_told(self, connection: sqlite3.Connection, data: ToldData) -> None:
        """Write down a fact about many members within a transaction."""
        number = _number(connection)
        _write(connection, number, encode_fact(told_fact(self.market, f"{self.store_id}.{number}", data)))

    def say_streamed(self, sent: Sequence[Streamed]) -> None:
        """Write down what went out by event streams, all or nothing."""
        with self.database.transaction() as connection:
            for each in sent:
                # A member may read on several devices, and again: the fact's number keeps them apart.
                number = _number(connection)
                data = streamed_data(each.member, each.entry, each.kind, self.position.seq)
                made = fact(self.market, SENT, data, number, each.at_ns)
                _write(connection, number, encode_fact(made))


def _number(connection: sqlite3.Connection) -> int:
    """Return the number of the next fact, whose body names it."""
    number = connection.execute("INSERT INTO facts (body) VALUES (x'')").lastrowid
    assert number is not None, "a row was inserted"
    return number


def _write(connection: sqlite3.Connection, number: int, body: bytes) -> None:
    connection.execute("UPDATE facts SET body = ? WHERE n = ?", (body, number))
