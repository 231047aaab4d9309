"""Time zones from the pinned database, never the system's."""

from functools import lru_cache

from services.bus import timezones
from services.matcher.domain.facts import ZoneOffsets


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> ZoneOffsets | None:
    """Return a time zone by its name, None when there is none of that name."""
    return ZoneOffsets(*timezones.offsets(name)) if name in timezones.names() else None
