"""A queue of numbers, each with a second: 8 bytes a piece, where a tuple of two takes a hundred."""

from struct import Struct
from typing import Final

import msgspec

_PIECE: Final = Struct(">II")
_DROPPED_FROM: Final = 8 * 1_024


class Aging(msgspec.Struct, gc=False):
    """Numbers and seconds below 2^32; taking from the head costs O(1) amortised."""

    pieces: bytearray = msgspec.field(default_factory=bytearray)
    head: int = 0
    """Where the first piece begins."""

    def push(self, second: int, number: int) -> None:
        """Add a number at the end."""
        self.pieces += _PIECE.pack(second, number)

    def peek(self) -> tuple[int, int] | None:
        """Return the first (second, number), or None."""
        if self.head == len(self.pieces):
            return None
        second, number = _PIECE.unpack_from(self.pieces, self.head)
        return second, number

    def drop(self) -> None:
        """Remove the first one."""
        self.head += _PIECE.size
        if self.head > _DROPPED_FROM and self.head * 2 > len(self.pieces):
            del self.pieces[: self.head]
            self.head = 0
