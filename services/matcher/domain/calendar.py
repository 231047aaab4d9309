"""Days, weeks and quiet hours by a zone's own clock (RULES.md section 8.4), pure: the offsets are handed in.

A day ends at the first instant of a later date. So a day has 23 or 25 hours where the clock is changed, a date that a
zone skipped has no instant, and an hour that comes twice around midnight still ends one day once.
"""

from bisect import bisect_right
from typing import Final

from events.times import NS_PER_S
from services.matcher.domain.facts import ZoneOffsets

DAY_S: Final = 86_400
_MINUTE_S: Final = 60
# 1970-01-01 was a Thursday: three days after a Monday.
_FIRST_WEEKDAY: Final = 3
_WEEK_DAYS: Final = 7


def date_of(offsets: ZoneOffsets, at_ns: int) -> int:
    """Return the zone's calendar date at `at_ns` as days since 1970-01-01."""
    return (at_ns // NS_PER_S + _offset_s(offsets, at_ns)) // DAY_S


def day_end_ns(offsets: ZoneOffsets, at_ns: int) -> int:
    """Return when the calendar day of `at_ns` is over: the first instant of a later date, in ns."""
    return _first_instant_ns(offsets, at_ns, date_of(offsets, at_ns) + 1)


def week_end_ns(offsets: ZoneOffsets, at_ns: int) -> int:
    """Return when the ISO week (Monday to Sunday) of `at_ns` is over: the first instant of a later week, in ns."""
    date = date_of(offsets, at_ns)
    weekday = (date + _FIRST_WEEKDAY) % _WEEK_DAYS
    return _first_instant_ns(offsets, at_ns, date + _WEEK_DAYS - weekday)


def minute_of(clock_time: str) -> int:
    """Return the minute of the day of a time like `22:00`."""
    return int(clock_time[:2]) * 60 + int(clock_time[3:])


def quiet_until_ns(offsets: ZoneOffsets, at_ns: int, begins_min: int, ends_min: int) -> int | None:
    """Return when the quiet hours that `at_ns` lies in are over, in ns; None where it lies in none.

    `begins_min`, `ends_min`: minutes of the day, half-open, over midnight where they end before they begin; equal ones
    are no quiet hours. An end that the clock skips is over when the clock jumps.
    """
    if not _is_quiet(offsets, at_ns, begins_min, ends_min):
        return None
    place = bisect_right(offsets.changes_s, at_ns // NS_PER_S)
    at_s = at_ns // NS_PER_S
    for offset_s, change_s in _segments(offsets, place):
        left_s = (ends_min * _MINUTE_S - (at_s + offset_s)) % DAY_S
        if change_s is None or at_s + left_s < change_s:
            return (at_s + left_s) * NS_PER_S
        at_s = change_s
        if not _is_quiet(offsets, at_s * NS_PER_S, begins_min, ends_min):
            return at_s * NS_PER_S
    raise AssertionError("the last offset holds for ever")


def _is_quiet(offsets: ZoneOffsets, at_ns: int, begins_min: int, ends_min: int) -> bool:
    minute = (at_ns // NS_PER_S + _offset_s(offsets, at_ns)) % DAY_S // _MINUTE_S
    if begins_min <= ends_min:
        return begins_min <= minute < ends_min
    return minute >= begins_min or minute < ends_min


def _first_instant_ns(offsets: ZoneOffsets, at_ns: int, date: int) -> int:
    """Return the first instant after `at_ns` at which the zone's date is `date` or a later one, in ns."""
    place = bisect_right(offsets.changes_s, at_ns // NS_PER_S)
    from_s = 0
    for offset_s, change_s in _segments(offsets, place):
        begins_s = max(from_s, date * DAY_S - offset_s)
        if change_s is None or begins_s < change_s:
            return begins_s * NS_PER_S
        from_s = change_s
    raise AssertionError("the last offset holds for ever")


def _segments(offsets: ZoneOffsets, place: int) -> list[tuple[int, int | None]]:
    """Return (offset, when it changes) from the offset at `place` on: no more than a few, days are short."""
    changes_s: list[int | None] = [*offsets.changes_s[place : place + 8]]
    ends_s = changes_s if len(changes_s) == 8 else [*changes_s, None]
    return list(zip(offsets.offsets_s[place : place + len(ends_s)], ends_s, strict=True))


def _offset_s(offsets: ZoneOffsets, at_ns: int) -> int:
    return offsets.offsets_s[bisect_right(offsets.changes_s, at_ns // NS_PER_S)]
