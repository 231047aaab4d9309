"""Tables of many small records in packed bytes: a tenth of what as many Python objects take, and one flat snapshot.

A record is found by a key of six bytes, so a look-up mistakes one key for another with a probability of at most
n x 2^-48: 4 x 10^-8 with ten million in a table. Shards grow by one at a time (linear hashing), so that none is long to
search and no growth is a pause. What is older than the window is dropped when its shard gets a record, or is split.
"""

from typing import Final

import msgspec

KEY_BYTES: Final = 6
HOUR_BYTES: Final = 2
_HOURS: Final = 0xFFFF
_ADDRESS_BYTES: Final = 4
_STORED_BYTES: Final = KEY_BYTES - 1
"""Of a key: the first byte says in which shard it is."""
_SHARDS_AT_FIRST: Final = 256
_HOUR_END: Final = _STORED_BYTES + HOUR_BYTES
_RECORDS_PER_SHARD: Final = 64
"""On average: a shard of more than 512 bytes is none of what Python's own allocator serves. A shard moves with each
record, to whatever place is free: with 16 records, 24 bytes an assist stayed unused, since among all that is freed
when the rows of plays grow there lay a shard here and there. To search a kilobyte takes no more than 0.4 µs."""

Key = bytes
"""Six bytes that stand for a member, device or network."""


class Table(msgspec.Struct, kw_only=True, gc=False):
    """Records of `row_bytes` each; the first two bytes of a row are the hour in which it was last touched."""

    row_bytes: int
    window_h: int
    shards: list[bytes] = msgspec.field(default_factory=lambda: [b""] * _SHARDS_AT_FIRST)
    """Keys without their first byte, each with its row, the one touched longest ago first."""
    mask: int = _SHARDS_AT_FIRST - 1
    """The lowest bits of a key that say which shard holds it; one fewer where that many shards are not there yet."""
    count: int = 0

    def rows(self, key: Key) -> list[bytes]:
        """Return the records of `key`, oldest first."""
        # Written out here, in `knows` and in `add`: a call less for what each assist does five times.
        place = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask
        shard = self.shards[place if place < len(self.shards) else place - (self.mask + 1 >> 1)]
        stored = key[1:]
        at = shard.rfind(stored)
        if at < 0:
            return []
        stride, found = _STORED_BYTES + self.row_bytes, []
        while at >= 0:
            if at % stride == 0:
                found.append(shard[at + _STORED_BYTES : at + stride])
            at = shard.rfind(stored, 0, at + _STORED_BYTES - 1)
        found.reverse()
        return found

    def knows(self, key: Key) -> bool:
        """Tell whether there may be a record of `key`: quickly, and wrongly once in a million times at most."""
        place = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask
        # From the end: CPython 3.11 finds a few bytes in a few hundred five times as fast so.
        return self.shards[place if place < len(self.shards) else place - (self.mask + 1 >> 1)].rfind(key[1:]) >= 0

    def latest(self, key: Key) -> bytes | None:
        """Return the record of `key` that was added last, or None."""
        shard = self.shards[self._place(key)]
        stride = _STORED_BYTES + self.row_bytes
        at = _last(shard, key, stride)
        return None if at < 0 else shard[at + _STORED_BYTES : at + stride]

    def add(self, record: bytes) -> None:
        """Add a record: its key and its row, whose first two bytes are the present hour."""
        shards = self.shards
        place = int.from_bytes(record[:_ADDRESS_BYTES], "little") & self.mask
        if place >= len(shards):
            place -= self.mask + 1 >> 1
        stored, shard = record[1:], shards[place]
        hour = int.from_bytes(stored[_STORED_BYTES:_HOUR_END])
        if shard and hour - int.from_bytes(shard[_STORED_BYTES:_HOUR_END]) & _HOURS >= self.window_h:
            begin = self._begin_of_window(shard, hour)
            self.count -= begin // len(stored)
            shard = shard[begin:]
        shards[place] = shard + stored
        self.count += 1
        if self.count > len(shards) * _RECORDS_PER_SHARD:
            self._split(hour)

    def replace(self, key: Key, row: bytes) -> None:
        """Replace the record of `key` that was added last; there is one. The first two bytes of `row` are this hour."""
        place = self._place(key)
        shard, stride = self.shards[place], _STORED_BYTES + self.row_bytes
        at = _last(shard, key, stride)
        assert at >= 0 and len(row) == self.row_bytes
        self.shards[place] = shard[:at] + shard[at + stride :] + key[1:] + row

    def _place(self, key: Key) -> int:
        place = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask
        return place if place < len(self.shards) else place - (self.mask + 1 >> 1)

    def _begin_of_window(self, shard: bytes, hour: int) -> int:
        """Return where in a shard the records begin that are within the window."""
        stride, begin = _STORED_BYTES + self.row_bytes, 0
        while begin < len(shard):
            if age_h(hour, int.from_bytes(shard[begin + _STORED_BYTES : begin + _HOUR_END])) < self.window_h:
                break
            begin += stride
        return begin

    def _split(self, hour: int) -> None:
        """Add a shard, and move to it what belongs there from the one shard that it relieves."""
        new = len(self.shards)
        bit = new.bit_length() - 1
        self.mask = (1 << bit + 1) - 1
        old = new - (1 << bit)
        shard, stride = self.shards[old], _STORED_BYTES + self.row_bytes
        begin = self._begin_of_window(shard, hour)
        self.count -= begin // stride
        kept = [shard[at : at + stride] for at in range(begin, len(shard), stride)]
        # All of them have the lower bits in common: the highest one says where a record belongs.
        byte, bit = divmod(bit - 8, 8)
        self.shards[old] = b"".join([record for record in kept if not record[byte] >> bit & 1])
        self.shards.append(b"".join([record for record in kept if record[byte] >> bit & 1]))


def age_h(now_h: int, then_h: int) -> int:
    """Return how many hours lie between two hours of 16 bits, which come round after seven years."""
    return now_h - then_h & _HOURS


def _last(shard: bytes, key: Key, stride: int) -> int:
    """Return where the last record of `key` begins, or -1; a match across two records is none."""
    stored = key[1:]
    at = shard.rfind(stored)
    while at > 0 and at % stride:
        at = shard.rfind(stored, 0, at + _STORED_BYTES - 1)
    return at
