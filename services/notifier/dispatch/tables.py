"""Rows of the outbox to plain data and back; every statement that more than one part of the outbox needs."""

import sqlite3
from functools import lru_cache
from typing import Final

import msgspec

from services.notifier.dispatch.rows import Waiting
from services.notifier.policy.choices import NO_CHOICES, Choices
from services.notifier.policy.purposes import Notice

_COLUMNS: Final = "id, channel, due_at, body, attempts, facts, round, first, digest_key, digest"
_notice_decoder: Final = msgspec.json.Decoder(Notice)
_encode: Final = msgspec.json.Encoder().encode


def select_waiting(connection: sqlite3.Connection, where: str, parameters: tuple[object, ...]) -> list[Waiting]:
    """Return the waiting notices for which a condition of ours holds."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM notices WHERE {where}", parameters)  # noqa: S608 - our own words
    return [_waiting(row) for row in rows]


def insert_waiting(connection: sqlite3.Connection, row: Waiting) -> None:
    """Store one waiting notice within a transaction; one that is there already stays as it is."""
    connection.execute(
        "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.channel,
            row.notice.member,
            row.due_at_ns,
            row.attempts,
            row.facts,
            row.round,
            row.first,
            row.digest_key,
            row.digest,
            _encode(row.notice),
        ),
    )


def delete_waiting(connection: sqlite3.Connection, row: Waiting) -> None:
    """Drop a notice that has ended, within a transaction."""
    connection.execute("DELETE FROM notices WHERE id = ?", (row.id,))


def read_choices(connection: sqlite3.Connection, member: str) -> Choices:
    """Return what a member has chosen."""
    row = connection.execute("SELECT body FROM choices WHERE member = ?", (member,)).fetchone()
    return NO_CHOICES if row is None else _choices_in(row[0])


def write_choices(connection: sqlite3.Connection, member: str, choices: Choices) -> None:
    """Store what a member has chosen, within a transaction."""
    connection.execute(
        "INSERT INTO choices VALUES (?, ?) ON CONFLICT (member) DO UPDATE SET body = excluded.body",
        (member, _encode(choices)),
    )


@lru_cache(maxsize=4_096)
def _choices_in(body: bytes) -> Choices:
    return msgspec.json.decode(body, type=Choices)


def _waiting(row: tuple[object, ...]) -> Waiting:
    own_id, channel, due_at_ns, body, attempts, facts_said, round_, first, digest_key, digest = row
    assert isinstance(body, bytes), "a notice is stored as bytes"
    return Waiting(
        id=own_id,  # type: ignore[arg-type]  # the columns have the types of the schema
        channel=channel,  # type: ignore[arg-type]
        due_at_ns=due_at_ns,  # type: ignore[arg-type]
        notice=_notice_decoder.decode(body),
        attempts=attempts,  # type: ignore[arg-type]
        facts=facts_said,  # type: ignore[arg-type]
        round=round_,  # type: ignore[arg-type]
        first=first,  # type: ignore[arg-type]
        digest_key=digest_key,  # type: ignore[arg-type]
        digest=digest,  # type: ignore[arg-type]
    )
