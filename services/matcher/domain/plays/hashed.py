"""A table from names to small numbers for millions of names: 12 bytes each, and a snapshot takes it as it is."""

import hashlib
from typing import Final

import msgspec

KEY_BYTES: Final = 8
_RECORD_BYTES: Final = 12
_RECORDS_PER_SHARD: Final = 48
_MASK_BYTES: Final = 4
NOTHING: Final = -1


def key_of(text: str) -> bytes:
    """Return the 8-byte key of a name; of ten million names two share one with a probability of 3 in a million."""
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def helper_key(member: str) -> bytes:
    """Return the key under which a play keeps the place of a helper, and the market how often it helped today."""
    return key_of(member)


def assist_key(assist: str) -> bytes:
    """Return the key under which a play keeps the place of an assist; no member has a line feed."""
    return key_of(f"\n{assist}")


def pair_key(member: str, helped: str) -> bytes:
    """Return the key of a helper and whom it helps."""
    return key_of(f"{member}\n{helped}")


class Table(msgspec.Struct, gc=False):
    """Numbers below 2^32 by 8-byte key, hashed into shards that grow by one at a time (linear hashing).

    A dict of as many takes ten times the room, and one of bytes alone a pause when it doubles: here a shard is searched
    by the C library, and splitting one moves 48 records.
    """

    shards: list[bytes] = msgspec.field(default_factory=lambda: [b""])
    count: int = 0

    def get(self, key: bytes) -> int:
        """Return the number of `key`, or NOTHING."""
        shard = self.shards[self._address(key)]
        at = _find(shard, key)
        return NOTHING if at < 0 else int.from_bytes(shard[at + KEY_BYTES : at + _RECORD_BYTES], "little")

    def put(self, key: bytes, number: int) -> None:
        """Set the number of `key`."""
        place = self._address(key)
        shard = self.shards[place]
        at = _find(shard, key)
        record = key + number.to_bytes(4, "little")
        if at >= 0:
            self.shards[place] = shard[:at] + record + shard[at + _RECORD_BYTES :]
            return
        self.shards[place] = shard + record
        self.count += 1
        if self.count > len(self.shards) * _RECORDS_PER_SHARD:
            self._split()

    def add(self, key: bytes, number: int) -> None:
        """Add `number` to that of `key`, or to 0."""
        known = self.get(key)
        self.put(key, number if known < 0 else known + number)

    def _address(self, key: bytes) -> int:
        shards = len(self.shards)
        if shards == 1:
            return 0
        bits = (shards - 1).bit_length()
        address = int.from_bytes(key[:_MASK_BYTES], "little") & (1 << bits) - 1
        return address if address < shards else address - (1 << bits - 1)

    def _split(self) -> None:
        """Add a shard, and move to it what belongs there from the one shard that it relieves."""
        new = len(self.shards)
        old = new - (1 << new.bit_length() - 1)
        mask = (1 << new.bit_length()) - 1
        records = self.shards[old]
        halves: tuple[list[bytes], list[bytes]] = ([], [])
        for at in range(0, len(records), _RECORD_BYTES):
            record = records[at : at + _RECORD_BYTES]
            halves[int.from_bytes(record[:_MASK_BYTES], "little") & mask == new].append(record)
        self.shards[old] = b"".join(halves[0])
        self.shards.append(b"".join(halves[1]))


def _find(shard: bytes, key: bytes) -> int:
    """Return where the record of `key` begins in `shard`, or -1; a match across records is none."""
    at = shard.find(key)
    while at >= 0 and at % _RECORD_BYTES:
        at = shard.find(key, at + 1)
    return at
