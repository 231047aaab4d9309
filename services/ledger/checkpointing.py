"""Signing: checkpoints of a growing tree, kept before they are shown, and never one that contradicts another."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import nats.errors

from events.counted import counted
from services.bus.health import Check, Status
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint, sign_checkpoint
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.note import SigningKey
from services.ledger.notice_chain import check_against_notices, signed_head
from services.ledger.store import LedgerStore
from services.ledger.tiles import TiledTree

INTERVAL_S: Final = 1.0
_log: Final = logging.getLogger("groupbuy.ledger")

Publish = Callable[[bytes], Awaitable[None]]
"""Tells those who follow of a new checkpoint."""


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint and the note that it stands in."""

    checkpoint: Checkpoint
    note: str


def resume_checkpoint(store: LedgerStore, key: SigningKey) -> SignedCheckpoint | None:
    """Return the last checkpoint that was signed, None when there is none yet.

    Raises LedgerBroken when it is not this key's or the tree has changed since: nothing more may be signed then.
    """
    note = store.checkpoint()
    if note is None:
        return None
    try:
        checkpoint = open_checkpoint(note.encode(), key.verifier)
    except CheckpointError as error:
        raise LedgerBroken("the checkpoint", f"{error}") from None
    check_against_ledger(store, checkpoint)
    return SignedCheckpoint(checkpoint, note)


def check_against_ledger(store: LedgerStore, checkpoint: Checkpoint) -> None:
    """Raise LedgerBroken when tree and notices are not those that were signed, or such as grew out of them."""
    size = store.tiles.size()
    if size < checkpoint.size:
        leaves = counted(checkpoint.size, "leaf was", "leaves were")
        raise LedgerBroken("the checkpoint", f"{leaves} signed, but the tree has {size}: its end is missing")
    if TiledTree(store.tiles, checkpoint.size).root() != checkpoint.root:
        leaves = counted(checkpoint.size, "leaf of the tree has", "leaves of the tree have")
        raise LedgerBroken("the checkpoint", f"the first {leaves} another root than was signed")
    check_against_notices(store, checkpoint)


def make_checkpoint(store: LedgerStore, key: SigningKey) -> SignedCheckpoint:
    """Sign the tree and the notices as they are and keep the checkpoint."""
    assert store.tree is not None and store.notices is not None, "a ledger that keeps tree and notices"
    checkpoint = Checkpoint(key.name, store.tree.size, store.tree.edge.root(), (store.notices.head.line(),))
    signed = SignedCheckpoint(checkpoint, sign_checkpoint(key, checkpoint))
    store.save_checkpoint(signed.note)
    return signed


class Checkpointer:
    """The checkpoints of one log: the last one, the next one, and telling of it. Only `publish` does not block."""

    def __init__(self, key: SigningKey, publish: Publish) -> None:
        self._key = key
        self._publish = publish
        self.latest: SignedCheckpoint | None = None
        self.trouble: str | None = None

    def resume(self, store: LedgerStore) -> None:
        """Go on from the last checkpoint. Raises LedgerBroken when the tree contradicts it."""
        self.latest = resume_checkpoint(store, self._key)

    def is_due(self, store: LedgerStore) -> bool:
        """Tell whether tree or notices have grown since the last checkpoint; an empty tree is not signed."""
        if store.tree is None or store.notices is None or store.tree_lag > 0 or store.tree.size == 0:
            return False
        if self.latest is None:
            return True
        signed = signed_head(self.latest.checkpoint)
        return (
            store.tree.size > self.latest.checkpoint.size or signed is None or store.notices.head.count > signed.count
        )

    def make(self, store: LedgerStore) -> None:
        """Sign the tree as it is and keep the checkpoint; what cannot be kept is not shown, and signed again later."""
        try:
            self.latest = make_checkpoint(store, self._key)
            self.trouble = None
        except LedgerError as error:
            self.trouble = f"no checkpoint can be made: {error}"
            _log.warning("%s", self.trouble)

    def keep_cosigned(self, store: LedgerStore, cosigned: SignedCheckpoint) -> None:
        """Keep a checkpoint that witnesses cosigned, and show it unless a newer one has been signed meanwhile."""
        try:
            store.save_checkpoint(cosigned.note, is_cosigned=True)
        except LedgerError as error:
            self.trouble = f"cosignatures cannot be kept: {error}"
            _log.warning("%s", self.trouble)
            return
        if self.latest is not None and self.latest.checkpoint == cosigned.checkpoint:
            self.latest = cosigned

    async def tell(self) -> None:
        """Publish the last checkpoint; who misses it asks for it over HTTP."""
        if self.latest is not None and self.trouble is None:
            try:
                await self._publish(self.latest.note.encode())
            except (nats.errors.Error, OSError) as error:
                _log.warning("a checkpoint was not published: %s", str(error) or type(error).__name__)

    def check(self) -> Check:
        """Return how signing goes, for Health."""
        if self.trouble is not None:
            return Check(Status.DEGRADED, self.trouble)
        if self.latest is None:
            return Check(Status.OK, "nothing has been signed yet")
        return Check(Status.OK, f"the first {counted(self.latest.checkpoint.size, 'entry is', 'entries are')} signed")
