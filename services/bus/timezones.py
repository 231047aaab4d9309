"""The pinned time-zone database, never the system's: its version, its names, and each zone's offsets as plain numbers.

Rules are pure and may not open a file: they are handed tables of offsets, made here from the TZif files of the pinned
`tzdata` package (RFC 8536). What a file says of the years after its last entry it says as a rule, which `zoneinfo`
applies; the table spells it out up to the last time that an event may carry.
"""

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from io import BytesIO
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import tzdata

from events.times import NS_PER_S, TIME_END_NS

VERSION: Final = tzdata.IANA_VERSION

_END_S: Final = TIME_END_NS // NS_PER_S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER: Final = struct.Struct(">4s1s15x6I")
_TYPE: Final = struct.Struct(">iBB")
# The two changes of a yearly rule lie months apart: none is stepped over.
_STEP_S: Final = 14 * 86_400


class OffsetTable(NamedTuple):
    """Seconds ahead of UTC: `offsets_s[i]` before `changes_s[i]`, the last from the last change on (s since 1970)."""

    changes_s: tuple[int, ...]
    offsets_s: tuple[int, ...]


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Return the names of all time zones."""
    listing = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(listing.split())


@lru_cache(maxsize=1024)
def offsets(name: str) -> OffsetTable:
    """Return the offsets of the zone `name` from 1970 to 2199. Raises KeyError when there is no such zone."""
    raw = file(name)
    first_s, changes = _explicit(raw)
    changes += _ruled(raw, changes[-1][0] if changes else 0)
    kept: list[tuple[int, int]] = []
    for at_s, offset_s in changes:
        if at_s <= 0:
            first_s = offset_s
        elif offset_s != (kept[-1][1] if kept else first_s):
            kept.append((at_s, offset_s))
    return OffsetTable(tuple(at_s for at_s, _ in kept), (first_s, *(offset_s for _, offset_s in kept)))


def local_date(name: str, at_ns: int) -> int:
    """Return the calendar date in the zone `name` at `at_ns`, as days since 1970-01-01, the plain way."""
    moment = (_EPOCH + timedelta(seconds=at_ns // NS_PER_S)).astimezone(_zone(name))
    return moment.toordinal() - _EPOCH.toordinal()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo.from_file(BytesIO(file(name)))


def file(name: str) -> bytes:
    """Return the TZif file of the zone `name`. Raises KeyError when there is no such zone."""
    if name not in names():
        raise KeyError(name)
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _explicit(raw: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Return (offset before the first change, changes as (time, offset) in s) of a TZif file, version 2 or later."""
    magic, version, *counts = _HEADER.unpack_from(raw)
    assert magic == b"TZif" and version >= b"2", "tzdata ships TZif files of version 2 or later"
    isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt = counts
    # The first block repeats in 32 bits what the second one says in 64.
    at = _HEADER.size + timecnt * 5 + typecnt * 6 + charcnt + leapcnt * 8 + isstdcnt + isutcnt
    timecnt, typecnt = _HEADER.unpack_from(raw, at)[5:7]
    at += _HEADER.size
    times_s = struct.unpack_from(f">{timecnt}q", raw, at)
    kinds = raw[at + timecnt * 8 : at + timecnt * 9]
    types = [_TYPE.unpack_from(raw, at + timecnt * 9 + i * _TYPE.size)[0] for i in range(typecnt)]
    return types[0], [(time_s, types[kind]) for time_s, kind in zip(times_s, kinds, strict=True)]


def _ruled(raw: bytes, from_s: int) -> list[tuple[int, int]]:
    """Return the changes after `from_s` that follow from the file's rule for the years to come; none without one."""
    footer = raw[:-1].rpartition(b"\n")[2]
    if b"," not in footer:
        return []
    zone = ZoneInfo.from_file(BytesIO(raw))
    found = []
    at_s = max(from_s, 0)
    while at_s < _END_S:
        next_s = min(at_s + _STEP_S, _END_S)
        if _offset_s(zone, next_s) != _offset_s(zone, at_s):
            change_s = _change_between(zone, at_s, next_s)
            found.append((change_s, _offset_s(zone, change_s)))
        at_s = next_s
    return found


def _change_between(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """Return the first second that has the offset of `after_s`; there is one change between the two."""
    offset_s = _offset_s(zone, after_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == offset_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = (_EPOCH + timedelta(seconds=at_s)).astimezone(zone).utcoffset()
    assert offset is not None, "a zone of the database has an offset at any time"
    return round(offset.total_seconds())
