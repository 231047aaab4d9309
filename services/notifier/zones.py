"""Time zones from the pinned database, never the system's."""

from datetime import tzinfo
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of all time zones that there are."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> tzinfo | None:
    """Return a time zone by its name, None when there is none of that name."""
    if name not in zone_names():
        return None
    # ZoneInfo itself would prefer what the machine has.
    with resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
