"""Changes what is right a little: bytes as a wire or a disk would, JSON as a careless or a hostile program would.

What is random is one function, `pick`, so that a seeded generator and Hypothesis can both drive it.
"""

import copy
import json
from collections.abc import Sequence
from typing import Any, Final

from events.limits import BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from tests.model.inputs import Pick

DEEP: Final = 2_000
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -0.0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    1e308,
    0.1,
    "",
    " ",
    "0",
    "a" * 64,
    "a" * 65,
    "a" * 5_000,
    "a.b",
    "a b",
    "a>b",
    "*",
    "..",
    "../../etc/passwd",
    "a\n",
    "a\x00b",
    "\u202e",
    "拼团",
    "\U0001f600",
    "13812345678",
    "me@example.com",
    "110101199003077715",
    "2026-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0000-00-00T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00+24:00",
    [],
    {},
    [[]],
    {"a": {}},
    ["a"] * 300,
    "groupbuy.order.posted.v1",
    "groupbuy.order.posted.v2",
    "groupbuy.market.configured.v1",
    "1.0",
    "XXX",
    "Asia/Shanghai",
    "operator",
)
PIECES: Final = (
    *(b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800"),
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"//"),
    *(b"NaN", b"1e999", b"-", b"null", b'{"id":1}'),
)


class Mutator:
    """Makes changed copies. `others` is what else is about: parts of it are put in place of parts."""

    def __init__(self, pick: Pick, others: Sequence[bytes]) -> None:
        self.pick = pick
        self.others = others
        self.made = 0

    def body(self, raw: bytes) -> bytes:
        """Return the body of an intake message near `raw`: one event, a batch, or something that looks like either."""
        manner = self.pick(("story",) * 12 + ("json",) * 6 + ("bytes",) * 3 + ("batch", "twice", "deep", "same"))
        if manner == "story":
            return self.story(raw)
        if manner == "json":
            return self.document(raw)
        if manner == "bytes":
            return self.any_bytes(raw)
        if manner == "batch":
            elements = [self.pick((raw, self.document(raw), b"1", b"[]")) for _ in range(self.pick((0, 1, 2, 3, 7)))]
            return b"[" + b",".join(elements * self.pick((1,) * 200 + (BATCH_MAX_EVENTS,))) + b"]"
        if manner == "twice":
            return raw + self.pick((b"", b" ", b",", b"\n", b"\x00")) + raw
        if manner == "deep":
            opening, closing = self.pick(((b"[", b"]"), (b'{"a":', b"}")))
            depth = self.pick((2, 64, DEEP))
            return raw[:-1] + b',"x":' + opening * depth + b"1" + closing * self.pick((depth, depth - 1)) + b"}"
        return raw

    def any_bytes(self, raw: bytes) -> bytes:
        """Return `raw` with one to four changes that know nothing of what it means."""
        changed = bytearray(raw)
        for _ in range(self.pick((1, 1, 2, 4))):
            self._change_bytes(changed)
        return bytes(changed)

    def document(self, raw: bytes) -> bytes:
        """Return the JSON in `raw` with one to three of its values or keys changed; other bytes as by `any_bytes`."""
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            return self.any_bytes(raw)
        for _ in range(self.pick((1, 1, 1, 2, 3))):
            places = list(_places(document))
            if not places:
                break
            self._change_value(*self.pick(places))
        return self._written(document)

    def story(self, raw: bytes) -> bytes:
        """Return an event that says something else of the same form: a new id, and in its data what others say."""
        try:
            event = json.loads(raw)
            places = list(_places(event["data"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return self.any_bytes(raw)
        self.made += 1
        event["id"] = f"fuzz-{self.made}"
        for _ in range(self.pick((0, 1, 1, 2)) if places else 0):
            parent, key = self.pick(places)
            if key in parent if isinstance(parent, dict) else key < len(parent):
                self._say_else(parent, key)
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def _say_else(self, parent: Any, key: Any) -> None:
        said = parent[key]
        if isinstance(said, bool):
            parent[key] = not said
        elif isinstance(said, int):
            parent[key] = max(0, said + self.pick((1, -1, 7, 1_000, -said)))
        elif self.pick((False,) * 9 + (True,)):
            del parent[key]
        elif isinstance(said, str) and self.pick((False, True)):
            parent[key] = f"{said[:50]}-{self.made}"
        else:
            other = self._from_another(key)
            parent[key] = said if other is None else other

    def _change_bytes(self, changed: bytearray) -> None:
        at = self.pick(range(len(changed) + 1))
        manner = self.pick(("flip", "piece", "cut", "drop", "repeat", "splice"))
        if manner == "flip" and at < len(changed):
            changed[at] ^= 1 << self.pick(range(8))
        elif manner == "piece":
            changed[at:at] = self.pick(PIECES)
        elif manner == "cut":
            del changed[at:]
        elif manner == "drop":
            del changed[at : at + self.pick((1, 2, 10, 100))]
        elif manner == "repeat":
            changed[at:at] = changed[at : at + self.pick((1, 10, 200))]
        else:
            other = self.pick(self.others)
            changed[at:] = other[min(at, len(other)) :]

    def _change_value(self, parent: Any, key: Any) -> None:
        manner = self.pick(("value",) * 4 + ("number", "number", "other", "drop", "key", "add"))
        if manner == "value":
            parent[key] = copy.deepcopy(self.pick(VALUES))
        elif manner == "number" and isinstance(parent[key], int | float):
            parent[key] += self.pick((1, -1, 10, -1_000, 10**9, 0.5))
        elif manner == "drop":
            del parent[key]
        elif manner == "key" and isinstance(parent, dict):
            parent[self.pick(("", "a" * 200, "id", "data", "member", "signals", "Id"))] = parent.pop(key)
        elif manner == "add" and isinstance(parent, dict):
            parent[self.pick(("unknown", "via", "payment", "subject", "publisher"))] = copy.deepcopy(self.pick(VALUES))
        else:
            parent[key] = self._from_another(key)

    def _from_another(self, key: Any) -> Any:
        """Return what has the same key in something else, if anything has."""
        try:
            document = json.loads(self.pick(self.others))
        except ValueError:
            return None
        found = [parent[name] for parent, name in _places(document) if name == key]
        return self.pick(found) if found else None

    def _written(self, document: Any) -> bytes:
        separators: tuple[str, str] = self.pick(((",", ":"), (",", ":"), (",", ":"), (" ,\n", " : ")))
        text = json.dumps(document, ensure_ascii=self.pick((False, True)), separators=separators)
        if text.startswith("{") and self.pick((False,) * 9 + (True,)):
            # A key that comes twice: the last wins where nobody looks.
            text = f'{{"id":"first",{text[1:]}'
        return text.encode("utf-8", "surrogatepass")


def _places(document: Any, most: int = 200) -> list[tuple[Any, Any]]:
    """Return (parent, key) of every value in a document, the outermost first, at most `most`."""
    found: list[tuple[Any, Any]] = []
    waiting = [document] if isinstance(document, dict | list) else []
    while waiting and len(found) < most:
        parent = waiting.pop(0)
        children = list(parent.items()) if isinstance(parent, dict) else list(enumerate(parent))
        for key, child in children:
            found.append((parent, key))
            if isinstance(child, dict | list):
                waiting.append(child)
    return found


TOO_LARGE: Final = b'{"id":"' + b"a" * EVENT_MAX_BYTES + b'"}'
