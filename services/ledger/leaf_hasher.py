"""Leaf hashes of records: at once, or meanwhile in another process where there are many.

Hashing takes half of archiving, and a short hash never lets go of the interpreter's lock, so threads do not help. With
a second process a ledger that has fallen behind catches up faster; one that keeps up never starts it.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.ledger.leaf_process import encode_batch, read_frame, write_frame
from services.ledger.leaves import LeafMaker
from services.ledger.merkle import HASH_BYTES, leaf_hash

MANY_BYTES: Final = 2 * 1024 * 1024
"""Records of so many bytes are some thousand entries: half as long as the process takes to start."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_MODULE: Final = "services.ledger.leaf_process"

Records = Sequence[tuple[int, bytes]]
"""Records as (sequence, body)."""


class LeafHasher:
    """Hashes the leaves of records, one batch after the other."""

    def __init__(self, maker: LeafMaker, many_bytes: int = MANY_BYTES) -> None:
        self._maker = maker
        self._many_bytes = many_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._may_start = True
        self._asked: Records = ()

    def begin(self, records: Records) -> None:
        """Begin with a batch, in the other process if it is a large one; `finish` gives its hashes."""
        if self._asked and self._answer() is None:
            # The batch before turned out to be none that can be archived: its hashes are of no use.
            self._give_up()
        if sum(len(body) for _, body in records) < self._many_bytes:
            return
        process = self._started()
        if process is None or process.stdin is None:
            return
        try:
            write_frame(process.stdin, encode_batch([body for _, body in records]))  # type: ignore[arg-type]
        except OSError:
            self._give_up()
        else:
            self._asked = records

    def finish(self, records: Records) -> list[bytes]:
        """Return the hashes of a batch. Raises LedgerBroken when there is a record that is none."""
        if self._asked is not records:
            return hashes_of(self._maker, records)
        joined = self._answer()
        if joined is None:
            self._give_up()
        if not joined:
            return hashes_of(self._maker, records)
        return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]

    def _answer(self) -> bytes | None:
        """Return what the other process answers to what it was asked, None when it is there no more."""
        self._asked = ()
        stream = None if self._process is None else self._process.stdout
        return None if stream is None else read_frame(stream)  # type: ignore[arg-type]

    def close(self) -> None:
        """End the other process, if there is one."""
        process, self._process = self._process, None
        self._may_start = False
        if process is not None:
            process.kill()
            process.communicate()

    def _started(self) -> subprocess.Popen[bytes] | None:
        if self._process is None and self._may_start:
            path = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", _MODULE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": path},
                )
                assert self._process.stdin is not None, "a pipe"
                # Through the pipe: arguments and environment can be read by others.
                self._process.stdin.write(self._maker.market_key)
                self._process.stdin.flush()
            except OSError:
                self._give_up()
        return self._process

    def _give_up(self) -> None:
        """Do without another process from now on: what it was asked is hashed here."""
        self.close()


def hashes_of(maker: LeafMaker, records: Records) -> list[bytes]:
    """Return the leaf hashes of records. Raises LedgerBroken when there is one that is none."""
    return [leaf_hash(leaf) for seq, body in records for leaf in maker.leaves_of(seq, body)]
