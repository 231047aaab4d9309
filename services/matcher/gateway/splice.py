"""From the body of a request to the exact bytes that go into an intake message; pure functions.

The attribute `publisher` is put in as the very first member, `{"publisher":"shop-a",` before the event's own
bytes, so that the same event submitted again yields the same bytes and the original can be cut out again.
One that the requester claimed is taken out, however it is spelled and however often.
"""

import json
import re
from typing import Final

import msgspec

from events.decode import Unreadable, split_message
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.reasons import Fault
from events.registry import FAMILIES
from events.undecodable import UNDECODABLE
from services.matcher.gateway.answers import batch_too_large, event_too_large, too_many_events, wrong_family

_SPACE: Final = b" \t\r\n"
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]')
_TYPE_PREFIX: Final = "groupbuy."
_KNOWN_FAMILIES: Final = frozenset(FAMILIES)


class Item(msgspec.Struct, gc=False, frozen=True):
    """One event ready for an intake message.

    `alone` marks bytes that would spoil a message for others: they get a message of their own, and the matcher
    says precisely what is wrong with them. `event_id` is the id it claims, "" where it has none.
    """

    body: bytes
    event_id: str = ""
    alone: bool = False


class _Envelope(msgspec.Struct, gc=False):
    """The little that the gateway looks at. The decoder checks the JSON of all the rest on its way."""

    type: str = ""
    id: str = ""
    publisher: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_envelope_decoder: Final = msgspec.json.Decoder(_Envelope)
_value_decoder: Final = msgspec.json.Decoder(msgspec.Raw)


def prepare(body: bytes, publisher: str, family: str | None = None) -> list[Item]:
    """Return the items of a request, in order: one for an event, one for each of a batch.

    With `family` every event's type must belong to it. Raises Refusal when the request is past a limit or an
    event has another family; everything else, readable or not, gets its outcome from the matcher.
    """
    stripped = body.strip(_SPACE)
    if stripped[:1] != b"[":
        if len(stripped) > EVENT_MAX_BYTES:
            raise event_too_large(len(stripped))
        return [_prepare_event(stripped, publisher, family, None)]
    elements = _split(stripped)
    if elements is None:
        return [Item(stripped, alone=True)]
    return [_prepare_event(element, publisher, family, index) for index, element in enumerate(elements)]


def _split(body: bytes) -> list[bytes] | None:
    """Return the elements of a batch, or None where it cannot be taken apart."""
    if len(body) > BATCH_MAX_BYTES:
        raise batch_too_large(len(body))
    try:
        elements = split_message(body)
    except Unreadable as error:
        if error.fault is Fault.TOO_MANY_EVENTS:
            raise too_many_events() from None
        return None
    assert len(elements) <= BATCH_MAX_EVENTS, "the contract's own limit"
    sizes = list(map(len, elements))
    if max(sizes) > EVENT_MAX_BYTES:
        raise event_too_large(max(sizes), sizes.index(max(sizes)))
    return elements


def _prepare_event(raw: bytes, publisher: str, family: str | None, index: int | None) -> Item:
    try:
        if not raw.isascii():
            str(raw, "utf-8")
        envelope = _envelope_decoder.decode(raw)
    except msgspec.ValidationError:
        return _prepare_strange(raw, publisher)
    except UNDECODABLE:
        return Item(raw, alone=True)
    if family is not None and _has_other_family(envelope.type, family):
        raise wrong_family(envelope.type, family, index)
    if envelope.publisher is not msgspec.UNSET:
        raw = without_publisher(raw)
    return Item(with_publisher(raw, publisher), envelope.id)


def _prepare_strange(raw: bytes, publisher: str) -> Item:
    """Prepare JSON that is no event: what cannot carry the attribute goes as it is."""
    try:
        _value_decoder.decode(raw)
    except UNDECODABLE:
        return Item(raw, alone=True)
    if raw[:1] != b"{":
        return Item(raw)
    return Item(with_publisher(without_publisher(raw), publisher))


def _has_other_family(kind: str, family: str) -> bool:
    """Tell whether a type belongs to a known family other than `family`; an unknown type is the matcher's affair."""
    if not kind.startswith(_TYPE_PREFIX):
        return False
    its_family = kind.split(".", 2)[1]
    return its_family != family and its_family in _KNOWN_FAMILIES


def with_publisher(raw: bytes, publisher: str) -> bytes:
    """Return the JSON object `raw` with the attribute as its first member."""
    assert raw[:1] == b"{", "only an object has members"
    head = b'{"publisher":"' + publisher.encode("ascii") + b'"'
    rest = raw[1:]
    if rest[:1] != b'"' and rest.lstrip(_SPACE) == b"}":
        return head + b"}"
    return head + b"," + rest


def without_publisher(raw: bytes) -> bytes:
    """Return the JSON object `raw` without any member `publisher` of its own; other members keep their bytes."""
    assert raw[:1] == b"{", "only an object has members"
    kept = [member for key, member in _members(raw) if _text_of(key) != "publisher"]
    return b"{" + b",".join(kept) + b"}"


def _members(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Return (key, whole member) of each member of a valid JSON object, by counting brackets."""
    members: list[tuple[bytes, bytes]] = []
    depth, start, key = 0, 0, b""
    for token in _TOKEN.finditer(raw):
        mark = token.group()
        if depth == 1 and mark in b"},":
            if key:
                members.append((key, raw[start : token.start()].strip(_SPACE)))
            start, key = token.end(), b""
        elif depth == 1 and not key:
            key = mark
        if mark in (b"{", b"["):
            depth += 1
            start = token.end() if depth == 1 else start
        elif mark in (b"}", b"]"):
            depth -= 1
    return members


def _text_of(key: bytes) -> str:
    """Return a member's name as it is meant, escapes resolved."""
    return str(json.loads(key))
