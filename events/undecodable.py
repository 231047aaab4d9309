"""What decoding bytes may raise."""

from typing import Final

import msgspec

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of bytes that are not what was expected.

Its documentation names the first alone. A text that is no UTF-8 raises the second, which is no DecodeError, and unknown
fields nested deeply raise the third (msgspec 0.22).
"""
