"""How deeply JSON is nested, and how to take a deep batch apart, without recursion and in linear time."""

import re
from typing import Final

from events.limits import JSON_MAX_DEPTH

# A string that never ends reaches to the end of the text: else each of its escaped quotes would be tried as the
# beginning of another, which takes quadratic time.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


def is_too_deep(raw: bytes) -> bool:
    """Tell whether brackets outside strings nest deeper than the limit, be the rest JSON or not."""
    if raw.count(b"[") + raw.count(b"{") <= JSON_MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(raw):
        mark = token.group()
        if mark in b"[{":
            depth += 1
            if depth > JSON_MAX_DEPTH:
                return True
        elif mark in b"]}":
            depth -= 1
    return False


def split_array(body: bytes, elements_max: int) -> list[bytes] | None:
    """Split an array by counting brackets; None where they do not match.

    The elements are not checked: each is decoded on its own afterwards, and the deep one fails there. Stops
    after `elements_max` + 1 elements.
    """
    elements: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(body):
        mark = token.group()
        if mark in b"[{":
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark in b"]}":
            depth -= 1
        if (mark == b"," and depth == 1) or (mark in b"]}" and depth == 0):
            elements.append(body[start : token.start()].strip())
            start = token.end()
        if depth == 0 or len(elements) > elements_max:
            break
    if len(elements) > elements_max:
        return elements
    return elements if depth == 0 and not body[start:].strip() else None
