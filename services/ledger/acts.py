"""What was done with the ledger and the vault, beside the archive: who made a dossier, who erased a member.

One JSON object a line, each with the SHA-256 of the line before, so that a line changed or taken out shows. These are
deeds of operators, not inputs of the market: no rule depends on them, and they are no events.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from events.times import format_time_ns
from events.undecodable import UNDECODABLE
from services.ledger.faults import LedgerBroken, LedgerError

LINE_MAX_BYTES: Final = 64 * 1024
GENESIS: Final = "0" * 64
_FILE_MODE: Final = 0o600


class Act(msgspec.Struct, kw_only=True):
    """One deed: `facts` say what it was done to."""

    no: int
    at: str
    act: str
    actor: str
    facts: dict[str, Any]
    prev: str


_decoder: Final = msgspec.json.Decoder(Act)


def acts_file(data_dir: Path, market: str) -> Path:
    """Return where the acts of a market are kept under a stack's data directory."""
    return data_dir / "ledger" / f"acts-{market}.ndjson"


def record_act(path: Path, at_ns: int, act: str, actor: str, facts: dict[str, Any]) -> Act:
    """Add an act at the end, on the disk when this returns.

    Raises LedgerBroken when what is there is not as it was written, LedgerError when it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE_MODE)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = GENESIS, 0
            for no, line in enumerate(file, 1):
                _check(path, no, line, last[0])
                last = hashlib.sha256(line).hexdigest(), no
            done = Act(no=last[1] + 1, at=format_time_ns(at_ns), act=act, actor=actor, facts=facts, prev=last[0])
            file.write(msgspec.json.encode(done) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LedgerError(f"the act cannot be recorded in {path}: {error.strerror}; nothing was done") from None
    return done


def read_acts(path: Path) -> Iterator[Act]:
    """Yield every act in order. Raises LedgerBroken at the first that is not as it was written."""
    if not path.exists():
        return
    prev = GENESIS
    with path.open("rb") as file:
        for no, line in enumerate(file, 1):
            yield _check(path, no, line, prev)
            prev = hashlib.sha256(line).hexdigest()


def _check(path: Path, no: int, line: bytes, prev: str) -> Act:
    place = f"act {no} in {path.name}"
    try:
        act = _decoder.decode(line) if len(line) <= LINE_MAX_BYTES and line.endswith(b"\n") else None
    except UNDECODABLE:
        act = None
    if act is None:
        raise LedgerBroken(place, "this is no act: it was cut or changed")
    if act.prev != prev or act.no != no:
        raise LedgerBroken(place, "it does not follow the one before: something was changed, taken out or put in")
    return act
