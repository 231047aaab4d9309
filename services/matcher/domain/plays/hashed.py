"""A table from names to small numbers for millions of names: 10 bytes each, and a snapshot takes it as it is."""

import hashlib
from typing import Final

import msgspec

KEY_BYTES: Final = 6
_RECORD_BYTES: Final = 10
_RECORDS_PER_SHARD: Final = 20
"""On average; a shard stays below 512 bytes, which Python's own allocator serves without leaving holes."""
_ADDRESS_BYTES: Final = 4
Key = bytes
"""Six bytes that stand for a member, an assist or a pair of members."""
_hash: Final = hashlib.blake2b(digest_size=8)
"""Copied for each key: to begin a hash anew costs more."""
NOTHING: Final = -1


def key_of(text: str) -> bytes:
    """Return the 6-byte key of a name, the one under which detection knows a member as well.

    A name has the key of one of ten million others with a probability of 4 in a hundred million, and is then taken
    for it; of the few thousand in a play, with one of 1 in a hundred thousand million.
    """
    key = _hash.copy()
    key.update(text.encode())
    return key.digest()[:KEY_BYTES]


helper_key: Final = key_of
"""Return the key under which a play keeps the place of a helper, and detection what it knows of it."""


def assist_key(assist: str) -> bytes:
    """Return the key under which a play keeps the place of an assist; no member has a line feed."""
    return key_of(f"\n{assist}")


def pair_key(member: str, helped: str) -> bytes:
    """Return the key of a helper and whom it helps."""
    return key_of(f"{member}\n{helped}")


class Table(msgspec.Struct, gc=False):
    """Numbers below 2^32 by 6-byte key, hashed into shards that grow by one at a time (linear hashing).

    A dict of as many takes ten times the room, and one of bytes alone a pause when it doubles: here a shard is searched
    by the C library, and splitting one moves two dozen records.
    """

    shards: list[bytes] = msgspec.field(default_factory=lambda: [b""])
    mask: int = 0
    """The lowest bits of a key that say which shard holds it; one fewer where that many shards are not there yet."""
    count: int = 0

    def get(self, key: bytes) -> int:
        """Return the number of `key`, or NOTHING."""
        # Written out here and in `add`: a call less for what each assist does eight times.
        place, shards = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask, self.shards
        shard = shards[place if place < len(shards) else place - (self.mask + 1 >> 1)]
        # From the end: CPython 3.11 finds a few bytes in a few hundred five times as fast so.
        at = shard.rfind(key)
        if at > 0 and at % _RECORD_BYTES:
            at = _find_whole(shard, key, at)
        return NOTHING if at < 0 else int.from_bytes(shard[at + KEY_BYTES : at + _RECORD_BYTES], "little")

    def insert(self, key: bytes, number: int) -> None:
        """Add `key`, which is known not to be there, with its number."""
        place, shards = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask, self.shards
        shards[place if place < len(shards) else place - (self.mask + 1 >> 1)] += key + number.to_bytes(4, "little")
        self.count += 1
        if self.count > len(shards) * _RECORDS_PER_SHARD:
            self._split()

    def add(self, key: bytes, number: int) -> None:
        """Add `number` to that of `key`, or to 0."""
        place, shards = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask, self.shards
        if place >= len(shards):
            place -= self.mask + 1 >> 1
        shard = shards[place]
        at = shard.rfind(key)
        if at > 0 and at % _RECORD_BYTES:
            at = _find_whole(shard, key, at)
        if at < 0:
            shards[place] = shard + key + number.to_bytes(4, "little")
            self.count += 1
            if self.count > len(shards) * _RECORDS_PER_SHARD:
                self._split()
            return
        begin, end = at + KEY_BYTES, at + _RECORD_BYTES
        known = int.from_bytes(shard[begin:end], "little")
        shards[place] = shard[:begin] + (known + number).to_bytes(4, "little") + shard[end:]

    def _place(self, key: bytes) -> int:
        place = int.from_bytes(key[:_ADDRESS_BYTES], "little") & self.mask
        return place if place < len(self.shards) else place - (self.mask + 1 >> 1)

    def _split(self) -> None:
        """Add a shard, and move to it what belongs there from the one shard that it relieves."""
        new = len(self.shards)
        self.mask = (1 << new.bit_length()) - 1
        old = new - (self.mask + 1 >> 1)
        records = self.shards[old]
        self.shards.append(b"")
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for at in range(0, len(records), _RECORD_BYTES):
            record = records[at : at + _RECORD_BYTES]
            halves[self._place(record) == new].append(record)
        self.shards[old], self.shards[new] = b"".join(halves[0]), b"".join(halves[1])


def _find_whole(shard: bytes, key: bytes, at: int) -> int:
    """Return where the record of `key` begins, from a last match back, or -1: a match across two records is none."""
    while at >= 0 and at % _RECORD_BYTES:
        at = shard.rfind(key, 0, at + KEY_BYTES - 1)
    return at
