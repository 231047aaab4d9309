"""The rows of what is remembered of events, as a snapshot holds them."""

import msgspec


class IdentityRows(msgspec.Struct, gc=False):
    """Chunks of packed rows (`identity_log`), numbered from 1 on, those from `first` to before `end` are there."""

    chunks: list[bytearray] = []
    first: int = 1
    end: int = 1
    slots: int = 1 << 21
    """A power of two. The first ones take memory only where they are used: they are pages of zeros."""
