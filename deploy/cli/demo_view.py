"""How the demo looks: while it runs, and what it ends with."""

import shlex
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from deploy.cli.demo_drive import Tally
from deploy.cli.demo_report import FRIENDS, WAYS, Report, percentile_ms
from deploy.cli.describe import moment
from deploy.scenario import CLOSED_NS, CURRENCY, OPENS_NS
from events.counted import counted

_SHOWN_LIVE: Final = (
    ("groups opened", "group.opened"),
    ("groups filled", "group.filled"),
    ("groups merged", "group.merged"),
    ("groups expired", "group.expired"),
    ("seats paid", "seat.confirmed"),
    ("seats given up", "seat.released"),
    ("refused", "refused"),
    ("refunds due", "refund.due"),
    ("refunds settled or failed", "refund.closed"),
)


def live_table(tally: Tally) -> Table:
    """Return how the day is going."""
    at_ns = max(tally.at_ns, OPENS_NS)
    done = min(1.0, (at_ns - OPENS_NS) / (CLOSED_NS - OPENS_NS))
    table = Table(title=f"the market's clock: {moment(at_ns)[:16]} UTC, {done:.0%} of the day", min_width=48)
    table.add_column("so far")
    table.add_column("", justify="right")
    table.add_row("events published", f"{tally.events:,}")
    for label, kind in _SHOWN_LIVE:
        table.add_row(label, f"{tally.counts[kind]:,}")
    if tally.kills:
        table.add_row("processes killed", f"{tally.kills.total():,}")
    return table


def live_line(tally: Tally) -> str:
    """Return the same in a line, for a log."""
    counts = tally.counts
    words = (
        f"{moment(max(tally.at_ns, OPENS_NS))[:16]}: {counted(tally.events, 'event', grouped=True)}",
        f"{counted(counts['group.filled'], 'group', grouped=True)} filled",
        f"{counts['group.expired']:,} expired",
        f"{counted(counts['refund.due'], 'refund', grouped=True)} due",
        f"{counted(counts['refund.closed'], 'payout', grouped=True)} tried",
    )
    return ", ".join(words)


def final_table(report: Report, tally: Tally, delivered: int, findings: list[str]) -> Table:
    """Return what the day came to, for somebody who has never seen this market."""
    title = f"{report.launches:,} launches in one day, counted from the ledger"
    table = Table(title=title, min_width=78)
    table.add_column("")
    table.add_column("groups", justify="right")
    table.add_column("orders in them", justify="right")
    for way in WAYS:
        table.add_row(f"filled: {way}", f"{report.groups[way]:,}", f"{report.orders[way]:,}")
    table.add_row("[bold]filled in all", f"[bold]{report.filled:,}", f"[bold]{_share(report, report.orders.total())}")
    alone = _share(report, report.orders[FRIENDS])
    table.add_row("  without strangers and merging", f"{report.groups[FRIENDS]:,}", alone)
    failed = report.expired + report.dissolved
    table.add_row("failed: deadline came first, or dissolved", f"{failed:,}", "", end_section=True)
    _add_money(table, report)
    _add_service(table, report, tally, delivered, findings)
    table.caption = (
        "An order in a filled group gets the group price. The members are simulated and time is what their events "
        "say, so that a day takes a minute; broker, matcher, gateway, ledger and notifier are the real ones."
    )
    return table


def figures(report: Report, tally: Tally, delivered: int, findings: list[str]) -> dict[str, Any]:
    """Return the same as the table, for a program. Amounts are in minor units."""
    return {
        "launches": report.launches,
        "events": tally.events,
        "groups_filled": {way: report.groups[way] for way in WAYS},
        "orders_in_filled_groups": {way: report.orders[way] for way in WAYS},
        "orders_seated": len(report.seated),
        "groups_failed": report.expired + report.dissolved,
        "paid_minor": report.paid_minor,
        "honoured_minor": report.honoured_minor,
        "owed_back_minor": report.due_minor,
        "refunded_minor": report.settled_minor,
        "refused": dict(sorted(report.refusals.items())),
        "duplicates": report.duplicates,
        "results": report.results,
        "results_delivered": delivered,
        "kills": dict(sorted(tally.kills.items())),
        "p50_ms": round(percentile_ms(tally.latencies_s, 50), 2),
        "p99_ms": round(percentile_ms(tally.latencies_s, 99), 2),
        "audit_findings": findings,
        "stories": report.stories,
    }


def stories(report: Report, data: Path, market: str) -> str:
    """Return commands to paste, each showing one member's story from the ledger."""
    lines = [f"The data is kept in {data}. Three members' stories, from the ledger:", ""]
    for what in ("filled", "refused", "refunded"):
        member = report.stories.get(what)
        if member is not None:
            where = f"--market {market} --data {shlex.quote(str(data))}"
            lines.append(f"  ./groupbuy ledger show --member {member} {where}    # {what}")
    return "\n".join(["", *lines, ""])


def _add_money(table: Table, report: Report) -> None:
    table.add_row(f"paid by members, {CURRENCY}", "", _amount(report.paid_minor))
    table.add_row("  honoured: seats in filled groups", "", _amount(report.honoured_minor))
    table.add_row("  owed back: failed, left, late, wrong", "", _amount(report.due_minor))
    table.add_row("  of that refunded by now", "", _amount(report.settled_minor))
    verdict = "yes, to the last 分" if report.money_adds_up else "[bold red]NO"
    table.add_row("paid = honoured + owed back", "", verdict, end_section=True)


def _add_service(table: Table, report: Report, tally: Tally, delivered: int, findings: list[str]) -> None:
    latencies = tally.latencies_s
    table.add_row("events, each with exactly one outcome", "", f"{tally.events:,}")
    table.add_row("  refused, each with its reason", "", f"{report.refusals.total():,}")
    table.add_row("  sent again, answered as duplicates", "", f"{report.duplicates:,}")
    table.add_row("results delivered to members", "", f"{delivered:,} of {report.results:,}")
    if tally.kills:
        table.add_row("kill -9 of one of the five processes", "", counted(tally.kills.total(), "time", grouped=True))
    times = f"{percentile_ms(latencies, 50):.1f} / {percentile_ms(latencies, 99):.1f} ms"
    table.add_row(f"publish to outcome, p50 / p99 of {len(latencies):,} asked", "", times)
    verdict = "clean" if not findings else "[bold red]" + "\n".join(findings)
    table.add_row("ledger audit", "", verdict)


def _amount(minor: int) -> str:
    return f"{minor // 100:,}.{minor % 100:02d}"


def _share(report: Report, orders: int) -> str:
    seated = len(report.seated) or 1
    return f"{orders:,} ({orders / seated:.0%} of {seated:,})"
