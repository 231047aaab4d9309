"""Where an entry stands, as one integer: millions of records name one, and a tuple of three takes 64 bytes more."""

from typing import Final

_PART_BITS: Final = 20
_SEQ_SHIFT: Final = 10 + _PART_BITS
_LAST_PART: Final = (1 << _PART_BITS) - 1
_LAST_INDEX: Final = (1 << _SEQ_SHIFT - _PART_BITS) - 1


def pack_entry(seq: int, index: int, part: int) -> int:
    """Return the position of an entry as one integer, which rises as entries do.

    It fits into 64 bits, all that a snapshot can hold, up to the 17 thousand millionth message of an intake. Batches
    have up to 1,000 events. Parts beyond a million bear the name of the millionth: so many come of 20 million seats
    that end in one instant, and a market must not stop for a name.
    """
    if part > _LAST_PART:
        part = _LAST_PART
    return seq << _SEQ_SHIFT | index << _PART_BITS | part


def unpack_entry(packed: int) -> tuple[int, int, int]:
    """Return the (seq, index, part) of a packed position."""
    return packed >> _SEQ_SHIFT, packed >> _PART_BITS & _LAST_INDEX, packed & _LAST_PART
