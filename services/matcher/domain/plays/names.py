"""Names with a number each, in the order in which they first came, as bytes."""

import struct
import sys
from array import array
from typing import Final

import msgspec

from services.matcher.domain.plays.hashed import NOTHING, Table, key_of

_U32: Final = struct.Struct("<I")


class Names(msgspec.Struct, gc=False):
    """Names, a number below 2^32 each: 40 bytes a name of sixteen characters, where a dict takes 200."""

    text: bytearray = msgspec.field(default_factory=bytearray)
    ends: bytearray = msgspec.field(default_factory=bytearray)
    """Where each name ends in `text`, 4 bytes each."""
    numbers: bytearray = msgspec.field(default_factory=bytearray)
    """4 bytes each."""
    table: Table = msgspec.field(default_factory=Table)

    def __len__(self) -> int:
        return len(self.ends) // 4

    def name(self, index: int) -> str:
        """Return the name at `index`."""
        begin = _U32.unpack_from(self.ends, 4 * index - 4)[0] if index else 0
        return self.text[begin : _U32.unpack_from(self.ends, 4 * index)[0]].decode()

    def number(self, index: int) -> int:
        """Return the number of the name at `index`."""
        found: int = _U32.unpack_from(self.numbers, 4 * index)[0]
        return found

    def all_numbers(self) -> "array[int]":
        """Return a copy of the numbers, in order."""
        found = array("I", bytes(self.numbers))
        if sys.byteorder == "big":
            found.byteswap()
        return found

    def find(self, name: str) -> int:
        """Return the index of `name`, or NOTHING."""
        return self._search(name)[0]

    def enter(self, name: str) -> int:
        """Return the index of `name`, which is added with the number 0 if it is new."""
        index, key = self._search(name)
        if index == NOTHING:
            index = len(self)
            self.table.insert(key, index)
            self.text += name.encode()
            self.ends += _U32.pack(len(self.text))
            self.numbers += bytes(4)
        return index

    def add(self, index: int, number: int) -> None:
        """Add `number`, which may be negative, to that of the name at `index`."""
        _U32.pack_into(self.numbers, 4 * index, self.number(index) + number)

    def _search(self, name: str) -> tuple[int, bytes]:
        """Return (index or NOTHING, key) of `name`; a name whose key is another's tries the next."""
        attempt = 0
        while True:
            key = key_of(name if not attempt else f"{name}\n{attempt}")
            index = self.table.get(key)
            if index == NOTHING or self.name(index) == name:
                return index, key
            attempt += 1
