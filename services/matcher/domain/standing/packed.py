"""Tables of many small records in packed bytes: a tenth of what as many Python objects take, and one flat snapshot.

A record is found by a key of six bytes, so a look-up mistakes one key for another with a probability of at most
n x 2^-48: 4 x 10^-8 with ten million in a table. Shards grow by one at a time (linear hashing), so that none is long to
search and no growth is a pause. What is older than the window is dropped when its shard is full or split.
"""

from typing import Final

import msgspec

KEY_BYTES: Final = 6
HOUR_BYTES: Final = 2
_HOURS: Final = 0xFFFF
_ADDRESS_BYTES: Final = 4
_RECORDS_PER_SHARD: Final = 20
"""On average: to search a few hundred bytes takes a quarter of a microsecond, ten times as many ten times as long."""
_LOOKED_THROUGH_FROM: Final = 32
_LOOKED_THROUGH_EVERY: Final = 8

Key = bytes
"""Six bytes that stand for a member, device or network."""


class Table(msgspec.Struct, kw_only=True, gc=False):
    """Records of `row_bytes` each; the first two bytes of a row are the hour in which it was last touched."""

    row_bytes: int
    window_h: int
    shards: list[bytes] = msgspec.field(default_factory=lambda: [b""])
    """Keys with their rows, oldest first; below 512 bytes, which Python's allocator serves without leaving holes."""
    mask: int = 0
    """The lowest bits of a key that say which shard holds it; one fewer where that many shards are not there yet."""
    count: int = 0

    def rows(self, key: Key) -> list[bytes]:
        """Return the records of `key`, oldest first."""
        shard = self.shards[self._place(key)]
        at = shard.rfind(key)
        if at < 0:
            return []
        stride, found = KEY_BYTES + self.row_bytes, []
        while at >= 0:
            if at % stride == 0:
                found.append(shard[at + KEY_BYTES : at + stride])
            at = shard.rfind(key, 0, at + KEY_BYTES - 1)
        found.reverse()
        return found

    def knows(self, key: Key) -> bool:
        """Tell whether there may be a record of `key`: quickly, and wrongly once in a million times at most."""
        return key in self.shards[self._place(key)]

    def latest(self, key: Key) -> bytes | None:
        """Return the record of `key` that was added last, or None."""
        shard = self.shards[self._place(key)]
        stride = KEY_BYTES + self.row_bytes
        at = _last(shard, key, stride)
        return None if at < 0 else shard[at + KEY_BYTES : at + stride]

    def add(self, key: Key, row: bytes) -> None:
        """Add a record; its first two bytes are the present hour."""
        assert len(key) == KEY_BYTES and len(row) == self.row_bytes
        place = self._place(key)
        shard = self.shards[place] = self.shards[place] + key + row
        self.count += 1
        if self.count > len(self.shards) * _RECORDS_PER_SHARD:
            self._split(int.from_bytes(row[:HOUR_BYTES]))
            return
        records = len(shard) // (KEY_BYTES + self.row_bytes)
        if records >= _LOOKED_THROUGH_FROM and records % _LOOKED_THROUGH_EVERY == 0:
            kept = self._within(shard, int.from_bytes(row[:HOUR_BYTES]))
            self.count -= records - len(kept)
            self.shards[place] = b"".join(kept)

    def replace(self, key: Key, row: bytes) -> None:
        """Replace the record of `key` that was added last; there is one."""
        place = self._place(key)
        shard, stride = self.shards[place], KEY_BYTES + self.row_bytes
        at = _last(shard, key, stride)
        assert at >= 0 and len(row) == self.row_bytes
        self.shards[place] = shard[: at + KEY_BYTES] + row + shard[at + stride :]

    def _place(self, key: Key) -> int:
        place = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask
        return place if place < len(self.shards) else place - (self.mask + 1 >> 1)

    def _within(self, shard: bytes, hour: int) -> list[bytes]:
        """Return the records of a shard that are within the window, oldest first."""
        stride, window_h = KEY_BYTES + self.row_bytes, self.window_h
        records = [shard[at : at + stride] for at in range(0, len(shard), stride)]
        return [r for r in records if age_h(hour, int.from_bytes(r[KEY_BYTES : KEY_BYTES + HOUR_BYTES])) < window_h]

    def _split(self, hour: int) -> None:
        """Add a shard, and move to it what belongs there from the one shard that it relieves."""
        new = len(self.shards)
        self.mask = (1 << new.bit_length()) - 1
        old = new - (self.mask + 1 >> 1)
        before = len(self.shards[old]) // (KEY_BYTES + self.row_bytes)
        kept = self._within(self.shards[old], hour)
        self.shards.append(b"")
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for record in kept:
            halves[self._place(record) == new].append(record)
        self.shards[old], self.shards[new] = b"".join(halves[0]), b"".join(halves[1])
        self.count -= before - len(kept)


def age_h(now_h: int, then_h: int) -> int:
    """Return how many hours lie between two hours of 16 bits, which come round after seven years."""
    return now_h - then_h & _HOURS


def _last(shard: bytes, key: Key, stride: int) -> int:
    """Return where the last record of `key` begins, or -1; a match across two records is none."""
    at = shard.rfind(key)
    while at > 0 and at % stride:
        at = shard.rfind(key, 0, at + KEY_BYTES - 1)
    return at
