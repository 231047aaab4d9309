"""What both databases share: the tables beside the stored events, and one way to ask either of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import msgspec
from eventsourcing.persistence import StoredEvent

from services.ledger.runs import Page, Run
from services.ledger.tiles import Tile

Row = tuple[Any, ...]

TABLES: Final = ("events", "tracking", "meta", "records", "runs", "pages", "tiles", "notices")
"""Statements name tables `@events`, `@records` and so on, and parameters `?`, in either database."""

INDEX_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
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
}
"""Columns of the tables that a batch of records adds to, in the order of the rows."""

BYTES_COLUMNS: Final = ("hash", "first_pair", "body")
"""Of these columns, those that hold bytes; the others hold 64-bit integers."""

NOTICE_COLUMNS: Final = ("stream", "seq", "at", "as_of", "member", "entry", "kind", "body")
"""Columns of an archived notice; beside them `no` and `mac` say its place in the chain, where one is kept."""

UNCHECKED_COLUMN: Final = "journal_at"
"""Of the table of records, in ledgers of older programs: it followed from nothing, so it could be changed unnoticed."""

DELETE_TILE: Final = "DELETE FROM @tiles WHERE level = ? AND tile = ?"
DELETE_RUN: Final = {"pages": "DELETE FROM @pages WHERE run = ?", "runs": "DELETE FROM @runs WHERE run = ?"}

_TABLE: Final = re.compile(r"@(\w+)")


class Summary(msgspec.Struct, frozen=True):
    """What the index keeps of a record, in the order of the columns.

    `first_leaf` is the number of entries before the record, (`first_seq`, `first_index`, `first_part`) the position of
    its first entry, `last_at_ns` the accepted time of its last. All of it follows from the records: what does not,
    nothing could check.
    """

    record: int
    hash: bytes
    size_bytes: int
    first_leaf: int
    entries: int
    first_seq: int
    first_index: int
    first_part: int
    last_at_ns: int


class IndexChange(msgspec.Struct, frozen=True):
    """What a batch of records adds to the index: summaries, one run with its pages, and the runs merged into it.

    `tiles` are those of the tree that are new, or longer than what they take the place of.
    """

    summaries: list[Summary]
    run: Run
    pages: list[Page]
    absorbed: list[int]
    tiles: dict[Tile, bytes] = {}

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows to add, by table."""
        return {
            "records": [msgspec.structs.astuple(summary) for summary in self.summaries],
            "runs": [msgspec.structs.astuple(self.run)],
            "pages": [(self.run.run, page.first, page.body) for page in self.pages],
            "tiles": tile_rows(self.tiles),
        }


@runtime_checkable
class LedgerRecorder(Protocol):
    """A process recorder that writes index and tracking with the events, and answers questions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Write events, with `tracking` and `index`, in one transaction."""

    def query(self, statement: str, parameters: Row = ()) -> list[Row]:
        """Return the rows that a statement gives."""

    def put_index(self, index: IndexChange) -> None:
        """Write a change of the index in a transaction of its own, without events."""

    def put_tiles(self, tiles: Mapping[Tile, bytes]) -> None:
        """Write tiles, each in place of what had its name, in a transaction of their own."""

    def execute(self, statement: str, parameters: Row) -> None:
        """Run one statement in a transaction of its own."""

    def execute_all(self, statements: Sequence[tuple[str, Row]]) -> None:
        """Run statements, each with its parameters, in one transaction."""


def tile_rows(tiles: Mapping[Tile, bytes]) -> list[Row]:
    """Return the rows of tiles."""
    return [(tile.level, tile.index, body) for tile, body in tiles.items()]


def tile_names(tiles: Mapping[Tile, bytes]) -> list[Row]:
    """Return the parameters with which tiles are deleted, before they are written anew."""
    return [(tile.level, tile.index) for tile in tiles]


def name_tables(statement: str, tables: dict[str, str]) -> str:
    """Return a statement with the names of the tables as a database knows them."""
    return _TABLE.sub(lambda found: tables[found.group(1)], statement)


def insert_into(table: str, columns: Sequence[str]) -> str:
    """Return the statement that inserts a row into one of the index's tables."""
    return f"INSERT INTO @{table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - own names
