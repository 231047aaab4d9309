"""Checkpoints as C2SP describes them (c2sp.org/tlog-checkpoint): which log, how many leaves, which root, signed.

A note with at least three lines: origin, tree size in decimal, root in base64; further lines are kept, nothing more.
"""

import base64
import binascii
from typing import Final

import msgspec

from services.ledger.merkle import HASH_BYTES
from services.ledger.note import NoteError, SigningKey, VerifierKey, open_note, parse_note, sign_note

SIZE_MAX: Final = 2**63 - 1
_SIZE_MAX_CHARS: Final = len(str(SIZE_MAX))
_LINES_MIN: Final = 3


class CheckpointError(Exception):
    """A checkpoint that cannot be read or trusted; the message says why."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log says of itself at one moment."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def origin_of(log_host: str, market: str) -> str:
    """Return the origin of a market's log on the host `log_host`."""
    return f"{log_host}/groupbuy/{market}"


def sign_checkpoint(key: SigningKey, checkpoint: Checkpoint) -> str:
    """Return the checkpoint as a note signed with `key`, whose name is the origin."""
    assert key.name == checkpoint.origin, "a log signs under its origin"
    assert len(checkpoint.root) == HASH_BYTES and 0 <= checkpoint.size <= SIZE_MAX, "a tree head"
    return sign_note(checkpoint.text(), [key]).encode()


def open_checkpoint(raw: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in the note `raw` that `key` has signed.

    Raises CheckpointError when there is none, the signature is not that key's, or another log is meant.
    """
    try:
        checkpoint = parse_checkpoint(open_note(raw, [key]).text)
    except NoteError as error:
        raise CheckpointError(str(error)) from None
    if checkpoint.origin != key.name:
        raise CheckpointError(f"the checkpoint is of the log {checkpoint.origin[:200]}, the key of {key.name}")
    return checkpoint


def read_unverified(raw: bytes) -> Checkpoint:
    """Return the checkpoint in the note `raw`, whoever signed it. Raises CheckpointError when there is none."""
    try:
        return parse_checkpoint(parse_note(raw).text)
    except NoteError as error:
        raise CheckpointError(str(error)) from None


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in the text of a note. Raises CheckpointError when there is none."""
    lines = text.split("\n")
    if lines.pop() or len(lines) < _LINES_MIN or not all(lines):
        raise CheckpointError("no checkpoint: expected lines with origin, tree size and root, none of them empty")
    origin, size, root, *extensions = lines
    return Checkpoint(origin, _parse_size(size), _parse_root(root), tuple(extensions))


def _parse_size(text: str) -> int:
    is_decimal = text.isascii() and text.isdigit() and len(text) <= _SIZE_MAX_CHARS
    if not is_decimal or (text[0] == "0" and text != "0") or int(text) > SIZE_MAX:
        raise CheckpointError(f"the tree size {text[:40]!r} is no decimal number up to 2^63 - 1")
    return int(text)


def _parse_root(text: str) -> bytes:
    try:
        root = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != HASH_BYTES or base64.b64encode(root).decode() != text:
        raise CheckpointError(f"the root {text[:80]!r} is not {HASH_BYTES} bytes in base64")
    return root
