"""What a log asks of a witness: the body of `add-checkpoint` (c2sp.org/tlog-witness).

old <size>
<proof hash in base64>      at most 63 of them
<empty line>
<checkpoint, a signed note>
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from services.ledger.checkpoint import SIZE_MAX
from services.ledger.merkle import HASH_BYTES

PROOF_LINES_MAX: Final = 63
BODY_MAX_BYTES: Final = 256 * 1024
_OLD: Final = "old "


class BadRequest(Exception):
    """A body that does not have the form; the message says where."""


class AddCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint, not verified, and the proof that it goes on from a tree of `old_size` leaves."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes


def encode_request(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body that asks for a cosignature of `note`."""
    assert len(proof) <= PROOF_LINES_MAX, f"a proof of {len(proof)} hashes"
    lines = [f"{_OLD}{old_size}", *(base64.b64encode(each).decode() for each in proof)]
    return "".join([*(f"{line}\n" for line in lines), "\n", note]).encode()


def parse_request(body: bytes) -> AddCheckpoint:
    """Return what is asked in `body`. Raises BadRequest when it does not have the form."""
    if len(body) > BODY_MAX_BYTES:
        raise BadRequest(f"the body has more than {BODY_MAX_BYTES} bytes")
    head, blank, note = body.partition(b"\n\n")
    if not blank:
        raise BadRequest("expected an old size line, proof lines, an empty line and a checkpoint")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise BadRequest("the lines before the checkpoint are not ASCII") from None
    if len(hashes) > PROOF_LINES_MAX:
        raise BadRequest(f"{len(hashes)} proof lines: at most {PROOF_LINES_MAX} are read")
    return AddCheckpoint(_parse_old(first), tuple(map(_parse_hash, hashes)), note)


def parse_size(text: str) -> int | None:
    """Return a tree size as it is written in decimal, None when it is none."""
    is_decimal = text.isascii() and text.isdigit() and len(text) <= len(str(SIZE_MAX))
    if not is_decimal or (text[0] == "0" and text != "0") or int(text) > SIZE_MAX:
        return None
    return int(text)


def _parse_old(line: str) -> int:
    size = parse_size(line.removeprefix(_OLD)) if line.startswith(_OLD) else None
    if size is None:
        raise BadRequest(f"the first line is {line[:40]!r}: expected 'old' and a tree size in decimal")
    return size


def _parse_hash(line: str) -> bytes:
    try:
        found = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != HASH_BYTES or base64.b64encode(found).decode() != line:
        raise BadRequest(f"the proof line {line[:60]!r} is not {HASH_BYTES} bytes in base64")
    return found
