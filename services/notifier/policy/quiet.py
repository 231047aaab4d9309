"""Quiet hours: pure. A window of local time, which may wrap midnight, in a zone with all its changes of clock."""

from collections.abc import Callable
from typing import Final

import msgspec

from services.matcher.domain import calendar
from services.matcher.domain.facts import ZoneOffsets

DAY_MINUTES: Final = 24 * 60

ZoneOf = Callable[[str], ZoneOffsets | None]
"""Gives a time zone by its name, None when there is none of that name."""


class QuietHours(msgspec.Struct, frozen=True):
    """From `start_min` to before `end_min`, in minutes since local midnight; equal ends mean none at all."""

    start_min: int
    end_min: int

    def __post_init__(self) -> None:
        for minutes in (self.start_min, self.end_min):
            if not 0 <= minutes < DAY_MINUTES:
                raise ValueError(f"quiet hours at minute {minutes}: expected 0 to {DAY_MINUTES - 1}")


def parse_quiet_hours(text: str) -> QuietHours:
    """Return the window in `22:00-08:00`. Raises ValueError, with what was expected, when it is none."""
    start, dash, end = text.partition("-")
    try:
        if not dash:
            raise ValueError
        return QuietHours(_minutes(start), _minutes(end))
    except ValueError:
        raise ValueError(f"{text[:40]!r} are no quiet hours: expected HH:MM-HH:MM, e.g. 22:00-08:00") from None


def quiet_text(quiet: QuietHours | None) -> str | None:
    """Return quiet hours as `22:00-08:00`."""
    if quiet is None:
        return None
    start, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (quiet.start_min, quiet.end_min))
    return f"{start}-{end}"


def quiet_until_ns(window: QuietHours, zone: ZoneOffsets, now_ns: int) -> int | None:
    """Return when the quiet hours that `now_ns` lies in are over, in ns; None where it lies in none.

    The same computation as the matcher's: an end that the clock skips is over when the clock jumps.
    """
    return calendar.quiet_until_ns(zone, now_ns, window.start_min, window.end_min)


def _minutes(text: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    digits = hours + minutes
    if not colon or len(hours) != 2 or len(minutes) != 2 or not (digits.isascii() and digits.isdigit()):
        raise ValueError(text)
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(text)
    return calendar.minute_of(f"{hours}:{minutes}")
