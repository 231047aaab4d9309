"""Tables of many small records in packed bytes: a tenth of what as many Python objects take, and one flat snapshot.

A record is found by a key of six bytes: fourteen bits choose its shard, four bytes are compared. So a look-up mistakes
one record for another with probability at most (records in the shard) x 2^-32: 1.5 x 10^-7 with ten million in a table.
What is older than the window is dropped when a shard is full, at a cost that its growth has paid for.
"""

from typing import Final

import msgspec

KEY_BYTES: Final = 6
HOUR_BYTES: Final = 2
_FINGERPRINT_BYTES: Final = 4
_HOURS: Final = 0xFFFF
_SHARD_MIN_RECORDS: Final = 32

Key = bytes
"""Six bytes that stand for a member, device or network."""


class Shard(msgspec.Struct, gc=False, array_like=True):
    """Records whose keys begin alike: `keys` holds the rest of each key, `rows` each record, in the same order."""

    keys: bytearray
    rows: bytearray
    limit: int = _SHARD_MIN_RECORDS
    """How many records it may hold before those out of the window are looked for."""


class Table(msgspec.Struct, kw_only=True):
    """Records of `row_bytes` each; the first two bytes of a row are the hour in which it was last touched."""

    row_bytes: int
    window_h: int
    shards: dict[int, Shard] = {}

    def rows(self, key: Key) -> list[bytes]:
        """Return the records of `key`, oldest first."""
        shard = self.shards.get(key[0] << 6 | key[1] >> 2)
        if shard is None:
            return []
        keys, fingerprint, width = shard.keys, key[2:], self.row_bytes
        found = []
        at = keys.find(fingerprint)
        while at >= 0:
            if at & 3:
                at = keys.find(fingerprint, at + 1)
                continue
            begin = (at >> 2) * width
            found.append(bytes(shard.rows[begin : begin + width]))
            at = keys.find(fingerprint, at + _FINGERPRINT_BYTES)
        return found

    def latest(self, key: Key) -> bytes | None:
        """Return the record of `key` that was added last, or None."""
        shard = self.shards.get(key[0] << 6 | key[1] >> 2)
        if shard is None:
            return None
        begin = _last_place(shard.keys, key[2:]) * self.row_bytes
        return None if begin < 0 else bytes(shard.rows[begin : begin + self.row_bytes])

    def add(self, key: Key, row: bytes) -> None:
        """Add a record; its first two bytes are the present hour."""
        assert len(key) == KEY_BYTES and len(row) == self.row_bytes
        shard = self.shards.get(key[0] << 6 | key[1] >> 2)
        if shard is None:
            shard = self.shards[key[0] << 6 | key[1] >> 2] = Shard(bytearray(), bytearray())
        if len(shard.keys) >= shard.limit * _FINGERPRINT_BYTES:
            self._prune(shard, int.from_bytes(row[:HOUR_BYTES]))
        shard.keys += key[2:]
        shard.rows += row

    def replace(self, key: Key, row: bytes) -> None:
        """Replace the record of `key` that was added last; there is one."""
        shard = self.shards[key[0] << 6 | key[1] >> 2]
        begin = _last_place(shard.keys, key[2:]) * self.row_bytes
        assert begin >= 0 and len(row) == self.row_bytes
        shard.rows[begin : begin + self.row_bytes] = row

    def _prune(self, shard: Shard, hour: int) -> None:
        width, window_h = self.row_bytes, self.window_h
        kept = [
            place
            for place in range(len(shard.keys) // _FINGERPRINT_BYTES)
            if age_h(hour, int.from_bytes(shard.rows[place * width : place * width + HOUR_BYTES])) < window_h
        ]
        shard.keys = bytearray().join(shard.keys[place * 4 : place * 4 + 4] for place in kept)
        shard.rows = bytearray().join(shard.rows[place * width : place * width + width] for place in kept)
        shard.limit = max(_SHARD_MIN_RECORDS, len(kept) + len(kept) // 2)


def age_h(now_h: int, then_h: int) -> int:
    """Return how many hours lie between two hours of 16 bits, which come round after seven years."""
    return now_h - then_h & _HOURS


def _last_place(keys: bytearray, fingerprint: bytes) -> int:
    """Return the place of the last record with this fingerprint, or -1; a match across two of them is none."""
    at = keys.rfind(fingerprint)
    while at & 3 and at > 0:
        at = keys.rfind(fingerprint, 0, at + _FINGERPRINT_BYTES - 1)
    return at >> 2
