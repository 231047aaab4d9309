"""How it is told what a verification, an audit and a reconciliation found."""

from rich.console import Console
from rich.table import Table

from deploy.cli.ledger_print import print_line
from events.counted import counted
from services.ledger.audit import AuditReport
from services.ledger.reconcile import PlayAgainstNotices
from services.ledger.verify import VerifyReport
from services.ledger.verify_notices import NoticeReport
from services.ledger.verify_tree import TreeReport


def print_verification(report: VerifyReport) -> None:
    """Print what was read again, and the first fault if there is one."""
    if report.fault is not None:
        print_line(f"{report.fault.place}: {report.fault.sentence}")
        print_line(f"Up to there {_what_was_read(report)} {'is' if report.records == 1 else 'are'} sound.")
        return
    are = "is what it was when it was" if report.records == 1 else "are what they were when they were"
    print_line(f"{_what_was_read(report)} {are} archived.")
    print_line(f"The last is record {report.last_record or 'none'}, {report.last_hash or 'no hash'}.")
    _print_tree(report.tree)
    _print_notices(report.notices)


def _what_was_read(report: VerifyReport) -> str:
    return f"{counted(report.records, 'record')} with {counted(report.entries, 'entry', 'entries')}"


def _print_tree(tree: TreeReport | None) -> None:
    if tree is None:
        print_line("There is no tree over them yet: it is built when the ledger is next started.")
    else:
        leaves = counted(tree.leaves, "leaf is", "leaves are")
        print_line(f"The tree over them has the root {tree.root}; {tree.signed_leaves} of {leaves} signed.")


def _print_notices(notices: NoticeReport | None) -> None:
    if notices is None:
        return
    if chained := notices.archived - notices.unchecked:
        are = counted(chained, "notice is what it was when it was", "notices are what they were when they were")
        print_line(f"{are} archived.")
    if notices.adopted:
        are = counted(notices.adopted, "of them is as it was", "of them are as they were")
        print_line(f"The first {are} found when the chain over notices began.")
    if notices.unchecked:
        are = counted(
            notices.unchecked,
            "notice was archived by an older program and is NOT checked: it is",
            "notices were archived by an older program and are NOT checked: they are",
        )
        print_line(f"{are} chained when the ledger is next started.")


def print_audit(report: AuditReport) -> None:
    """Print a line for each check, and examples of what does not add up."""
    entries = counted(report.entries, "entry", "entries", grouped=True)
    table = Table(title=f"{entries} of {counted(report.inputs, 'input', grouped=True)} in market {report.market}")
    table.add_column("check")
    table.add_column("looked at", justify="right")
    table.add_column("do not add up", justify="right")
    for check, result in report.checks.items():
        table.add_row(check.replace("_", " "), f"{result.checked:,}", f"{result.faults:,}")
    Console().print(table)
    for result in report.checks.values():
        for example in result.examples:
            print_line(f"entry {example.entry}: {example.sentence}")
    print_line("everything adds up" if report.clean else "the audit found what does not add up")


def print_play(play: PlayAgainstNotices) -> bool:
    """Print what counted in a play beside what was sent for it, as a whole and by day."""
    print_line(
        f"play {play.play}: {counted(play.counts, 'assist counts', 'assists count')}, "
        f"{counted(play.notices, 'notice was', 'notices were')} {play.notices_are}, "
        f"{counted(play.shared, 'names', 'name')} who shared it; {play.excess} more than notices"
    )
    for day in play.days:
        back = f", {day.taken_back} taken back" if day.taken_back else ""
        print_line(f"  {day.day}: {day.counted} counted{back}, {counted(day.notices, 'notice')}, {day.shared} shared")
    return True
