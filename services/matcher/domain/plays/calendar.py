"""Days and weeks of a market's time zone, from the pinned database alone."""

import io
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from events.times import NS_PER_S
from services.matcher.domain.facts import Zones

_WEEKS_REMEMBERED: Final = 64


class Calendar:
    """Tells the day at which a moment falls in one time zone."""

    def __init__(self, zones: Zones, name: str) -> None:
        """Read the zone `name`, which is among `zones`. The system's own database is never asked."""
        self._zone: tzinfo = UTC if name == "UTC" else ZoneInfo.from_file(io.BytesIO(zones.file(name)), key=name)
        self._second = -1
        self._day = ""

    def day(self, at_ns: int) -> str:
        """Return the day at `at_ns` as YYYY-MM-DD."""
        second = at_ns // NS_PER_S
        if second != self._second:
            self._second = second
            self._day = datetime.fromtimestamp(second, self._zone).date().isoformat()
        return self._day


@lru_cache(maxsize=_WEEKS_REMEMBERED)
def week_of(day: str) -> str:
    """Return the ISO week of a day, e.g. 2026-W48."""
    year, week, _ = date.fromisoformat(day).isocalendar()
    return f"{year}-W{week:02d}"
