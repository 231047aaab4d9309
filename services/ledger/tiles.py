"""The tree in tiles, as C2SP describes them (c2sp.org/tlog-tiles).

Tile (level, index) holds up to 256 hashes: at level 0 of leaves, above that of the full tiles below, in order. So a
full tile never changes, a partial one only grows, and at each level there is at most one of these. An append knows the
partial tiles, at most 8 KiB a level, and reads nothing; a root or a proof reads at most two tiles a level. Entry
bundles, the leaves themselves in the same packing, are not stored: they are made of what the archive holds.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, Self

import msgspec

from services.ledger.faults import LedgerBroken
from services.ledger.merkle import (
    HASH_BYTES,
    consistency_proof_of,
    inclusion_proof_of,
    parents_of,
    root_of,
)

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
LEVEL_MAX: Final = 63
INDEX_MAX: Final = 2**56
ENTRIES: Final = "entries"
_GROUP: Final = 1_000
_INDEX_PATH: Final = re.compile(r"(?:x\d{3}/)*\d{3}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)


class Tile(msgspec.Struct, frozen=True, order=True):
    """The name of a tile."""

    level: int
    index: int

    def __str__(self) -> str:
        return f"tile {self.level}/{self.index}"


class TileReader(Protocol):
    """Where tiles are read from."""

    def get(self, tile: Tile) -> bytes | None:
        """Return the hashes of a tile, joined, as far as they are there; None when there is no such tile."""


class TileStore(TileReader, Protocol):
    """Where tiles are kept."""

    def put(self, tiles: Mapping[Tile, bytes]) -> None:
        """Keep all of `tiles` or none, each in place of what had its name."""


class MemoryTiles:
    """Tiles in memory."""

    def __init__(self) -> None:
        self._tiles: dict[Tile, bytes] = {}

    def get(self, tile: Tile) -> bytes | None:
        """Return a tile, None when there is none."""
        return self._tiles.get(tile)

    def put(self, tiles: Mapping[Tile, bytes]) -> None:
        """Keep `tiles`."""
        self._tiles.update(tiles)


# Growing


class Edge(msgspec.Struct, frozen=True):
    """The right edge of a tree: how many leaves it has, and the partial tile of each level, empty where none is."""

    size: int = 0
    partials: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, reader: TileReader, size: int) -> Self:
        """Read the edge of a tree of `size` leaves. Raises LedgerBroken when a tile of it is missing or cut."""
        widths = [width_at(size, level) for level in range(levels_of(size))]
        return cls(size, tuple(_read(reader, last_tile(size, level), width) for level, width in enumerate(widths)))

    def grown(self, leaf_hashes: Sequence[bytes]) -> tuple[Self, dict[Tile, bytes]]:
        """Return the edge after `leaf_hashes` are appended, and every tile that is new or longer than before."""
        size = self.size + len(leaf_hashes)
        partials = list(self.partials)
        changed: dict[Tile, bytes] = {}
        hashes, level = leaf_hashes, 0
        while hashes:
            if level == len(partials):
                partials.append(b"")
            body = b"".join((partials[level], *hashes))
            first = self.size >> (TILE_HEIGHT * (level + 1))
            full = [body[at : at + TILE_BYTES] for at in range(0, len(body) - TILE_BYTES + 1, TILE_BYTES)]
            partials[level] = body[len(full) * TILE_BYTES :]
            changed |= {Tile(level, first + place): tile for place, tile in enumerate(full)}
            if partials[level]:
                changed[Tile(level, first + len(full))] = partials[level]
            hashes, level = [tile_root(tile) for tile in full], level + 1
        return type(self)(size, tuple(partials)), changed

    def root(self) -> bytes:
        """Return the root: every node that it is made of stands in a partial tile."""
        tiles = MemoryTiles()
        tiles.put({last_tile(self.size, level): body for level, body in enumerate(self.partials)})
        return TiledTree(tiles, self.size).root()


def levels_of(size: int) -> int:
    """Return how many levels of tiles a tree of `size` leaves has."""
    return max(0, (size.bit_length() - 1) // TILE_HEIGHT + 1)


def width_at(size: int, level: int) -> int:
    """Return how many hashes the partial tile of a level has in a tree of `size` leaves; 0 when there is none."""
    return (size >> (TILE_HEIGHT * level)) % TILE_WIDTH


def last_tile(size: int, level: int) -> Tile:
    """Return the tile that takes the next hash of a level in a tree of `size` leaves."""
    return Tile(level, size >> (TILE_HEIGHT * (level + 1)))


def tile_root(body: bytes) -> bytes:
    """Return the hash of the complete subtree over the hashes in `body`, a power of two of them."""
    hashes = split_hashes(body)
    assert len(hashes) & (len(hashes) - 1) == 0, f"{len(hashes)} hashes have no complete subtree"
    while len(hashes) > 1:
        hashes = parents_of(hashes)
    return hashes[0]


def split_hashes(body: bytes) -> list[bytes]:
    """Return the hashes in the body of a tile."""
    return [body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)]


# Roots and proofs


class TiledTree:
    """A tree of `size` leaves whose nodes come from tiles; each tile is read and hashed up at most once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        assert size >= 0, f"a tree of {size} leaves"
        self.size = size
        self._reader = reader
        self._tiles: dict[Tile, list[list[bytes]]] = {}

    def root(self) -> bytes:
        """Return the root. Raises LedgerBroken when a tile is missing or cut."""
        return root_of(self.size, self._node)

    def leaf_hash(self, leaf_index: int) -> bytes:
        """Return the hash of a leaf. Raises LedgerBroken when its tile is missing or cut."""
        assert 0 <= leaf_index < self.size, f"leaf {leaf_index} of {self.size}"
        return self._node(0, leaf_index)

    def inclusion_proof(self, leaf_index: int) -> list[bytes]:
        """Return the proof that a leaf is in the tree. Raises LedgerBroken when a tile is missing or cut."""
        return inclusion_proof_of(leaf_index, self.size, self._node)

    def consistency_proof(self, size1: int) -> list[bytes]:
        """Return the proof that the tree of `size1` leaves is the beginning of this one.

        Raises LedgerBroken when a tile is missing or cut.
        """
        return consistency_proof_of(size1, self.size, self._node)

    def _node(self, height: int, index: int) -> bytes:
        level, rows_up = divmod(height, TILE_HEIGHT)
        first = index << rows_up
        rows = self._rows(Tile(level, first // TILE_WIDTH))
        while len(rows) <= rows_up:
            rows.append(parents_of(rows[-1]))
        return rows[rows_up][(first % TILE_WIDTH) >> rows_up]

    def _rows(self, tile: Tile) -> list[list[bytes]]:
        rows = self._tiles.get(tile)
        if rows is None:
            body = _read(self._reader, tile, width_of(tile, self.size))
            rows = self._tiles[tile] = [split_hashes(body)]
        return rows


def width_of(tile: Tile, size: int) -> int:
    """Return how many hashes a tile has in a tree of `size` leaves: 0 when it is not part of it, at most 256."""
    return min(TILE_WIDTH, max(0, (size >> (TILE_HEIGHT * tile.level)) - tile.index * TILE_WIDTH))


def _read(reader: TileReader, tile: Tile, width: int) -> bytes:
    """Return the first `width` hashes of a tile."""
    if width == 0:
        return b""
    body = reader.get(tile)
    if body is None:
        raise LedgerBroken(str(tile), "it is missing from the tree")
    if len(body) < width * HASH_BYTES or len(body) % HASH_BYTES or len(body) > TILE_BYTES:
        raise LedgerBroken(str(tile), f"it has {len(body)} bytes: expected at least {width} hashes of {HASH_BYTES}")
    return body[: width * HASH_BYTES]


# How others ask for tiles


class TileRequest(msgspec.Struct, frozen=True):
    """What a path names: hashes of `tile`, or the entries below it (`is_bundle`), the first `width` of them."""

    tile: Tile
    width: int
    is_bundle: bool


def parse_tile_path(path: str) -> TileRequest | None:
    """Return what `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]` names, None when it is no such path."""
    level, slash, rest = path.partition("/")
    index, partial, width = rest.partition(".p/")
    numbers = level if level != ENTRIES else "0"
    if not slash or not _NUMBER.fullmatch(numbers) or int(numbers) > LEVEL_MAX:
        return None
    if partial and not (_NUMBER.fullmatch(width) and 0 < int(width) < TILE_WIDTH):
        return None
    number = _parse_index(index)
    if number is None:
        return None
    return TileRequest(Tile(int(numbers), number), int(width) if partial else TILE_WIDTH, level == ENTRIES)


def tile_path(request: TileRequest) -> str:
    """Return the path of a tile or bundle."""
    level = ENTRIES if request.is_bundle else str(request.tile.level)
    partial = f".p/{request.width}" if request.width < TILE_WIDTH else ""
    return f"{level}/{_index_path(request.tile.index)}{partial}"


def _index_path(index: int) -> str:
    path, index = f"{index % _GROUP:03}", index // _GROUP
    while index:
        path, index = f"x{index % _GROUP:03}/{path}", index // _GROUP
    return path


def _parse_index(path: str) -> int | None:
    """Return the index, None for any other spelling than the one path that it has."""
    if len(path) > len(_index_path(INDEX_MAX)) or not _INDEX_PATH.fullmatch(path):
        return None
    index = int(path.replace("/", "").replace("x", ""))
    return index if _index_path(index) == path else None


# Entry bundles


def encode_bundle(leaves: Sequence[bytes]) -> bytes:
    """Return leaves as an entry bundle: each after its length in two bytes, big-endian."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def decode_bundle(bundle: bytes) -> list[bytes]:
    """Return the leaves of an entry bundle. Raises ValueError when it is cut."""
    leaves: list[bytes] = []
    at = 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        leaf = bundle[at + 2 : at + 2 + length]
        if at + 2 > len(bundle) or len(leaf) < length:
            raise ValueError(f"the bundle is cut in its entry {len(leaves)}")
        leaves.append(leaf)
        at += 2 + length
    return leaves
