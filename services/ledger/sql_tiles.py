"""Tiles in the ledger's database, beside the archive."""

from collections.abc import Mapping

from services.ledger.merkle import HASH_BYTES
from services.ledger.recorders import LedgerRecorder
from services.ledger.tiles import TILE_WIDTH, Tile


class SqlTiles:
    """Tiles in the ledger's database."""

    def __init__(self, recorder: LedgerRecorder) -> None:
        self._recorder = recorder

    def get(self, tile: Tile) -> bytes | None:
        """Return a tile, None when there is none."""
        rows = self._recorder.query("SELECT body FROM @tiles WHERE level = ? AND tile = ?", (tile.level, tile.index))
        return bytes(rows[0][0]) if rows else None

    def put(self, tiles: Mapping[Tile, bytes]) -> None:
        """Keep `tiles`, all or none."""
        self._recorder.put_tiles(tiles)

    def size(self) -> int:
        """Return how many leaves the tiles of the lowest level hold."""
        rows = self._recorder.query("SELECT tile, length(body) FROM @tiles WHERE level = 0 ORDER BY tile DESC LIMIT 1")
        return int(rows[0][0]) * TILE_WIDTH + int(rows[0][1]) // HASH_BYTES if rows else 0
