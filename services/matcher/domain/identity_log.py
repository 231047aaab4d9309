"""What is remembered of millions of events: packed rows in the order in which they came, 54 bytes each, index included.

A dict of bytes takes 163. Each row says how far back the one before it in its slot is: a look-up goes from a slot's
latest row to older ones, on average over one at most. Nothing is moved when the log grows, and nothing is
looked for when its oldest rows are forgotten: what points before the first row points nowhere. A row is found by its
whole key of 16 bytes, so nothing is taken for anything else.
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
_LARGEST: Final = (1 << 32) - 1
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
        self._latest = memoryview(bytearray(rows.slots * _NUMBER.size)).cast("I")
        """Of each slot the lowest 32 bits of the number of its latest row. Those of a row long gone may be those of
        another one now: that one's key is then compared for nothing."""
        self._has_doubled = False
        latest, mask, skipped = self._latest, rows.slots - 1, rows.first & _IN_CHUNK
        for place, chunk in enumerate(rows.chunks):
            begin = (rows.first & ~_IN_CHUNK) + place * _CHUNK_ROWS
            for at in range(skipped if place == 0 else 0, min(_CHUNK_ROWS, rows.end - begin)):
                latest[_number(chunk, at * _ROW_BYTES + _KEY_AT)[0] & mask] = begin + at & _LARGEST

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
        slot = (key[0] | key[1] << 8 | key[2] << 16 | key[3] << 24) & rows.slots - 1
        latest: int = self._latest[slot]
        number = last - (last - latest & _LARGEST)
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
        number, first, slots = rows.end, rows.first, rows.slots
        slot = (key[0] | key[1] << 8 | key[2] << 16 | key[3] << 24) & slots - 1
        latest: int = self._latest[slot]
        back = number - 1 - latest & _LARGEST
        if self._has_doubled:
            back = self._back_in_slot(slot, back)
        if number & _IN_CHUNK == 0 or not rows.chunks:
            rows.chunks.append(bytearray(_CHUNK_ROWS * _ROW_BYTES))
        if number - 1 - back < first:
            back = _LARGEST  # the same, whatever has been forgotten in this slot
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
        self._latest[slot] = number & _LARGEST
        rows.end = number + 1
        if number - first >= slots:
            self._double()

    def _back_in_slot(self, slot: int, back: int) -> int:
        """Return how far back the latest row of `slot` itself is: what is known may be one of the other half."""
        rows = self._rows
        number = rows.end - 1 - back
        while number >= rows.first:
            chunk = rows.chunks[(number >> _CHUNK_SHIFT) - (rows.first >> _CHUNK_SHIFT)]
            at = (number & _IN_CHUNK) * _ROW_BYTES
            if _number(chunk, at + _KEY_AT)[0] & rows.slots - 1 == slot:
                return rows.end - 1 - number
            number -= _number(chunk, at)[0] + 1
        return _LARGEST

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
        self._rows.slots *= 2
        self._latest = memoryview(bytearray(self._latest.tobytes() * 2)).cast("I")
        self._has_doubled = True
