"""`groupbuy ledger witness --check`: whether a log still goes on from what was cosigned, by looking at it."""

from collections.abc import Callable
from typing import Final

import msgspec

from events.counted import counted
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from services.ledger.faults import LedgerBroken
from services.ledger.merkle import HASH_BYTES, ProofError, verify_consistency
from services.ledger.note import VerifierKey
from services.ledger.notice_chain import check_against_notices
from services.ledger.store import LedgerStore
from services.ledger.tiles import Tile, TiledTree, TileRequest, tile_path, width_of
from services.ledger.witness.ask import fetch
from services.ledger.witness.memory import Alarm
from services.ledger.witness.witness import Witness

_UNSEEN: Final = "nothing was cosigned yet"


class LogReport(msgspec.Struct, kw_only=True):
    """What the witness knows of one log; `sound` unless something speaks against it."""

    origin: str
    leaves: int
    sound: bool
    sentence: str
    proven: bool = False


def check_memory(witness: Witness) -> list[LogReport]:
    """Return what the witness knows of each log, from its own files."""
    return [_report(witness, log, witness.memory.alarm(log.name)) for log in witness.logs.values()]


def check_served(witness: Witness, log: VerifierKey, url: str) -> LogReport:
    """Return whether the log that is served below `url` goes on from what was cosigned.

    The proof is made here, of tiles that the log serves: it is not asked to vouch for itself. Raises LedgerError
    when the log does not answer.
    """
    last = witness.last(log)
    try:
        served = open_checkpoint(fetch(f"{url.rstrip('/')}/checkpoint"), log)
        compare(last, served, lambda size: consistency(url, size, served.size))
    except CheckpointError as error:
        return _wrong(log, last, f"what it serves is no checkpoint of this log: {error}")
    except LedgerBroken as error:
        return _wrong(log, last, error.sentence)
    leaves = counted(served.size, "leaf, which goes", "leaves, which go")
    cosigned = counted(last.size if last else 0, "that was", "that were")
    return LogReport(
        origin=log.name,
        leaves=served.size,
        sound=True,
        sentence=f"it serves {leaves} on from the {cosigned} cosigned",
    )


def check_archive(store: LedgerStore, log: VerifierKey, note: bytes) -> None:
    """Raise LedgerBroken unless the tree of an archive goes on from the checkpoint `note` that a witness keeps."""
    try:
        last = open_checkpoint(note, log)
    except CheckpointError as error:
        raise LedgerBroken("the witness", f"what it keeps is no checkpoint of this log: {error}") from None
    size, leaves = store.tiles.size(), counted(last.size, "leaf", "leaves")
    if size < last.size:
        raise LedgerBroken("the witness", f"it cosigned {leaves}, the tree has {size}: its end is missing")
    if TiledTree(store.tiles, last.size).root() != last.root:
        raise LedgerBroken("the witness", f"it cosigned {leaves}, and the tree has others: it is not that log")
    try:
        check_against_notices(store, last)
    except LedgerBroken as broken:
        raise LedgerBroken("the witness", f"by what it cosigned, {broken.sentence}") from None


def compare(last: Checkpoint | None, served: Checkpoint, proof_from: Callable[[int], list[bytes]]) -> None:
    """Raise LedgerBroken unless `served` goes on from the checkpoint `last`; `proof_from(size)` gives the proof."""
    if last is None or last.size == 0:
        return
    if served.size < last.size:
        cosigned = counted(last.size, "leaf was", "leaves were")
        raise LedgerBroken("the log", f"{cosigned} cosigned, it has {served.size}: it has shrunk")
    try:
        verify_consistency(last.size, served.size, proof_from(last.size), last.root, served.root)
    except ProofError as error:
        raise LedgerBroken(
            "the log",
            f"its {counted(served.size, 'leaf does', 'leaves do')} not go on from the {last.size} cosigned ({error}): "
            "it has forked",
        ) from None


def consistency(url: str, size1: int, size2: int) -> list[bytes]:
    """Return the proof from a tree of `size1` leaves to one of `size2`, made of the tiles below `url`."""
    if size1 == size2:
        return []
    return TiledTree(_ServedTiles(url, size2), size2).consistency_proof(size1)


class _ServedTiles:
    """The tiles that a log serves."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url.rstrip("/")
        self._size = size

    def get(self, tile: Tile) -> bytes | None:
        width = width_of(tile, self._size)
        body = fetch(f"{self._url}/tile/{tile_path(TileRequest(tile, width, is_bundle=False))}")
        return body if len(body) == width * HASH_BYTES else None


def _report(witness: Witness, log: VerifierKey, alarm: Alarm | None) -> LogReport:
    last = witness.last(log)
    sentence = (
        _UNSEEN
        if last is None
        else f"{counted(last.size, 'leaf was', 'leaves were')} cosigned; nothing speaks against it"
    )
    return LogReport(
        origin=log.name,
        leaves=last.size if last is not None else 0,
        sound=alarm is None,
        sentence=alarm.sentence if alarm is not None else sentence,
        proven=alarm is not None and alarm.proven,
    )


def _wrong(log: VerifierKey, last: Checkpoint | None, sentence: str) -> LogReport:
    return LogReport(origin=log.name, leaves=last.size if last else 0, sound=False, sentence=sentence)
