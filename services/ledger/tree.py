"""The tree that a ledger's writer keeps: leaves of what is archived, tiles in the same transaction as the records.

Only whoever has the market's key can keep it. A tree that is shorter than the archive, left by an older program or
because its tiles were deleted, is built before anything else is archived.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from events.leaf import key_commitment
from services.ledger.archive import Archive
from services.ledger.faults import LedgerBroken, LedgerError, LedgerUnavailable
from services.ledger.leaves import LeafMaker
from services.ledger.merkle import leaf_hash
from services.ledger.tiles import Edge, Tile

MARKET_KEY_META: Final = "market_key"
"""Under this name stands which market key the leaves were made with, as its commitment."""
CHECKPOINT_META: Final = "checkpoint"
"""Under this name stands the last checkpoint that was signed."""
COSIGNED_META: Final = "cosigned"
"""Under this name stands the last checkpoint that a witness cosigned, with the cosignatures."""
BUILD_STEP_LEAVES: Final = 8_192


class Growth(msgspec.Struct, frozen=True):
    """What leaves bring about: the edge after them, and the tiles to write together with the records."""

    edge: Edge
    tiles: dict[Tile, bytes]


class GrowingTree:
    """The tree of an archive as its writer knows it: only its edge, so that appending reads nothing."""

    def __init__(self, archive: Archive, maker: LeafMaker) -> None:
        self._archive = archive
        self.maker = maker
        self.edge = Edge()
        self.reload()

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return self.edge.size

    def reload(self) -> None:
        """Read the edge from the tiles. Raises LedgerBroken when they are not those of a tree."""
        self.edge = Edge.load(self._archive.tiles, self._archive.tiles.size())

    def growth(self, records: Sequence[tuple[int, bytes]]) -> Growth:
        """Return what records, as (sequence, body), bring about; the tree takes it once it has been written."""
        return Growth(*self.edge.grown(self._hashes_of(records)))

    def take(self, growth: Growth) -> None:
        """Go on from a growth that has been written."""
        self.edge = growth.edge

    def build(self) -> None:
        """Add a bounded number of the leaves that are missing. Raises LedgerBroken when the archive lacks them."""
        first = self._archive.record_of_leaf(self.size)
        if first is None:
            raise LedgerBroken(f"leaf {self.size}", "no record of the archive holds it: run `groupbuy ledger verify`")
        hashes: list[bytes] = []
        for record in self._archive.records(first.record - 1):
            hashes += self._hashes_of([(record.seq, record.body)])
            if len(hashes) >= BUILD_STEP_LEAVES:
                break
        growth = Growth(*self.edge.grown(hashes[self.size - first.first_leaf :]))
        self._archive.tiles.put(growth.tiles)
        self.take(growth)

    def _hashes_of(self, records: Sequence[tuple[int, bytes]]) -> list[bytes]:
        return [leaf_hash(leaf) for seq, body in records for leaf in self.maker.leaves_of(seq, body)]


def has_tree(archive: Archive) -> bool:
    """Tell whether there is a tree, or any sign that there was one; a ledger of an older program has none."""
    if archive.meta(MARKET_KEY_META) is not None or archive.meta(CHECKPOINT_META) is not None:
        return True
    try:
        return archive.tiles.size() > 0
    except LedgerUnavailable:
        # An older program made no table for tiles.
        return False


def check_market_key(archive: Archive, market_key: bytes) -> bool:
    """Tell whether the ledger notes already which market key its leaves are made with.

    Raises LedgerError when it is another one than `market_key`.
    """
    known = archive.meta(MARKET_KEY_META)
    if known is not None and known != key_commitment(market_key):
        raise LedgerError(
            f"the leaves of the ledger of market {archive.market} were made with another market key: put the key "
            "back with which this market began"
        )
    return known is not None
