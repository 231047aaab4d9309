"""The report as text: the promised figures beside floor and aim, then what each part found."""

import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH: Final = 150
BUSY_CORES_MAX: Final = 0.2
STYLES: Final = {
    "aim reached": "green",
    "floor reached": "green",
    "short of the aim": "yellow",
    "short of the floor": "red",
    "not measured": "dim",
}
_Report = Mapping[str, Any]


def as_text(report: _Report) -> str:
    """Return the whole report as plain text."""
    console = Console(file=io.StringIO(), width=WIDTH, no_color=True, highlight=False)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def show(report: _Report, console: Console) -> None:
    """Print the whole report on a console."""
    for table in _tables(report):
        # Above the table, where it may be wider than the columns.
        title, table.title = table.title, None
        console.print(title, style="bold")
        console.print(table)


def _tables(report: _Report) -> Iterator[Table]:
    yield _targets(report["targets"], _headline(report))
    if report["not_measured"]:
        yield _facts("Not measured, and why", report["not_measured"])
    parts = report["parts"]
    pipeline, stack = parts.get("pipeline") or {}, parts.get("stack") or {}
    yield _peers(report, parts.get("peers") or {})
    yield from _each_facts(
        {
            "Decided events/s from a backlog, one matcher": pipeline.get("decided_per_s"),
            "Through the gateway, joins/s by requests in flight": pipeline.get("gateway_per_s_by_in_flight"),
            "Three-node cluster, R3": parts.get("cluster"),
            "Growth, start and memory": parts.get("growth"),
        }
    )
    yield from _growth(parts.get("growth") or {})
    yield from _latencies(pipeline, stack)
    yield from _processes(stack)
    yield from _matching(parts.get("matching") or {})
    yield from _other_ways(parts.get("matching") or {})
    yield from _profiles(parts.get("profile") or {})
    yield _facts("The machine", report["machine"])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, header_style="bold", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


def _headline(report: _Report) -> str:
    """Return the first line, with what forbids to quote the figures."""
    busy = report["machine"].get("busy_cores_before") or 0.0
    doubts = [
        *(["with small sizes"] if report["quick"] else []),
        *([f"while others kept {busy} cores busy"] if busy > BUSY_CORES_MAX else []),
    ]
    return f"Promised, measured {' and '.join(doubts)}: not to be quoted" if doubts else "Promised"


def _targets(rows: list[dict[str, Any]], title: str) -> Table:
    table = _table(title, "what", "measured", "floor", "aim", "")
    for row in rows:
        sign = "" if row["better"] == "more" else "≤ "
        limits = ("" if row[key] is None else f"{sign}{number(row[key])}" for key in ("floor", "aim"))
        table.add_row(row["what"], number(row["value"]), *limits, row["verdict"], style=STYLES[row["verdict"]])
    return table


def _peers(report: _Report, found: _Report) -> Table:
    table = _table(
        "Beside what a shop would use: reimplementations of the join transaction, durable commits",
        *("what", "joins/s", "overfilled groups", "stuck groups"),
    )
    ours = ("batch100_per_s", "singles_per_s", "gateway_per_s")
    for key in ours:
        table.add_row(f"this service, {key}", number(report[key]), "", "")
    for name, rate in {**report["peers"], **report["peers_more"]}.items():
        faults = (found.get(f"peers_{fault}_groups", {}).get(name) for fault in ("overfilled", "stuck"))
        table.add_row(name, number(rate), *map(number, faults))
    return table


def _each_facts(titled: Mapping[str, Any]) -> Iterator[Table]:
    for title, facts in titled.items():
        if facts:
            yield _facts(title, facts)


def _facts(title: str, facts: Mapping[str, Any]) -> Table:
    table = _table(title, "what", "")
    for key, value in facts.items():
        if isinstance(value, list) or key in ("took_s", "quick", "at"):
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {number(one)}" for name, one in value.items())
        table.add_row(key, number(value))
    return table


def _growth(growth: _Report) -> Iterator[Table]:
    sizes = growth.get("sizes")
    if not sizes:
        return
    keys = list(dict.fromkeys(key for size in sizes for key in size))
    table = _table("Growth by open groups", *keys)
    for size in sizes:
        table.add_row(*(number(size.get(key)) for key in keys))
    yield table


def _latencies(pipeline: _Report, stack: _Report) -> Iterator[Table]:
    """Yield one table of all latencies: percentiles in ms, measured open-loop."""
    found = {
        f"{way} at {part} of the rate": figures
        for way in ("gateway", "published")
        for part, figures in pipeline.get(f"latency_ms_{way}", {}).items()
    }
    found |= {str(name): figures for name, figures in stack.get("latency_ms", {}).items()}
    if not found:
        return
    columns = ("per_s", "p50", "p90", "p99", "p99.9", "max")
    table = _table("Latency in ms, open-loop, from the planned moment", "what", *columns)
    for name, figures in found.items():
        table.add_row(name, *(number(figures.get(column)) for column in columns))
    yield table


def _processes(stack: _Report) -> Iterator[Table]:
    """Yield where the processor time of the whole stack goes, in µs an event."""
    found = stack.get("cpu_us_per_event")
    if not found:
        return
    processes = list(dict.fromkeys(process for costs in found.values() for process in costs))
    table = _table("Processor time of each process, µs an event", "what", *processes)
    for name, costs in found.items():
        table.add_row(name, *(number(costs.get(process)) for process in processes))
    yield table


def _matching(matching: _Report) -> Iterator[Table]:
    cells = matching.get("cells")
    if not cells:
        return
    ways = list(cells[0]["filled_share"])
    table = _table(
        "Members who get their group, in %; in brackets hours waited", "size, demand, arrivals", *ways, "best"
    )
    for cell in cells:
        shares = (f"{100 * cell['filled_share'][way]:.1f} ({cell['wait_h'][way]:.1f})" for way in ways)
        best = f"{100 * cell['optimum_share']:.1f}{'' if cell['optimum_is'] == 'exact' else ' bound'}"
        table.add_row(f"{cell['size']}, {cell['demand']}, {cell['arrivals']}", *shares, best)
    yield table


def _other_ways(matching: _Report) -> Iterator[Table]:
    """Yield what ways of matching could do that the rules do not know, in a market of sizes and times alone."""
    cells = [cell for cell in matching.get("cells", []) if "other_ways" in cell]
    if not cells:
        return
    ways = list(cells[0]["other_ways"])
    table = _table(
        "Other ways of matching, who comes alone seated at once or not: the same", "size, demand, arrivals", *ways
    )
    for cell in cells:
        found = cell["other_ways"].values()
        shares = (f"{100 * one['filled_share']:.1f} ({one['wait_h']:.1f})" for one in found)
        table.add_row(f"{cell['size']}, {cell['demand']}, {cell['arrivals']}", *shares)
    yield table


def _profiles(profile: _Report) -> Iterator[Table]:
    for name, functions in profile.get("top_functions", {}).items():
        table = _table(f"Profile: {name}, functions by their own share of the time", "function", "%", "calls an event")
        for function in functions:
            table.add_row(function["function"], number(function["percent"]), number(function["calls_per_event"]))
        yield table


def number(value: Any) -> str:
    """Return a figure as people read it: thousands apart, few digits, nothing where there is none."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.3g}"
