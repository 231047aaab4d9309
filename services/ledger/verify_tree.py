"""What `ledger verify` says of the tree: every tile against the leaves of what is archived, and the signed root."""

import base64
from typing import Final

import msgspec

from events.counted import counted
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from services.ledger.checkpointing import check_against_ledger
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.leaves import LeafMaker
from services.ledger.merkle import HASH_BYTES, leaf_hash
from services.ledger.note import NoteError, VerifierKey, open_note
from services.ledger.store import LedgerStore
from services.ledger.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, Edge, Tile, last_tile, levels_of, split_hashes
from services.ledger.tree import check_market_key

_SHAPE: Final = (
    "SELECT level, count(*), max(tile), sum(length(body)), (SELECT max(first_leaf + entries) FROM @records) "
    "FROM @tiles GROUP BY level ORDER BY level"
)


class LogKeys(msgspec.Struct, frozen=True):
    """What it takes to check a tree: the market's key, which makes the leaves, and the key that signs.

    `kept` are checkpoints that were kept elsewhere, which the tree must have grown out of. With `must_be_signed` a tree
    that nobody signed is a fault: that of a ledger at work is signed within a second.
    """

    maker: LeafMaker
    verifier: VerifierKey
    witnesses: tuple[VerifierKey, ...] = ()
    kept: tuple[bytes, ...] = ()
    must_be_signed: bool = False


class TreeReport(msgspec.Struct, kw_only=True, frozen=True):
    """The tree as it was found: its leaves and root, and how many of them are signed; the root in base64."""

    leaves: int
    root: str
    signed_leaves: int


class TreeCheck:
    """Compares the tiles with the records, as these are read in order."""

    def __init__(self, store: LedgerStore, keys: LogKeys) -> None:
        self._store = store
        self._keys = keys
        self._edge = Edge()

    def check_key(self) -> None:
        """Raise LedgerBroken unless the ledger notes that its leaves were made with the market key at hand."""
        try:
            is_noted = check_market_key(self._store, self._keys.maker.market_key)
        except LedgerError as error:
            raise LedgerBroken("the market key", str(error)) from None
        if not is_noted:
            raise LedgerBroken("the market key", "the ledger does not note with which key its leaves were made")

    def add(self, seq: int, body: bytes) -> None:
        """Compare the tiles that the record `seq` fills. Raises LedgerBroken with the place of the first difference."""
        hashes = [leaf_hash(leaf) for leaf in self._keys.maker.leaves_of(seq, body)]
        self._edge, changed = self._edge.grown(hashes)
        for tile, expected in changed.items():
            if len(expected) == TILE_BYTES:
                self._compare(tile, expected)

    def finish(self) -> TreeReport:
        """Compare the tiles at the edge, what else there is of tiles, and the checkpoint."""
        for level, expected in enumerate(self._edge.partials):
            if expected:
                self._compare(last_tile(self._edge.size, level), expected)
        check_shape(self._store)
        signed = self._check_checkpoint()
        if signed is None and self._keys.must_be_signed and self._edge.size:
            leaves = counted(self._edge.size, "leaf is", "leaves are")
            raise LedgerBroken(
                "the checkpoint",
                f"there is none, although {leaves} in the tree: it was deleted, or the ledger was first started less "
                "than a second ago",
            )
        self._check_kept()
        root = base64.b64encode(self._edge.root()).decode()
        return TreeReport(leaves=self._edge.size, root=root, signed_leaves=signed.size if signed is not None else 0)

    def _compare(self, tile: Tile, expected: bytes) -> None:
        stored = self._store.tiles.get(tile)
        if stored is None:
            raise LedgerBroken(str(tile), "it is missing from the tree")
        # While the ledger is running the tiles at the edge grow.
        if stored[: len(expected)] == expected:
            return
        pairs = zip(split_hashes(stored), split_hashes(expected), strict=False)
        number = next(
            (number for number, (found, right) in enumerate(pairs) if found != right), len(stored) // HASH_BYTES
        )
        raise LedgerBroken(str(tile), self._difference(tile, tile.index * TILE_WIDTH + number))

    def _difference(self, tile: Tile, index: int) -> str:
        if tile.level > 0:
            return f"its hash of tile {tile.level - 1}/{index} is not the one of that tile"
        record = self._store.record_of_leaf(index)
        where = f" (record {record.record})" if record is not None else ""
        return f"its hash of leaf {index} is not that of the entry which is archived there{where}"

    def _check_kept(self) -> None:
        """Compare the tree with what it was when others kept a checkpoint of it."""
        for number, note in enumerate(self._keys.kept, start=1):
            place = "the kept checkpoint" if len(self._keys.kept) == 1 else f"kept checkpoint {number}"
            try:
                check_against_ledger(self._store, open_checkpoint(note, self._keys.verifier))
            except CheckpointError as error:
                raise LedgerBroken(place, str(error)) from None
            except LedgerBroken as broken:
                raise LedgerBroken(place, broken.sentence) from None

    def _check_checkpoint(self) -> Checkpoint | None:
        note = self._store.cosigned()
        cosigned = self._opened("the cosigned checkpoint", note)
        if note is not None and self._keys.witnesses:
            try:
                open_note(note.encode(), self._keys.witnesses)
            except NoteError as error:
                raise LedgerBroken("the cosigned checkpoint", str(error)) from None
        signed = self._opened("the checkpoint", self._store.checkpoint())
        if cosigned is not None and (signed is None or signed.size < cosigned.size):
            raise LedgerBroken(
                "the checkpoint",
                f"it is older than the one that was cosigned, of {counted(cosigned.size, 'leaf', 'leaves')}",
            )
        return signed

    def _opened(self, place: str, note: str | None) -> Checkpoint | None:
        if note is None:
            return None
        try:
            signed = open_checkpoint(note.encode(), self._keys.verifier)
        except CheckpointError as error:
            raise LedgerBroken(place, str(error)) from None
        check_against_ledger(self._store, signed)
        return signed


def check_shape(store: LedgerStore) -> None:
    """Raise LedgerBroken when there are more or fewer tiles than the archive has entries for."""
    rows = store.query(_SHAPE)
    entries = int(rows[0][4] or 0) if rows else store.entries_archived()
    found = {int(level): (int(count), int(last), int(size)) for level, count, last, size, _ in rows}
    for level in sorted({*range(levels_of(entries)), *found}):
        hashes = entries >> (TILE_HEIGHT * level) if level >= 0 else 0
        count = -(-hashes // TILE_WIDTH)
        if found.get(level, (0, -1, 0)) != (count, count - 1, hashes * HASH_BYTES):
            has = found.get(level, (0, -1, 0))
            raise LedgerBroken(
                f"level {level} of the tree",
                f"it has {counted(has[0], 'tile')} with {counted(has[2] // HASH_BYTES, 'hash', 'hashes')}, but for "
                f"{counted(entries, 'entry', 'entries')} there are {count} with {hashes}",
            )
