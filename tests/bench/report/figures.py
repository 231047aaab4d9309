"""From what the parts found to the figures that the project promises: by name, beside floor and aim."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Found = Mapping[str, Any]
Parts = Mapping[str, Found | None]
"""The figures of each part by its name; None for a part that was never measured."""

PEERS: Final = (
    "postgres_procedure",
    "postgres_statements",
    "redis_lua",
    "redis_lua_pipelined",
    "naive",
    "broker_singles",
)
SOURCES: Final = {
    "singles_per_s": "pipeline",
    "batch100_per_s": "pipeline",
    "gateway_per_s": "pipeline",
    "stack_per_s": "stack",
    "p50_ms": "stack",
    "p99_ms": "stack",
    "restart_s": "growth",
    "bytes_per_group": "growth",
    "growth_ratio": "growth",
}
"""The part that each figure is from."""


MILLION: Final = 1_000_000


class Target(NamedTuple):
    """A figure, or a ratio of two of the same run, with what is to be reached."""

    what: str
    key: str
    floor: float | None
    aim: float | None
    better: Literal["more", "less"] = "more"
    over: str | None = None
    """The figure that it is divided by."""

    def verdict(self, value: float | None) -> str:
        """Return how `value` stands to floor and aim."""
        if value is None:
            return "not measured"
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim reached"
        if self.floor is None:
            return "short of the aim"
        if not self._reaches(value, self.floor):
            return "short of the floor"
        return "floor reached"

    def _reaches(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.better == "more" else value <= wanted


TARGETS: Final = (
    Target("decided joins/s, batches of 100, one matcher", "batch100_per_s", 90_000, None),
    Target("  the same over the stored procedure", "batch100_per_s", 5, None, over="peers.postgres_procedure"),
    Target("  the same over Redis pipelined by 16", "batch100_per_s", None, 1, over="peers.redis_lua_pipelined"),
    Target("decided joins/s, single-event backlog", "singles_per_s", 25_000, 35_000),
    Target("singles/s through the gateway, 64 in flight", "gateway_per_s", 10_000, None),
    Target(
        "  the same over the procedure, 64 clients", "gateway_per_s", None, 1, over="peers_more.postgres_procedure_64"
    ),
    Target("single-event backlog, full rules over none", "singles_per_s", 0.70, 0.85, over="no_rules_singles_per_s"),
    Target("whole stack sustained, events/s, batches of 100", "stack_per_s", 20_000, 40_000),
    Target("publish to outcome at 2,000 singles/s, p50, ms", "p50_ms", 6, None, "less"),
    Target("  the same over the broker's own acknowledgement", "p50_ms", None, 2, "less", "ack_p50_ms"),
    Target("publish to outcome at 2,000 singles/s, p99, ms", "p99_ms", 25, None, "less"),
    Target("cost per event, most open groups over 1,000", "growth_ratio", 1.5, 1.2, "less"),
    Target("restart with a million open groups, s", "restart_s", 8, 3, "less"),
    Target("memory of a one-seat group, bytes", "bytes_per_group", 700, 400, "less"),
    Target("filled, scarce, size 5 up: merging adds", "merging_gain", 0.15, None),
    Target("  best way to merge, share of the clairvoyant optimum", "merging_share_of_optimum", None, 0.95),
)


def summary(parts: Parts) -> dict[str, Any]:
    """Return the promised figures at the top, what of them was not measured and why, and the rows of the table."""
    figures: dict[str, Any] = {key: _of(parts, part).get(key) for key, part in SOURCES.items()}
    figures["restart_s"] = _restart_s(_of(parts, "growth"))
    measured = _of(parts, "peers").get("peers", {})
    figures["peers"] = {name: measured.get(name) for name in PEERS}
    more = {
        "peers_more": {name: value for name, value in measured.items() if name not in PEERS},
        "no_rules_singles_per_s": _of(parts, "pipeline").get("no_rules_singles_per_s"),
        "ack_p50_ms": _of(parts, "stack").get("ack_p50_ms"),
        **{key: _of(parts, "matching").get(key) for key in ("merging_gain", "merging_share_of_optimum")},
    }
    figures |= more
    figures["quick"] = any(found is not None and found.get("quick", False) for found in parts.values())
    return {**figures, "not_measured": _missing(parts, figures), "targets": [_row(one, figures) for one in TARGETS]}


def _restart_s(growth: Found) -> float | None:
    """Return the time to start with a million open groups, where more were measured as well; else with the most."""
    by_size = {size["open_groups"]: size.get("snapshot_start_s") for size in growth.get("sizes", [])}
    found: float | None = by_size.get(MILLION, growth.get("restart_s"))
    return found


def _row(target: Target, figures: Found) -> dict[str, Any]:
    value = _figure(figures, target.key)
    if target.over is not None:
        base = _figure(figures, target.over)
        value = None if value is None or not base else round(value / base, 3)
    return {
        "what": target.what,
        "value": value,
        "floor": target.floor,
        "aim": target.aim,
        "better": target.better,
        "verdict": target.verdict(value),
    }


def _figure(figures: Found, path: str) -> float | None:
    found: Any = figures
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _of(parts: Parts, name: str) -> Found:
    return parts.get(name) or {}


def _missing(parts: Parts, figures: Found) -> dict[str, str]:
    """Return why figures are not there: by part where all of it failed, by peer where one is not on this machine."""
    missing = {}
    for name, found in parts.items():
        if found is None:
            missing[name] = "was not asked for"
        elif "not_measured" in found:
            missing[name] = str(found["not_measured"])
    peers = _of(parts, "peers")
    missing |= {f"peers.{name}": why for name, why in peers.get("peers_missing", {}).items()}
    return missing
