"""Leaves of the ledger's tree: a canonical header and one salted commitment for every part of an entry.

Leaf, all integers unsigned big-endian:

    "groupbuy-leaf-v1\\n" | seq 8 | index 4 | part 4 | at_ns 8 | rule 4 | has_event 1 | commitments 4 | 32 bytes each

Part 0 is the event's bytes where there is an event; then come the parts of each decision in order. A decision
that names seats is one part without its seats, then one part a seat, so that what a dossier shows of one member
need not show another. Commitment i is SHA-256(salt_i | bytes of part i), salt_i is HMAC-SHA256 under a key of the
market over "groupbuy-salt-v1\\n" | seq 8 | index 4 | part 4 | i 4.
"""

import hashlib
import hmac
import struct
from typing import Final

import msgspec

from events.limits import LEAF_MAX_BYTES
from events.record import EntryBytes

_LEAF_PREFIX: Final = b"groupbuy-leaf-v1\n"
_SALT_PREFIX: Final = b"groupbuy-salt-v1\n"
_HASH_PREFIX: Final = b"groupbuy-keyed-hash-v1\n"
_KEY_PREFIX: Final = b"groupbuy-key-v1\n"
_header: Final = struct.Struct(">QIIQIBI").pack
_salt_input: Final = struct.Struct(">QIII").pack


_raws_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_fields_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode: Final = msgspec.json.Encoder().encode


def parts(entry: EntryBytes) -> list[bytes]:
    """Return the parts of an entry that are committed to, in order."""
    found = [] if entry.event is None else [bytes(entry.event)]
    for decision in entry.decisions:
        raw = bytes(decision)
        found += [raw] if b'"seats":[' not in raw else _split_seats(raw)
    return found


def salt(market_key: bytes, entry: EntryBytes, part_index: int) -> bytes:
    """Return the 32-byte salt of part `part_index` of an entry under the market's key."""
    text = _SALT_PREFIX + _salt_input(entry.seq, entry.index, entry.part, part_index)
    return hmac.digest(market_key, text, "sha256")


def commitment(salt_bytes: bytes, part: bytes) -> bytes:
    """Return the 32-byte commitment to a part."""
    return hashlib.sha256(salt_bytes + part).digest()


def leaf(market_key: bytes, entry: EntryBytes, rule_version: int) -> bytes:
    """Return the leaf of an entry that was decided under `rule_version`."""
    commitments = [commitment(salt(market_key, entry, i), part) for i, part in enumerate(parts(entry))]
    has_event = entry.event is not None
    header = _header(entry.seq, entry.index, entry.part, entry.at, rule_version, has_event, len(commitments))
    body = b"".join((_LEAF_PREFIX, header, *commitments))
    assert len(body) < LEAF_MAX_BYTES, f"leaf of {len(body)} bytes"
    return body


def keyed_hash(market_key: bytes, body: bytes) -> str:
    """Return what is kept of an input whose bytes are not: HMAC-SHA256 under the market's key, in hexadecimal."""
    return hmac.digest(market_key, _HASH_PREFIX + body, "sha256").hex()


def key_commitment(market_key: bytes) -> str:
    """Return what `market.configured` may publish of the market's key: a SHA-256 that says which key it is."""
    return hashlib.sha256(_KEY_PREFIX + market_key).hexdigest()


def _split_seats(raw: bytes) -> list[bytes]:
    fields = _fields_decoder.decode(raw)
    written = fields.pop("seats", None)
    seats = [] if written is None else _raws_decoder.decode(written)
    return [_encode(fields), *map(bytes, seats)] if seats else [raw]
