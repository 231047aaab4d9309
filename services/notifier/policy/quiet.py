"""Quiet hours: pure. A window of local time, which may wrap midnight, in a zone with all its changes of clock."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

import msgspec

from events.times import NS_PER_S

DAY_MINUTES: Final = 24 * 60
_DAYS_AHEAD: Final = 3


class QuietHours(msgspec.Struct, frozen=True):
    """From `start_min` to before `end_min`, in minutes since local midnight; equal ends mean none at all."""

    start_min: int
    end_min: int

    def __post_init__(self) -> None:
        for minutes in (self.start_min, self.end_min):
            if not 0 <= minutes < DAY_MINUTES:
                raise ValueError(f"quiet hours at minute {minutes}: expected 0 to {DAY_MINUTES - 1}")

    def covers(self, local: time) -> bool:
        """Tell whether a local time of day is in the window."""
        minute = local.hour * 60 + local.minute
        if self.start_min <= self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min


def parse_quiet_hours(text: str) -> QuietHours:
    """Return the window in `22:00-08:00`. Raises ValueError, with what was expected, when it is none."""
    start, dash, end = text.partition("-")
    try:
        if not dash:
            raise ValueError
        return QuietHours(_minutes(start), _minutes(end))
    except ValueError:
        raise ValueError(f"{text[:40]!r} are no quiet hours: expected HH:MM-HH:MM, e.g. 22:00-08:00") from None


def quiet_until_ns(window: QuietHours, zone: tzinfo, now_ns: int) -> int | None:
    """Return the first instant in ns, after `now_ns`, at which the local clock is out of the window.

    None when it is out of it now. Where the clock jumps over the window's end, that is the instant of the jump; where
    it is set back into the window, quiet begins anew.
    """
    now = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
    if not _is_quiet(window, zone, now):
        return None
    found = min(
        instant for instant in _ends(window, zone, now) if instant > now and not _is_quiet(window, zone, instant)
    )
    return int(found.timestamp()) * NS_PER_S


def _is_quiet(window: QuietHours, zone: tzinfo, instant: datetime) -> bool:
    return window.covers(instant.astimezone(zone).time())


def _ends(window: QuietHours, zone: tzinfo, now: datetime) -> Iterator[datetime]:
    """Yield every instant of the next days at which the window may end."""
    today = now.astimezone(zone).date()
    for ahead in range(_DAYS_AHEAD):
        yield from _instants(today + timedelta(days=ahead), window, zone)


def _instants(day: date, window: QuietHours, zone: tzinfo) -> Iterator[datetime]:
    at = time(window.end_min // 60, window.end_min % 60)
    # Where the clock is set back there are two instants of that name. Where it jumps ahead there is none: the two
    # readings then lie on either side of the jump, the one with the old offset after it.
    first, second = (datetime.combine(day, at, tzinfo=zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        yield _jump_between(second, first, zone)
    else:
        yield first
        yield second


def _jump_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the instant at which the offset changes, to the second."""
    old_offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == old_offset:
            before = middle
        else:
            after = middle
    return after


def _minutes(text: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    digits = hours + minutes
    if not colon or len(hours) != 2 or len(minutes) != 2 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(text)
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(text)
    return int(hours) * 60 + int(minutes)
