"""RFC 3339 times to integer nanoseconds and back; no time-zone database, no clock."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

NS_PER_S: Final = 1_000_000_000
TIME_END_NS: Final = 7_258_118_400 * NS_PER_S
"""2200-01-01: times from here on are refused, so that every deadline fits 64 bits with a sign."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_LOCAL: Final = _EPOCH.replace(tzinfo=None)
_TIME_OF_DAY = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_RFC3339 = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_TIME_OF_DAY}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:[Zz]|[+-]{_TIME_OF_DAY})"
).fullmatch

# Times of one second share all but their fraction: nanoseconds by what stands before it (`2026-11-23T10:00:00.`)
# and an offset other than Z after it, or by the whole text where there is no fraction. The caches only save time;
# they are emptied when full.
_SECONDS_MAX: Final = 4096
_seconds: Final[dict[str, int]] = {}
_whole_seconds: Final[dict[str, int]] = {}
_FRACTION_MAX_DIGITS: Final = 9
_FRACTION_NS: Final = (0, 10**8, 10**7, 10**6, 10**5, 10**4, 10**3, 10**3, 10**3, 10**3)
"""Nanoseconds of the last digit kept of a fraction, by its number of digits."""


def parse_time_ns(text: str) -> int:
    """Return the nanoseconds since 1970 of an RFC 3339 time (digits beyond the microsecond are cut off).

    Raises ValueError when it is not one, has no offset, or does not lie from 1970 to 2199.
    """
    whole_ns = _whole_seconds.get(text)
    if whole_ns is not None:
        return whole_ns
    if text[-1:] == "Z":
        second_ns, digits = _seconds.get(text[:20]), text[20:-1]
    else:
        second_ns, digits = _seconds.get(text[:20] + text[-6:]), text[20:-6]
    if second_ns is not None and digits.isdigit() and len(digits) <= _FRACTION_MAX_DIGITS and text.isascii():
        return second_ns + int(digits[:6]) * _FRACTION_NS[len(digits)]
    return _parse_any(text)


def format_time_ns(at_ns: int) -> str:
    """Return `at_ns` as RFC 3339 in UTC with microseconds."""
    return format_time(_EPOCH + timedelta(microseconds=at_ns // 1_000))


def format_time(moment: datetime) -> str:
    """Return a moment with an offset as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse_any(text: str) -> int:
    """Return the nanoseconds of a time in any form that is allowed, and remember its second."""
    if _RFC3339(text) is None:
        raise ValueError(f"not an RFC 3339 time with an offset: {text[:40]!r}")
    in_utc = text[-1] in "Zz"
    try:
        since = datetime.fromisoformat(text[: -1 if in_utc else -6]) - _EPOCH_LOCAL
    except ValueError:
        raise ValueError(f"no such date: {text[:40]!r}") from None
    at_s = since.days * 86_400 + since.seconds - (0 if in_utc else _offset_s(text))
    at_ns = at_s * NS_PER_S + since.microseconds * 1_000
    if not 0 <= at_ns < TIME_END_NS:
        raise ValueError(f"a time outside 1970 to 2199: {text[:40]!r}")
    if text[19] != ".":
        _remember(_whole_seconds, text, at_ns)
    elif text[-1] != "z":
        _remember(_seconds, text[:20] if in_utc else text[:20] + text[-6:], at_s * NS_PER_S)
    return at_ns


def _offset_s(text: str) -> int:
    """Return the seconds that the offset at the end of `text` is ahead of UTC."""
    ahead_s = int(text[-5:-3]) * 3600 + int(text[-2:]) * 60
    return -ahead_s if text[-6] == "-" else ahead_s


def _remember(cache: dict[str, int], text: str, at_ns: int) -> None:
    if len(cache) >= _SECONDS_MAX:
        cache.clear()
    cache[text] = at_ns
