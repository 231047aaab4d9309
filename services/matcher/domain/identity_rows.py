"""The rows of what is remembered of events, as a snapshot holds them."""

import msgspec


class IdentityRows(msgspec.Struct, gc=False):
    """Chunks of packed rows (`identity_log`), numbered from 1 on, those from `first` to before `end` are there."""

    chunks: list[bytearray] = []
    first: int = 1
    end: int = 1
    slots: int = 1 << 20
    """How many there are at first, a power of two. They take memory only where they are used, pages of zeros before."""
    doubled: list[int] = []
    """Rows from which on there were twice as many."""
