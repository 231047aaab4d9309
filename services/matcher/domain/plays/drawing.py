"""Draws over a final list of tickets: the members in the order of their first ticket, each as long as its tickets."""

from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import Final

from events.fair import draw_number

_BLOCK: Final = 2048
"""Members a block: a draw adds up the blocks, then the members of one."""


class Board:
    """The tickets that are left to draw from."""

    def __init__(self, seed: bytes, list_sha256: str, tickets: "array[int]", *, many: bool) -> None:
        """Draw with `seed` over `tickets` by member; with `many` a member may win more than once."""
        self._seed = seed
        self._list_sha256 = list_sha256
        self._tickets = tickets
        self._blocks = [sum(tickets[at : at + _BLOCK]) for at in range(0, len(tickets), _BLOCK)]
        self._total = sum(self._blocks)
        self._many = many
        self.drawn = 0

    def draw(self) -> int:
        """Return the index of the member who wins the next draw, and take the winning tickets off."""
        self.drawn += 1
        number = draw_number(self._seed, self._list_sha256, self.drawn, self._total)
        ends = list(accumulate(self._blocks))
        block = bisect_right(ends, number)
        before = ends[block] - self._blocks[block]
        begin = block * _BLOCK
        inner = list(accumulate(self._tickets[begin : begin + _BLOCK]))
        member = begin + bisect_right(inner, number - before)
        gone = 1 if self._many else self._tickets[member]
        assert 0 < gone <= self._tickets[member], "who has no ticket does not win"
        self._tickets[member] -= gone
        self._blocks[block] -= gone
        self._total -= gone
        return member
