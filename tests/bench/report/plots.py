"""The report's plots, as SVG: each is drawn where there is something to draw."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tests.bench.report.figures import Parts

WIDE_IN: Final = (9.0, 4.5)
PERCENTILES: Final = ("p50", "p90", "p99", "p99.9", "max")

_Found = Mapping[str, Any]


def draw(parts: Parts, out: Path) -> list[str]:
    """Draw what can be drawn into `out`; return the names of the files. A plot of an earlier run is taken away."""
    # Text stays text, and the same figures make the same file.
    rcParams["svg.fonttype"], rcParams["svg.hashsalt"] = "none", "groupbuy"
    drawn = []
    for name, plot in _PLOTS.items():
        file = out / f"{name}.svg"
        file.unlink(missing_ok=True)
        figure = Figure(figsize=WIDE_IN, layout="constrained")
        FigureCanvasSVG(figure)
        if plot(figure.subplots(), {part: found or {} for part, found in parts.items()}):
            figure.savefig(file, metadata={"Date": None})
            drawn.append(file.name)
    return drawn


def _rates(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Joins a second beside the peers, on a logarithmic scale."""
    pipeline, peers = parts.get("pipeline", {}), parts.get("peers", {}).get("peers", {})
    ours = {key: pipeline[key] for key in ("batch100_per_s", "singles_per_s", "gateway_per_s") if pipeline.get(key)}
    rates = {**ours, **peers}
    names = sorted(rates, key=lambda name: float(rates[name]))
    axes.barh(names, [rates[name] for name in names], color=["C0" if name in ours else "C7" for name in names])
    axes.set_xscale("log")
    axes.set(title="Joins a second, durable: this service (blue) beside the alternatives", xlabel="joins/s")
    return bool(rates)


def _loads(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Decided events a second by load."""
    rates = parts.get("pipeline", {}).get("decided_per_s", {})
    axes.barh(list(rates)[::-1], list(rates.values())[::-1])
    axes.set(title="Decided events a second from a backlog, one matcher", xlabel="events/s")
    return bool(rates)


def _latency(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Percentiles of latency at parts of the rate."""
    pipeline, stack = parts.get("pipeline", {}), parts.get("stack", {})
    curves = {
        f"{way}, {part} of the rate": found
        for way in ("gateway", "published")
        for part, found in pipeline.get(f"latency_ms_{way}", {}).items()
    }
    curves |= stack.get("latency_ms", {})
    for name, found in curves.items():
        axes.plot(PERCENTILES, [found[percentile] for percentile in PERCENTILES], marker="o", label=name)
    axes.set_yscale("log")
    axes.set(title="Latency, open-loop, from the planned moment", ylabel="ms")
    if curves:
        axes.legend(fontsize="small")
    return bool(curves)


def _lag(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """How far each service was behind what was published, over the sustained run."""
    series = parts.get("stack", {}).get("lag_events", [])
    names = [name for name in (series[0] if series else ()) if name != "at_s"]
    for name in names:
        axes.plot([point["at_s"] for point in series], [point[name] for point in series], label=name)
    axes.set(title="Whole stack, sustained: events behind what was published", xlabel="s", ylabel="events")
    if names:
        axes.legend(fontsize="small")
    return bool(names)


def _processes(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Processor time of each process an event."""
    loads = parts.get("stack", {}).get("cpu_us_per_event", {})
    names = list(loads)
    left = [0.0] * len(names)
    for process in dict.fromkeys(process for costs in loads.values() for process in costs):
        costs = [float(loads[name].get(process, 0.0)) for name in names]
        axes.barh(names, costs, left=left, label=process)
        left = [before + cost for before, cost in zip(left, costs, strict=True)]
    axes.set(title="Where the processor time goes", xlabel="µs an event")
    if names:
        axes.legend(fontsize="small")
    return bool(names)


def _matching(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Filled share by size of group where demand is scarce."""
    cells = [
        cell
        for cell in parts.get("matching", {}).get("cells", [])
        if cell["demand"] == "scarce" and cell["arrivals"] == "poisson"
    ]
    sizes = [str(cell["size"]) for cell in cells]
    for way in cells[0]["filled_share"] if cells else ():
        axes.plot(sizes, [100 * cell["filled_share"][way] for cell in cells], marker="o", label=way)
    if cells:
        axes.plot(sizes, [100 * cell["optimum_share"] for cell in cells], "k--", label="clairvoyant optimum or bound")
        axes.legend(fontsize="small")
    axes.set(title="Members who get their group, scarce demand, Poisson", xlabel="size of the group", ylabel="%")
    return bool(cells)


def _growth(axes: Axes, parts: Mapping[str, _Found]) -> bool:
    """Cost of an event by open groups."""
    costs = {size["open_groups"]: size["us_per_event"] for size in parts.get("growth", {}).get("sizes", [])}
    axes.plot(list(costs), list(costs.values()), marker="o")
    axes.set_xscale("log")
    axes.set(title="Cost of an event", xlabel="open groups", ylabel="µs of processor time", ylim=(0, None))
    return bool(costs)


_PLOTS: Final[dict[str, Callable[[Axes, Mapping[str, _Found]], bool]]] = {
    "rates": _rates,
    "loads": _loads,
    "latency": _latency,
    "lag": _lag,
    "processes": _processes,
    "matching": _matching,
    "growth": _growth,
}
