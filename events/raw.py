"""The type of bytes that may still stand in what they came in."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    # msgspec's own types say that its Raw is a kind of bytes, which it is not: compiled code would refuse it.
    from _typeshed import ReadableBuffer as Unread
else:
    Unread = bytes | msgspec.Raw

__all__ = ["Unread"]
