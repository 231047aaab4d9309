"""Room for what a recount must remember: in memory while it is little, in a temporary file when it is much."""

import sqlite3
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

CACHE_KIB: Final = 64 * 1024
HOT_MAX: Final = 50_000
_PAGE: Final = 2_000

V = TypeVar("V", bound=msgspec.Struct)


def scratch_database() -> sqlite3.Connection:
    """Return a database that is gone when closed; SQLite keeps it in memory until its cache is full."""
    scratch = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    scratch.execute("PRAGMA journal_mode = OFF")
    scratch.execute("PRAGMA synchronous = OFF")
    scratch.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return scratch


class SpillMap(Generic[V]):
    """A mapping from names to mutable structs, of which at most `hot_max` stay in memory.

    What `get` returned may be changed in place until the next `settle`, which may move it out.
    """

    def __init__(self, scratch: sqlite3.Connection, name: str, kind: type[V], hot_max: int = HOT_MAX) -> None:
        assert name.isidentifier(), "the name becomes that of a table"
        assert hot_max >= 1, "something has to stay in memory"
        self._scratch = scratch
        self._hot: dict[str, V] = {}
        self._hot_max = hot_max
        self._has_cold = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._select = f"SELECT value FROM {name} WHERE key = ?"  # noqa: S608 - an identifier, asserted above
        self._replace = f"REPLACE INTO {name} (key, value) VALUES (?, ?)"  # noqa: S608 - likewise
        self._page = f"SELECT key, value FROM {name} WHERE key > ? ORDER BY key LIMIT {_PAGE}"  # noqa: S608 - likewise
        scratch.execute(f"CREATE TABLE {name} (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, key: str) -> V | None:
        """Return what is kept under `key`, None when there is nothing."""
        value = self._hot.get(key)
        if value is not None or not self._has_cold:
            return value
        row = self._scratch.execute(self._select, (key,)).fetchone()
        if row is None:
            return None
        value = self._hot[key] = self._decode(row[0])
        return value

    def put(self, key: str, value: V) -> None:
        """Keep `value` under `key`."""
        self._hot[key] = value

    def settle(self) -> None:
        """Move the older half out of memory when it is full."""
        if len(self._hot) > self._hot_max:
            self._move_out(len(self._hot) // 2 + 1)

    def items(self) -> Iterator[tuple[str, V]]:
        """Yield everything by key; what is yielded must not be changed."""
        self._move_out(len(self._hot))
        after = ""
        while True:
            rows = self._scratch.execute(self._page, (after,)).fetchall()
            if not rows:
                return
            yield from ((key, self._decode(value)) for key, value in rows)
            after = rows[-1][0]

    def _move_out(self, count: int) -> None:
        oldest = [key for key, _ in zip(self._hot, range(count), strict=False)]
        self._scratch.execute("BEGIN")
        self._scratch.executemany(self._replace, ((key, self._encode(self._hot.pop(key))) for key in oldest))
        self._scratch.execute("COMMIT")
        self._has_cold = self._has_cold or bool(oldest)
