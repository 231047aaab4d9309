"""Rows of bytes, one behind the other, of which there are few in most places and millions in some."""

from typing import Final

_ROWS_AT_ONCE: Final = 4
_LARGE_BYTES: Final = 1_024
"""From here on a bytearray grows well by itself, by an eighth."""


def append(rows: bytearray, row: bytes) -> None:
    """Add a row, with room for those up to the next multiple of four if there is none for it and it is not the first.

    By itself a short bytearray moves with nearly each row, from one size of Python's allocator to the next: as all
    plays of a market do, they leave an eighth of its memory in holes.
    """
    size, width = len(rows), len(row)
    taken = size // width
    if size >= _LARGE_BYTES or not taken or (taken % _ROWS_AT_ONCE and taken != 1):
        rows += row
        return
    # What is given back at once stays allocated as long as it is no more than half.
    room = (_ROWS_AT_ONCE - 1 - taken % _ROWS_AT_ONCE) * width
    rows += row + bytes(room)
    del rows[-room:]
