"""`ledger prove`: that an entry stands in the signed tree, with everything somebody else needs to check it."""

import base64

import msgspec

from events.record import entry_id
from services.ledger.archived_leaves import leaves_between
from services.ledger.chain import place_of_record
from services.ledger.checkpoint import CheckpointError, open_checkpoint
from services.ledger.faults import LedgerBroken, NotFound
from services.ledger.history import read_record
from services.ledger.lean import EntryPosition, decode_lean_record
from services.ledger.leaves import LeafMaker
from services.ledger.merkle import ProofError, leaf_hash, verify_inclusion
from services.ledger.note import VerifierKey
from services.ledger.store import LedgerStore
from services.ledger.tiles import TiledTree


class EntryProof(msgspec.Struct, kw_only=True):
    """A leaf, its place, the proof of that place and the checkpoint that the proof leads to; hashes in base64."""

    entry: str
    leaf_index: int
    tree_size: int
    leaf: str
    leaf_hash: str
    proof: list[str]
    root: str
    checkpoint: str
    verifier_key: str


def prove_entry(store: LedgerStore, position: EntryPosition, maker: LeafMaker, key: VerifierKey) -> EntryProof:
    """Return the proof that the entry at `position` is in the tree of the last checkpoint, after checking it.

    Raises NotFound when there is no such entry or it is not signed yet, LedgerBroken when the check fails.
    """
    name = entry_id(*position)
    leaf_index = find_leaf(store, position)
    note = store.checkpoint()
    if note is None:
        raise NotFound("nothing has been signed yet: the ledger signs a second after it has archived something")
    try:
        signed = open_checkpoint(note.encode(), key)
    except CheckpointError as error:
        raise LedgerBroken("the checkpoint", f"{error}") from None
    if leaf_index >= signed.size:
        raise NotFound(f"entry {name} is leaf {leaf_index}, but only {signed.size} are signed: try again in a second")
    (leaf,) = leaves_between(store, maker, leaf_index, leaf_index + 1)
    proof = TiledTree(store.tiles, signed.size).inclusion_proof(leaf_index)
    try:
        verify_inclusion(leaf_index, signed.size, leaf_hash(leaf), proof, signed.root)
    except ProofError as error:
        raise LedgerBroken(f"entry {name}", f"it is not in the tree that was signed: {error}; run `verify`") from None
    return EntryProof(
        entry=name,
        leaf_index=leaf_index,
        tree_size=signed.size,
        leaf=_encode(leaf),
        leaf_hash=_encode(leaf_hash(leaf)),
        proof=list(map(_encode, proof)),
        root=_encode(signed.root),
        checkpoint=note,
        verifier_key=key.text(),
    )


def find_leaf(store: LedgerStore, position: EntryPosition) -> int:
    """Return the number of the leaf of the entry at `position`. Raises NotFound when there is no such entry."""
    summary = store.record_at(position)
    if summary is not None:
        record = decode_lean_record(read_record(store, summary.record), place_of_record(summary.record))
        for number, entry in enumerate(record.entries):
            if entry.position == position:
                return summary.first_leaf + number
    raise NotFound(f"there is no entry {entry_id(*position)} in the ledger of market {store.market}")


def _encode(body: bytes) -> str:
    return base64.b64encode(body).decode()
