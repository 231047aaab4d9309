"""The leaves of the tree: of every entry of a record, header and salted commitments, as `events.leaf` defines them."""

import hashlib
import struct
from typing import Final

from events.leaf import parts
from events.limits import LEAF_MAX_BYTES
from events.record import EntryBytes
from events.undecodable import UNDECODABLE
from services.ledger.chain import place_of_record
from services.ledger.faults import LedgerBroken
from services.ledger.lean import decode_committed

MARKET_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_sha256: Final = hashlib.sha256
_position: Final = struct.Struct(">QII").pack
_number: Final = struct.Struct(">I").pack
_leaf_header: Final = struct.Struct(">17sQIIQIBI").pack
_SALT_PREFIX: Final = b"groupbuy-salt-v1\n"
_LEAF_PREFIX: Final = b"groupbuy-leaf-v1\n"


class LeafMaker:
    """Makes leaves under the key of one market: the same bytes as `events.leaf.leaf`, in about half its time.

    Most of that time goes into setting up HMAC for every salt. Written out, HMAC is two hashes over texts that begin
    with the padded key, and copying those that have begun takes five sixths of what beginning them takes.
    """

    def __init__(self, market_key: bytes) -> None:
        assert len(market_key) == MARKET_KEY_BYTES, f"a market key of {len(market_key)} bytes"
        padded = market_key.ljust(_BLOCK_BYTES, b"\0")
        self.market_key = market_key
        self._inner = hashlib.sha256(padded.translate(_INNER) + _SALT_PREFIX)
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def leaves_of(self, seq: int, body: bytes) -> list[bytes]:
        """Return the leaves of the record in `body`, number `seq`. Raises LedgerBroken when it is no record."""
        try:
            record = decode_committed(body)
            return [self.leaf(entry, record.rule) for entry in record.entries]
        except UNDECODABLE as error:
            raise LedgerBroken(place_of_record(seq), f"no leaves can be made of it: {error}") from None

    def leaf(self, entry: EntryBytes, rule_version: int) -> bytes:
        """Return the leaf of an entry."""
        position = _position(entry.seq, entry.index, entry.part)
        commitments: list[bytes] = []
        for number, committed in enumerate(parts(entry)):
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(position + _number(number))
            outer.update(inner.digest())
            commitments.append(_sha256(outer.digest() + committed).digest())
        header = _leaf_header(
            _LEAF_PREFIX,
            entry.seq,
            entry.index,
            entry.part,
            entry.at,
            rule_version,
            entry.event is not None,
            len(commitments),
        )
        leaf = b"".join((header, *commitments))
        assert len(leaf) < LEAF_MAX_BYTES, f"leaf of {len(leaf)} bytes"
        return leaf
