"""Positions, entries and records: the bytes of the journal.

A record is one JSON object and one journal message. Its hash is SHA-256 over exactly these bytes, is its own
`Nats-Msg-Id`, and is named by the next record as `prev`. Entries are kept as the exact bytes written.
"""

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from events.decisions import AnyDecision
from events.raw import Unread
from events.undecodable import UNDECODABLE

if TYPE_CHECKING:
    _OptionalRaw = Unread | None
else:
    # Of a union of Raw and None, msgspec accepts null alone and refuses every event.
    _OptionalRaw = msgspec.Raw

RECORD_FORMAT: Final = 1
GENESIS: Final = "0" * 64
"""`prev` of the first record of a journal."""


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One event with its decisions, or one bounded piece of timer work (no `publisher`, no `event`).

    (`seq`, `index`, `part`) is its position: sequence in the intake stream, index in the batch, and the number
    of entries that this input already caused. `at` is the accepted time in ns.
    """

    seq: int
    index: int
    part: int
    at: int
    publisher: str | None = None
    event: _OptionalRaw = None
    decisions: list[AnyDecision]


class EntryBytes(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An entry whose decisions stay the bytes they are."""

    seq: int
    index: int
    part: int
    at: int
    publisher: str | None = None
    event: _OptionalRaw = None
    decisions: list[msgspec.Raw]


class Entries(msgspec.Struct, frozen=True, gc=False):
    """Consecutive entries as they stand in a record: `count` of them, a comma between each two."""

    count: int
    body: bytes


class Through(msgspec.Struct, kw_only=True, gc=False):
    """The last intake message that a record covers, and how far.

    `events` is how many events the message holds and `at` the broker's timestamp in ns; `hash` is SHA-256 of
    its body. The position reached is that of the record's last entry.
    """

    seq: int
    events: int
    at: int
    hash: str


class Record(msgspec.Struct, kw_only=True, gc=False):
    """Consecutive entries, decided under one rule version and committed together."""

    v: int
    market: str
    prev: str
    intake: str
    rule: int
    through: Through
    entries: list[msgspec.Raw]


_encoder: Final = msgspec.json.Encoder()
_entry_decoder: Final = msgspec.json.Decoder(Entry)
_entry_bytes_decoder: Final = msgspec.json.Decoder(EntryBytes)
_record_decoder: Final = msgspec.json.Decoder(Record)
_raws_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoded: Final = bytearray()
"""Where entries are encoded together; one buffer for all, that has grown once."""

encode_entry: Final = _encoder.encode
"""Return the bytes of an Entry; what is written is these bytes and no others."""


def encode_entries(entries: list[Entry]) -> Entries:
    """Return the same bytes for many entries, in half of the time that they take one by one."""
    if len(entries) == 1:  # half of what it takes to cut it out of a list
        _encoder.encode_into(entries[0], _encoded)
        return Entries(1, bytes(_encoded))
    _encoder.encode_into(entries, _encoded)
    with memoryview(_encoded) as encoded:
        return Entries(len(entries), bytes(encoded[1:-1]))


def join_entries(entries: list[bytes]) -> Entries:
    """Return entries that are encoded already as they stand in a record."""
    return Entries(len(entries), b",".join(entries))


def split_entries(entries: Entries) -> list[bytes]:
    """Return the bytes of each entry."""
    return list(map(bytes, _raws_decoder.decode(b"[%b]" % entries.body)))


class BadRecord(ValueError):
    """Bytes that are no record, or a record that does not fit where it stands."""


def encode_record(record: Record) -> bytes:
    """Return the bytes of `record`."""
    return _encoder.encode(record)


def decode_record(body: bytes) -> Record:
    """Return the record in `body`. Raises BadRecord when there is none of a format known here."""
    try:
        record = _record_decoder.decode(body)
    except UNDECODABLE as error:
        raise BadRecord(f"not a record: {error}") from None
    if record.v != RECORD_FORMAT:
        raise BadRecord(f"record format {record.v} is not known here, only {RECORD_FORMAT}")
    if not record.entries:
        raise BadRecord("a record without entries")
    return record


def decode_entry(raw: Unread) -> Entry:
    """Return the entry in `raw`. Raises BadRecord when there is none."""
    try:
        return _entry_decoder.decode(raw)
    except UNDECODABLE as error:
        raise BadRecord(f"not an entry: {error}") from None


def decode_entry_bytes(raw: Unread) -> EntryBytes:
    """Return the entry in `raw` with its decisions as bytes. Raises BadRecord when there is none."""
    try:
        return _entry_bytes_decoder.decode(raw)
    except UNDECODABLE as error:
        raise BadRecord(f"not an entry: {error}") from None


def hash_bytes(body: bytes) -> str:
    """Return SHA-256 of `body` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def entry_id(seq: int, index: int, part: int) -> str:
    """Return the name of an entry: its position as `seq.index.part`."""
    return f"{seq}.{index}.{part}"


def parse_entry_id(text: str) -> tuple[int, int, int]:
    """Return (seq, index, part) of an entry's name; missing trailing parts count as 0.

    Raises ValueError when it is not one.
    """
    numbers = text.split(".")
    if not 1 <= len(numbers) <= 3 or not all(n.isascii() and n.isdigit() and len(n) <= 20 for n in numbers):
        raise ValueError(f"not a position: {text[:60]!r}; expected SEQ, SEQ.INDEX or SEQ.INDEX.PART")
    seq, index, part = (*(int(n) for n in numbers), 0, 0)[:3]
    return seq, index, part
