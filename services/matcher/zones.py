"""The pinned time-zone database: part of the rules, never the system's."""

from importlib import resources

import tzdata

from services.matcher.domain.facts import Zones


def pinned_zones() -> Zones:
    """Return the time zones in the pinned `tzdata` package."""
    listing = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return Zones(version=tzdata.IANA_VERSION, names=frozenset(listing.split()), file=_file)


def _file(name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
