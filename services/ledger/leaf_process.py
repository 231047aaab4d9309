"""Hashing leaves in a process of its own: `python -m services.ledger.leaf_process`, the market's key, then batches.

A batch of records is one frame there, and their leaf hashes one frame back: how many bytes in 8, then the bytes. Empty
means that a record could not be read, which whoever asks finds out for himself.
"""

import struct
import sys
from typing import BinaryIO, Final

import msgspec

from services.ledger.faults import LedgerBroken
from services.ledger.leaves import MARKET_KEY_BYTES, LeafMaker
from services.ledger.merkle import leaf_hash

_length: Final = struct.Struct(">Q")
_bodies: Final = msgspec.msgpack.Decoder(list[bytes])
encode_batch: Final = msgspec.msgpack.Encoder().encode
"""Return the bytes of a list of records."""


def read_frame(stream: BinaryIO) -> bytes | None:
    """Return the next frame, None at the end."""
    head = stream.read(_length.size)
    if len(head) < _length.size:
        return None
    (size_bytes,) = _length.unpack(head)
    body = stream.read(size_bytes)
    return body if len(body) == size_bytes else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    """Write a frame at once."""
    stream.write(_length.pack(len(body)))
    stream.write(body)
    stream.flush()


def hash_batch(maker: LeafMaker, batch: bytes) -> bytes:
    """Return the leaf hashes of a batch of records, joined."""
    try:
        return b"".join(leaf_hash(leaf) for body in _bodies.decode(batch) for leaf in maker.leaves_of(0, body))
    except (LedgerBroken, msgspec.DecodeError):
        return b""


def main() -> None:
    """Hash batches until there are no more."""
    maker = LeafMaker(sys.stdin.buffer.read(MARKET_KEY_BYTES))
    while (batch := read_frame(sys.stdin.buffer)) is not None:
        write_frame(sys.stdout.buffer, hash_batch(maker, batch))


if __name__ == "__main__":
    main()
