"""Rows and values under raw hands: one at random, and what may be put in its place."""

import random
from typing import Any

from tests.tampering.ledgers import COLUMNS, KEYS, Hands, Row


def any_row(hands: Hands, table: str, chance: random.Random) -> Row:
    """Return a row of a table at random."""
    (count,) = hands.rows(f"SELECT count(*) FROM @{table}")[0]
    statement = f"SELECT {', '.join(COLUMNS[table])} FROM @{table} ORDER BY {', '.join(KEYS[table])} LIMIT 1 OFFSET ?"
    return hands.rows(statement, (chance.randrange(count),))[0]


def update_row(hands: Hands, table: str, row: Row, column: str, value: Any) -> None:
    """Put another value into a column of a row."""
    where, parameters = told_apart(table, row)
    hands.change(f"UPDATE @{table} SET {column} = ? WHERE {where}", (value, *parameters))


def delete_row(hands: Hands, table: str, row: Row) -> None:
    """Delete a row."""
    where, parameters = told_apart(table, row)
    hands.change(f"DELETE FROM @{table} WHERE {where}", parameters)


def insert_row(hands: Hands, table: str, row: Row) -> None:
    """Insert a row."""
    columns = COLUMNS[table]
    marks = ", ".join("?" * len(columns))
    hands.change(f"INSERT INTO @{table} ({', '.join(columns)}) VALUES ({marks})", row)


def told_apart(table: str, row: Row) -> tuple[str, Row]:
    """Return what tells a row apart, and its parameters."""
    keys = KEYS[table]
    return " AND ".join(f"{key} = ?" for key in keys), tuple(row[COLUMNS[table].index(key)] for key in keys)


# Values


def other(value: Any, chance: random.Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, int):
        return chance.choice([value + 1, max(0, value - 1) if value else 2, value + chance.randrange(2, 10**6)])
    if isinstance(value, str):
        place = chance.randrange(len(value))
        letters = "abcdefghijklmnopqrstuvwxyz0123456789".replace(value[place].lower(), "")
        return value[:place] + chance.choice(letters) + value[place + 1 :]
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return chance.choice([flipped(raw, chance.randrange(8 * len(raw))), raw[:-1], raw + b"\0"])
    return type(value)(int=value.int ^ 1 << chance.randrange(128))


def flipped(value: Any, bit: int) -> Any:
    """Return a value with one bit flipped."""
    if isinstance(value, int):
        return value ^ (1 << bit)
    if isinstance(value, str):
        return flipped(value.encode(), bit).decode(errors="replace").replace("\0", "?")
    raw = bytearray(value)
    raw[bit // 8] ^= 1 << bit % 8
    return bytes(raw)


def fresh(value: Any, chance: random.Random) -> Any:
    """Return a key that no row has."""
    if isinstance(value, int):
        return value + 10**6 + chance.randrange(10**6)
    if isinstance(value, str):
        return f"{value}-{chance.randrange(10**6)}"
    return other(value, chance) if not isinstance(value, bytes | memoryview) else chance.randbytes(len(value))


def raw_bytes(value: Any) -> bytes:
    """Return a value's bytes."""
    return value.encode() if isinstance(value, str) else bytes(value)


def shown(value: Any) -> str:
    """Return a value as it is told of."""
    return bytes(value)[:8].hex() if isinstance(value, bytes | memoryview) else str(value)[:40]
