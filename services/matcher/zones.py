"""The pinned time-zone database as the rules take it: part of the rules, never the system's."""

from services.bus import timezones
from services.matcher.domain.facts import ZoneOffsets, Zones


def pinned_zones() -> Zones:
    """Return the time zones in the pinned `tzdata` package."""
    return Zones(version=timezones.VERSION, names=timezones.names(), file=timezones.file, offsets=_offsets)


def _offsets(name: str) -> ZoneOffsets:
    return ZoneOffsets(*timezones.offsets(name))
