"""Identifiers: their alphabet, and the refusal of what looks like a person instead of a pseudonym."""

import re
import unicodedata
from typing import Annotated, Final

import msgspec

from events.limits import AMOUNT_MAX_MINOR, DURATION_MAX_S, ID_MAX_CHARS, QUANTITY_MAX, SOURCE_MAX_CHARS

ID_PATTERN: Final = rf"[A-Za-z0-9._-]{{1,{ID_MAX_CHARS}}}"
NAME_PATTERN: Final = rf"[A-Za-z0-9_-]{{1,{ID_MAX_CHARS}}}"

# The patterns of ids are published in the JSON Schemas. msgspec checks the lengths; the characters of all ids of an
# event are checked at once, since a pattern per field costs 0.4 µs each.
Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=ID_MAX_CHARS, extra_json_schema={"pattern": f"^{ID_PATTERN}$"})
]
"""An order, offer, group, payment, ... identifier."""
Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=ID_MAX_CHARS, extra_json_schema={"pattern": f"^{NAME_PATTERN}$"})
]
"""A market, publisher or member: an identifier without dots, since it becomes a subject token."""
AmountMinor = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX_MINOR)]
"""Money in the minor unit of its currency (分, cents)."""
# In Python `$` also matches before a final newline: the lengths keep "CNY\\n" out.
CURRENCY_PATTERN: Final = "^[A-Z]{3}$"
Currency = Annotated[str, msgspec.Meta(pattern=CURRENCY_PATTERN, min_length=3, max_length=3)]
"""An ISO 4217 code."""
CurrencyLetters = Annotated[
    str, msgspec.Meta(min_length=3, max_length=3, extra_json_schema={"pattern": CURRENCY_PATTERN})
]
"""The same, of which msgspec checks the length alone: its search for a pattern costs as much as reading an order."""
Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
DurationS = Annotated[int, msgspec.Meta(ge=0, le=DURATION_MAX_S)]
Source = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": rf"^[!-~]{{1,{SOURCE_MAX_CHARS}}}$"})]
"""A CloudEvents source: printable ASCII without spaces."""
TIME_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
TimeText = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time", "pattern": TIME_PATTERN})]
"""RFC 3339 with an offset, from 1970 to 2199, e.g. 2026-11-23T10:00:00.125Z."""
Sha256Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

_SEPARATOR = re.compile("[._-]").split
_ID_LINES = re.compile(rf"{ID_PATTERN}(?:\n{ID_PATTERN})*").fullmatch
_NAME = re.compile(NAME_PATTERN).fullmatch
_SOURCE = re.compile(rf"[!-~]{{1,{SOURCE_MAX_CHARS}}}").fullmatch

_MOBILE = r"(?:00|\+)?(?:86)?1[3-9][0-9]{9}"
_SPACED_MOBILE = r"(?:(?:00|\+)[ -]?)?(?:86[ -]?)?1[3-9][0-9](?:[ -]?[0-9]{4}){2}"
_IDENTITY = r"[1-9][0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]"
# Letters a to f alone before the digits are no prefix: one in 7,000 random ids of 12 hexadecimal digits is a letter
# and a run of eleven digits that could be a phone number.
_WHOLE_PERSON = re.compile(rf"(?![A-Fa-f]+[0-9])[A-Za-z]{{0,8}}(?:{_MOBILE}|{_IDENTITY})").fullmatch
_TOKEN_PERSON = re.compile(rf"(?:{_MOBILE}|{_IDENTITY})").fullmatch
_TEXT_NUMBER = re.compile(rf"(?<![0-9A-Za-z])(?:{_SPACED_MOBILE}|{_IDENTITY})(?![0-9A-Za-z])").search
# Anchored at the @, so that a long text costs no more than its length. `groupbuy@1.2.3` is no address.
_TEXT_ADDRESS = re.compile(
    r"(?<=[^\s@])@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}?\.[A-Za-z]{2,63}(?![A-Za-z0-9])"
).search

_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = b"0123456789._-"
ID_LINES: Final = _LETTERS + _DIGITS + b"\n"
"""What lines of identifiers consist of; taken away from them, nothing is left. One pass over all ids of an event."""
_SHAPES: Final = bytes.maketrans(_LETTERS + _DIGITS, b"a" * len(_LETTERS) + b"0" * len(_DIGITS))
_NUMBER: Final = b"0" * 11
NUMBER_MIN_CHARS: Final = len(_NUMBER)
"""Digits and separators in a row in whatever looks like a phone or identity number; fewer characters are none."""


def are_ids(lines: str) -> bool:
    """Tell whether every line of `lines` is an identifier; an empty line is not."""
    return _ID_LINES(lines) is not None


def is_currency(text: str) -> bool:
    """Tell whether three characters are an ISO 4217 code."""
    return text.isupper() and text.isalpha() and text.isascii()


def is_name(text: str) -> bool:
    """Tell whether `text` may be a market, publisher or member: an identifier without dots."""
    return _NAME(text) is not None


def is_source(text: str) -> bool:
    """Tell whether `text` may be a CloudEvents source: 1 to 128 printable ASCII characters, no space."""
    return _SOURCE(text) is not None


def names_a_person(member: str) -> bool:
    """Tell whether a member id looks like a phone or identity number instead of a pseudonym.

    A whole id (separators left out, up to eight letters before the digits) and each of its tokens
    are looked at. UUIDs and hexadecimal pseudonyms pass: their digit runs are not tokens of that form.
    """
    if _NUMBER not in member.encode().translate(_SHAPES):
        return False
    tokens = _SEPARATOR(member)
    return _WHOLE_PERSON("".join(tokens)) is not None or any(_TOKEN_PERSON(token) for token in tokens)


def text_names_a_person(text: str) -> bool:
    """Tell whether a text field holds what looks like a phone number, identity number or e-mail address.

    Full-width digits and signs, which Chinese keyboards make, count as the ordinary ones.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if len(text) >= NUMBER_MIN_CHARS and _TEXT_NUMBER(text) is not None:
        return True
    return "@" in text and _TEXT_ADDRESS(text) is not None
