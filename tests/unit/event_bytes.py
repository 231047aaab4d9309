"""Raw events for the tests of the decoder: written by hand, so that anything may be wrong with them."""

import json
from typing import Any

TIME = "2026-11-23T10:00:00.125Z"
JOINED = "groupbuy.order.joined.v1"
ORDER = {"order": "o-1", "member": "m-3f2a9c0d", "offer": "spring-tea"}


def document(data: dict[str, Any] | None = None, **envelope: Any) -> dict[str, Any]:
    """Return an `order.joined` with `data` beside what is required and `envelope` in place of what stands there."""
    head = {"specversion": "1.0", "type": JOINED, "id": "e-1", "source": "//shop-a/orders", "time": TIME}
    return {**head, **envelope, "data": {**ORDER, **(data or {})}}


def compact(value: Any) -> bytes:
    """Return JSON as msgspec writes it: no whitespace, no escapes that are not needed."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def event(data: dict[str, Any] | None = None, **envelope: Any) -> bytes:
    """Return the bytes of `document`."""
    return compact(document(data, **envelope))


def with_data(fragment: str, extra: str = "") -> bytes:
    """Return an `order.joined` with `fragment` as the text of its data and `extra` after it."""
    head = f'"specversion":"1.0","type":"{JOINED}","id":"e-1","source":"s","time":"{TIME}"'
    return f'{{{head},"data":{fragment}{extra}}}'.encode()


REQUIRED = '"order":"o-1","member":"m-1","offer":"f-1"'
