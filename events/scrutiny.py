"""The close look at an input that the quick check could not pass: what is odd about it, and where.

Quick path and close look give the same answer; the quick path only recognises inputs that need no look. The checks
that msgspec does not make are made here: duplicate keys (it takes the last) and depth (it recurses), and what
stands in fields that it skips.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events.faults import Unreadable
from events.ids import are_ids, names_a_person, text_names_a_person
from events.limits import ID_MAX_CHARS
from events.market import MarketConfigured
from events.nesting import is_too_deep
from events.reasons import Fault
from events.registry import EVENT_TYPES, AnyEvent

_WHITESPACE: Final = b" \t\r\n"
_FREE_TEXTS: Final = ("subject", "dataschema", "timezone")
_NOT_IDS: Final = ("subject", "dataschema", "source", "time")
_QUOTED_VALUE: Final = re.compile(r"(?<=^Invalid value) .*(?= - at )|(?<=^Invalid enum value) .*(?= - at )", re.DOTALL)
# No other text has these limits.
_ID_LENGTHS: Final = ("Expected `str` of length >= 1", f"Expected `str` of length <= {ID_MAX_CHARS}")
_SIGNALS: Final = ("`$.data.signals.device`", "`$.data.signals.network`")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


class _Claim(msgspec.Struct):
    """What an input says that it is, whatever else is wrong with it."""

    type: str
    specversion: str = ""


_claim_decoder: Final = msgspec.json.Decoder(_Claim)
_any_decoder: Final = msgspec.json.Decoder()
_encode: Final = msgspec.json.Encoder().encode


def check_utf8(raw: bytes) -> None:
    """Raise Unreadable where `raw` is not UTF-8: msgspec does not look into the fields that it skips."""
    try:
        str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(Fault.NOT_UTF8, f"at byte {error.start}") from None


def explain(raw: bytes, error: Exception) -> Unreadable:
    """Return the precise fault behind a decoding error; it depends on the bytes alone, not on the stack's depth."""
    if isinstance(error, RecursionError) or is_too_deep(raw):
        return Unreadable(Fault.TOO_DEEP)
    if not isinstance(error, msgspec.ValidationError):
        return Unreadable(Fault.NOT_JSON if raw.strip(_WHITESPACE) else Fault.EMPTY, str(error))
    try:
        claim = _claim_decoder.decode(raw)
    except msgspec.DecodeError as second:
        return Unreadable(Fault.NOT_AN_EVENT, _without_values(second))
    if claim.specversion != "1.0":
        return Unreadable(Fault.NOT_AN_EVENT, "specversion is not 1.0")
    if claim.type not in EVENT_TYPES:
        return Unreadable(Fault.UNKNOWN_TYPE, _shown(claim.type, "type"))
    fault = Fault.BAD_ID if str(error).startswith(_ID_LENGTHS) else Fault.WRONG_FIELD
    if str(error).endswith(_SIGNALS):
        fault = Fault.RAW_SIGNAL
    return Unreadable(fault, _without_values(error))


def look_closely(raw: bytes, event: AnyEvent) -> str | None:
    """Return the field in which `raw`, decoded as `event`, names a person outside the fields of pseudonyms.

    Raises Unreadable for duplicate keys, for too deep a nesting, and for what only market.configured can hold.
    """
    if is_too_deep(raw):
        raise Unreadable(Fault.TOO_DEEP)
    document = _parse_plain(raw)
    if document is None:
        document = _parse_any(raw)
    if isinstance(event.data, MarketConfigured):
        field = _look_at_market(event.data)
        if field is not None:
            return field
    return _person_outside(document, event, "")


def find_value(event: AnyEvent, value: str) -> str:
    """Return the path of the field that holds `value`, for a message."""
    return next(path for path, text in _texts(event, "") if text == value)


def find_bad_id(event: AnyEvent, ids: str) -> str | None:
    """Return the path of the field that is no identifier among those joined in `ids`, or that breaks their lines."""
    bad = [line for line in ids.split("\n") if not are_ids(line)]
    for path, text in _texts(event, ""):
        if text in bad or ("\n" in text and path not in _NOT_IDS):
            return path
    return None


def _parse_plain(raw: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `raw` if it is seen to have no duplicate key: it encodes to the same tokens.

    None says nothing: escapes and unusual numbers are encoded otherwise than they were written.
    """
    try:
        document: dict[str, Any] = _any_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    same = _encode(document).translate(None, _WHITESPACE) == raw.translate(None, _WHITESPACE)
    return document if same else None


def _parse_any(raw: bytes) -> dict[str, Any]:
    try:
        # Integers stay text: Python refuses to convert one of more than 4,300 digits.
        document: dict[str, Any] = json.loads(raw, object_pairs_hook=_unique_keys, parse_int=str)
    except RecursionError:
        raise Unreadable(Fault.TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise Unreadable(Fault.NOT_JSON, str(error)) from None
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise Unreadable(Fault.DUPLICATE_KEY, _shown(key, "a key"))
        seen.add(key)
    raise AssertionError("as many keys as pairs")


def _look_at_market(data: MarketConfigured) -> str | None:
    for publisher in data.publishers:
        if "." in publisher:
            raise Unreadable(Fault.BAD_ID, "data.publishers: publishers are 1 to 64 of A-Z a-z 0-9 _ -")
        if names_a_person(publisher):
            return "data.publishers"
    return None


def _person_outside(fields: dict[str, Any], kept: msgspec.Struct, path: str) -> str | None:
    """Return the field that names a person among those that `kept` does not know, and among free texts."""
    known = kept.__struct_fields__ if path else (*kept.__struct_fields__, "type")
    for name, value in fields.items():
        if name not in known or name in _FREE_TEXTS:
            if text_names_a_person(name) or _holds_a_person(value):
                return path + _shown(name, "an unknown field")
        elif isinstance(value, (dict, list)):
            inner = _person_within(value, getattr(kept, name), f"{path}{name}.")
            if inner is not None:
                return inner
    return None


def _person_within(value: dict[str, Any] | list[Any], kept: Any, path: str) -> str | None:
    if isinstance(kept, msgspec.Struct) and isinstance(value, dict):
        return _person_outside(value, kept, path)
    if isinstance(kept, list) and isinstance(value, list):
        found = (_person_within(x, y, path) for x, y in zip(value, kept, strict=True) if isinstance(x, dict))
        return next((field for field in found if field is not None), None)
    return None


def _holds_a_person(value: Any) -> bool:
    """Look into everything below an unknown field; its depth has been checked."""
    if isinstance(value, str):
        return text_names_a_person(value)
    if isinstance(value, int):
        return text_names_a_person(str(value))
    if isinstance(value, dict):
        return any(text_names_a_person(key) or _holds_a_person(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(map(_holds_a_person, value))
    return False


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield (path, text) for every text in the known fields of an event, keys of dictionaries included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, (dict, list)):
        for item in value:
            yield from _texts(item, path)


def _shown(text: str, instead: str) -> str:
    """Return what was sent if it can only be a name of a field or type, else `instead`."""
    return text if _PLAIN_NAME(text) and not names_a_person(text) else instead


def _without_values(error: Exception) -> str:
    """Return a decoder's message without the values that it quotes, which may be anything."""
    return _QUOTED_VALUE.sub("", str(error))
