"""What is remembered of millions of events: packed rows in the order in which they came, 54 bytes each, index included.

A dict of bytes takes 163. Each row says how far back the one before it in its slot is: a look-up goes from a slot's
latest row to older ones, on average over one at most. A slot also has two bits for some of the key of each of its rows
(a Bloom filter): nearly every event is new, and of 99 in 100 new ones, 97 once the slots have doubled often, the slot
alone tells, without a look at rows that no cache holds. Nothing is moved when the log grows, and nothing is looked for
when its oldest rows are forgotten: what points before the first row points nowhere. A row is found by its whole key of
16 bytes, so nothing is taken for anything else.
"""

import struct
from typing import Final

from services.matcher.domain.handed import Handed
from services.matcher.domain.identity_rows import IdentityRows

KEY_BYTES: Final = 16
CONTENT_BYTES: Final = 8
_ROW: Final = struct.Struct(f"<I{KEY_BYTES}s{CONTENT_BYTES}sQQBB")
_ROW_BYTES: Final = _ROW.size
_NUMBER: Final = struct.Struct("<I")
_KEY_AT: Final = _NUMBER.size
_KEY_END: Final = _KEY_AT + KEY_BYTES
_NOWHERE: Final = (1 << 32) - 1
# A slot: the lowest bits of the number of its latest row, and above them two bits for each of its rows. 62 bits are
# what compiled code holds without an object, and a market may remember a thousand million events, which 30 bits number.
_SLOT_BYTES: Final = 8
_NUMBER_BITS: Final = 30
_FIRST_BIT: Final = 1 << _NUMBER_BITS
_NUMBER_MASK: Final = _FIRST_BIT - 1
_BITS: Final = 31
_ONE_AT: Final = 4
_OTHER_AT: Final = 5
_CHUNK_SHIFT: Final = 8
_CHUNK_ROWS: Final = 1 << _CHUNK_SHIFT
_IN_CHUNK: Final = _CHUNK_ROWS - 1
_pack_into: Final = _ROW.pack_into
_unpack: Final = _ROW.unpack_from
# Half of what `int.from_bytes` of a slice costs.
_number: Final = _NUMBER.unpack_from

Answer = tuple[bytes, int, int, int, int]
"""(digest of the event's bytes, accepted time in ns, packed entry, code of the decision, code of the reason)."""


class Identities:
    """Finds rows, adds and forgets them."""

    def __init__(self, rows: IdentityRows) -> None:
        """Look up what stands in `rows`."""
        self._rows = rows
        self._slots = memoryview(bytearray(rows.slots * _SLOT_BYTES)).cast("Q")
        """The number in one, of a row long gone, may be that of another row now: that one's key is then compared for
        nothing."""
        self._mask = rows.slots - 1
        self._build()

    def _build(self) -> None:
        rows, doubled = self._rows, 0
        for place, chunk in enumerate(rows.chunks):
            begin = (rows.first & ~_IN_CHUNK) + place * _CHUNK_ROWS
            skipped = rows.first & _IN_CHUNK if place == 0 else 0
            for at in range(skipped, min(_CHUNK_ROWS, rows.end - begin)):
                while doubled < len(rows.doubled) and begin + at >= rows.doubled[doubled]:
                    self._double()
                    doubled += 1
                slots, key_at = self._slots, at * _ROW_BYTES + _KEY_AT
                slot = _number(chunk, key_at)[0] & self._mask
                bits = slots[slot] & ~_NUMBER_MASK
                bits |= _FIRST_BIT << (chunk[key_at + _ONE_AT] & _BITS)
                bits |= _FIRST_BIT << (chunk[key_at + _OTHER_AT] & _BITS)
                slots[slot] = bits | begin + at & _NUMBER_MASK
        for _ in rows.doubled[doubled:]:
            self._double()

    @property
    def count(self) -> int:
        """Return how many events are remembered."""
        rows = self._rows
        return rows.end - rows.first

    def get(self, key: bytes) -> Answer | None:
        """Return the answer under `key`, or None."""
        rows = self._rows
        last, first = rows.end - 1, rows.first
        # The slot is in the first 32 bits: compiled code takes them byte by byte in a fifth of the time.
        slot = (key[0] | key[1] << 8 | key[2] << 16 | key[3] << 24) & self._mask
        known: int = self._slots[slot]
        bits = _FIRST_BIT << (key[_ONE_AT] & _BITS) | _FIRST_BIT << (key[_OTHER_AT] & _BITS)
        if known & bits != bits:
            return None
        number = last - (last - known & _NUMBER_MASK)
        while number >= first:
            chunk = rows.chunks[(number >> _CHUNK_SHIFT) - (first >> _CHUNK_SHIFT)]
            at = (number & _IN_CHUNK) * _ROW_BYTES
            if chunk[at + _KEY_AT : at + _KEY_END] == key:
                answer: Answer = _unpack(chunk, at)[2:]
                return answer
            back: int = _number(chunk, at)[0]
            number -= back + 1
        return None

    def add(
        self,
        key: bytes,
        content: bytes,
        at_ns: Handed,
        entry: int,
        kind: int,
        reason: int,
    ) -> None:
        """Remember an answer under `key`, which is not there yet."""
        rows = self._rows
        number, first = rows.end, rows.first
        slot = (key[0] | key[1] << 8 | key[2] << 16 | key[3] << 24) & self._mask
        known: int = self._slots[slot]
        back = number - 1 - known & _NUMBER_MASK
        if number & _IN_CHUNK == 0 or not rows.chunks:
            rows.chunks.append(bytearray(_CHUNK_ROWS * _ROW_BYTES))
        bits = known & ~_NUMBER_MASK
        if number - 1 - back < first:
            back, bits = _NOWHERE, 0  # the same, whatever has been forgotten in this slot
        _pack_into(
            rows.chunks[-1],
            (number & _IN_CHUNK) * _ROW_BYTES,
            back,
            key,
            content,
            at_ns,
            entry,
            kind,
            reason,
        )
        bits |= _FIRST_BIT << (key[_ONE_AT] & _BITS) | _FIRST_BIT << (key[_OTHER_AT] & _BITS)
        self._slots[slot] = bits | number & _NUMBER_MASK
        rows.end = number + 1
        if number - first > self._mask:
            rows.doubled.append(number + 1)
            self._double()

    def oldest_at_ns(self) -> int | None:
        """Return when the oldest event that is remembered was accepted, or None."""
        rows = self._rows
        if rows.first == rows.end:
            return None
        at_ns: int = _unpack(rows.chunks[0], (rows.first & _IN_CHUNK) * _ROW_BYTES)[3]
        return at_ns

    def forget_oldest(self) -> None:
        """Forget the oldest event."""
        rows = self._rows
        assert rows.first < rows.end, "there is something to forget"
        rows.first += 1
        if rows.first & _IN_CHUNK == 0:
            del rows.chunks[0]

    def _double(self) -> None:
        """Have twice as many slots. Both halves begin with the rows known so far, each goes on with its own."""
        self._slots = memoryview(bytearray(self._slots.tobytes() * 2)).cast("Q")
        self._mask = 2 * self._mask + 1
