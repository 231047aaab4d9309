"""Tiles in the ledger's database, beside the archive."""

from collections.abc import Mapping

from eventsourcing.persistence import PersistenceError

from services.ledger.faults import LedgerUnavailable
from services.ledger.merkle import HASH_BYTES
from services.ledger.recorders import LedgerRecorder, Row
from services.ledger.tiles import TILE_WIDTH, Tile


class SqlTiles:
    """Tiles in the ledger's database. Raises LedgerUnavailable when that does not answer as it should."""

    def __init__(self, recorder: LedgerRecorder) -> None:
        self._recorder = recorder

    def get(self, tile: Tile) -> bytes | None:
        """Return a tile, None when there is none."""
        rows = self._query("SELECT body FROM @tiles WHERE level = ? AND tile = ?", (tile.level, tile.index))
        return bytes(rows[0][0]) if rows else None

    def put(self, tiles: Mapping[Tile, bytes]) -> None:
        """Keep `tiles`, all or none."""
        try:
            self._recorder.put_tiles(tiles)
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger's database does not take tiles: {error}") from error

    def size(self) -> int:
        """Return how many leaves the tiles of the lowest level hold."""
        rows = self._query("SELECT tile, length(body) FROM @tiles WHERE level = 0 ORDER BY tile DESC LIMIT 1")
        return int(rows[0][0]) * TILE_WIDTH + int(rows[0][1]) // HASH_BYTES if rows else 0

    def _query(self, statement: str, parameters: Row = ()) -> list[Row]:
        try:
            return self._recorder.query(statement, parameters)
        except PersistenceError as error:
            raise LedgerUnavailable(f"the ledger's tiles cannot be read: {error}") from None
