"""`groupbuy ledger`: what happened, and whether all of it is right, from the archive alone."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from deploy.cli.ledger_backup import add_backup_command
from deploy.cli.ledger_disputes import add_dispute_commands
from deploy.cli.ledger_dossier import add_dossier_commands
from deploy.cli.ledger_log import (
    AgainstOption,
    KeyOption,
    WitnessOption,
    add_log_commands,
    verifying_keys,
    witness_fault,
)
from deploy.cli.ledger_plays import add_play_commands
from deploy.cli.ledger_rebuild import add_rebuild_command
from deploy.cli.ledger_replay import LedgerAccess, UntilOption, add_replay_commands
from deploy.cli.ledger_restore import add_restore_command
from deploy.cli.ledger_why import add_why_command
from deploy.cli.ledger_witness import witness_command
from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    one_of,
    say,
)
from deploy.stack_files import config_directory, first_market
from events.counted import counted
from events.money import amount
from events.times import format_time_ns
from services.bus.config import ConfigError, load_config
from services.ledger.audit import AuditReport, audit
from services.ledger.faults import BadQuestion, LedgerBroken, LedgerError, NotFound
from services.ledger.history import END, Until, parse_until
from services.ledger.lean import EntityKind
from services.ledger.notices import ShownNotice, notices_of_member
from services.ledger.reconcile import PlayAgainstNotices, reconcile
from services.ledger.refunds import RefundState, refunds
from services.ledger.show import ShownEntry, show
from services.ledger.store import LedgerStore
from services.ledger.verify import VerifyReport, verify
from services.ledger.verify_notices import NoticeReport
from services.ledger.verify_tree import TreeReport

ledger_app = typer.Typer(
    help="What happened, and whether all of it is right; read from the archive, page by page.",
    epilog="Exit status: 0 done, 1 the check failed or nothing was found, 2 unusable arguments or environment.",
    no_args_is_help=True,
)


@ledger_app.command("verify")
def verify_command(
    key: KeyOption = None,
    witness: WitnessOption = None,
    against: AgainstOption = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read everything again: hashes, chain, positions, index, tree; name the place of the first fault."""
    with open_ledger(data, market) as store, _progress("verifying") as progress:
        keys = verifying_keys(store, data, key, against or [])
        report = verify(store, progress, keys)
        if witness is not None and report.fault is None:
            report.fault = witness_fault(store, keys, witness)
    if as_json:
        _print_json(report)
    elif report.fault is None:
        are = "is what it was when it was" if report.records == 1 else "are what they were when they were"
        _print(f"{_what_was_read(report)} {are} archived.")
        _print(f"The last is record {report.last_record or 'none'}, {report.last_hash or 'no hash'}.")
        _print_tree(report.tree)
        _print_notices(report.notices)
    else:
        _print(f"{report.fault.place}: {report.fault.sentence}")
        _print(f"Up to there {_what_was_read(report)} {'is' if report.records == 1 else 'are'} sound.")
    if not report.is_sound:
        raise typer.Exit(EXIT_CHECK_FAILED)


@ledger_app.command("show")
def show_command(
    group: Annotated[str | None, typer.Option("--group", help="A group.")] = None,
    member: Annotated[str | None, typer.Option("--member", help="A member.")] = None,
    order: Annotated[str | None, typer.Option("--order", help="An order.")] = None,
    play: Annotated[str | None, typer.Option("--play", help="A play.")] = None,
    until: UntilOption = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every entry that concerns a group, member, order or play, in order; of a member also what it was told."""
    named: dict[EntityKind, str | None] = {"group": group, "member": member, "order": order, "play": play}
    kind, name = one_of(named, "--group, --member, --order and --play")
    with open_ledger(data, market) as store:
        entries = show(store, kind, name, _until(until))
        notices = notices_of_member(store, name) if kind == "member" else None
        count = _print_story(entries, notices, as_json=as_json)
    if count == 0:
        raise _found_nothing(f"nothing in the ledger concerns {kind} {name}")


@ledger_app.command("audit")
def audit_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
    """Recount everything and say what does not add up."""
    with open_ledger(data, market) as store, _progress("auditing") as progress:
        report = audit(store, progress)
    if as_json:
        _print_json(report)
    else:
        _print_audit(report)
    if not report.clean:
        raise typer.Exit(EXIT_CHECK_FAILED)


@ledger_app.command("refunds")
def refunds_command(
    unsettled: Annotated[
        bool, typer.Option("--unsettled/--all", help="Only those that have not been paid back.")
    ] = True,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is owed back."""
    with open_ledger(data, market) as store, _progress("reading") as progress:
        found = refunds(store, unsettled=unsettled, progress=progress)
        if as_json:
            _print_json_list("refunds", found)
            return
        count = sum(1 for refund in found if _print_refund(refund))
        words = counted(count, "refund is", "refunds are") + " not settled" if unsettled else counted(count, "refund")
        _print(f"{words}.")


@ledger_app.command("reconcile")
def reconcile_command(
    data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False
) -> None:
    """Counted assists against notices sent, per play and day; first the plays whose count outruns their notices."""
    with open_ledger(data, market) as store, _progress("reading") as progress:
        found = reconcile(store, progress)
        if as_json:
            _print_json_list("plays", found)
            return
        count = sum(1 for play in found if _print_play(play))
        _print(f"{counted(count, 'play')} with assists or notices.")


def _print_play(play: PlayAgainstNotices) -> bool:
    _print(
        f"play {play.play}: {counted(play.counts, 'assist counts', 'assists count')}, "
        f"{counted(play.notices, 'notice was', 'notices were')} {play.notices_are}, "
        f"{counted(play.shared, 'names', 'name')} who shared it; {play.excess} more than notices"
    )
    for day in play.days:
        back = f", {day.taken_back} taken back" if day.taken_back else ""
        _print(f"  {day.day}: {day.counted} counted{back}, {counted(day.notices, 'notice')}, {day.shared} shared")
    return True


# Opening, and how it ends when that or the question is no good


@contextmanager
def open_ledger(data: Path, market: str | None) -> Iterator[LedgerStore]:
    """Open a ledger for reading and turn what may go wrong into a sentence and an exit status."""
    name = market or first_market(data)
    try:
        with LedgerStore.open(_url(data), name, data_dir=data, read_only=True) as store:
            yield store
    except (BadQuestion, ConfigError) as error:
        raise CommandError(str(error)) from None
    except (NotFound, LedgerBroken) as error:
        raise _found_nothing(str(error)) from None
    except LedgerError as error:
        raise CommandError(str(error)) from None


def _url(data: Path) -> str:
    """Return where the ledger of a data directory is: what its service was told, else the file in it."""
    config = config_directory(data) / "ledger.json"
    return load_config(config).ledger_url if config.is_file() else "sqlite:"


def _found_nothing(sentence: str) -> typer.Exit:
    say(sentence)
    return typer.Exit(EXIT_CHECK_FAILED)


def _until(text: str | None) -> Until:
    return END if text is None else parse_until(text)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on standard error, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


# Printing


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _print_json(document: msgspec.Struct) -> None:
    sys.stdout.write(f"{msgspec.json.encode(document).decode()}\n")


def _print_json_list(name: str, items: Iterable[Any]) -> int:
    """Print an object with one list, an element at a time, and return how many there were."""
    sys.stdout.write("{")
    count = _print_list(name, items)
    sys.stdout.write("}\n")
    return count


def _print_list(name: str, items: Iterable[Any]) -> int:
    count = 0
    sys.stdout.write(f'"{name}":[')
    for count, item in enumerate(items, start=1):
        sys.stdout.write(f"{',' if count > 1 else ''}\n{msgspec.json.encode(item).decode()}")
    sys.stdout.write("]")
    return count


def _print_entries(entries: Iterable[ShownEntry], *, as_json: bool) -> int:
    if as_json:
        return _print_json_list("entries", entries)
    return sum(1 for entry in entries if _print_entry(entry))


def _print_story(entries: Iterable[ShownEntry], notices: Iterable[ShownNotice] | None, *, as_json: bool) -> int:
    """Print entries, and what a member was told of them; return how many there were in all."""
    if notices is None:
        return _print_entries(entries, as_json=as_json)
    if not as_json:
        count = _print_entries(entries, as_json=False)
        return count + sum(1 for notice in notices if _print_notice(notice))
    counts = []
    for name, items in (("entries", entries), ("notices", notices)):
        sys.stdout.write("{" if name == "entries" else ",")
        counts.append(_print_list(name, items))
    sys.stdout.write("}\n")
    return sum(counts)


def _print_notice(notice: ShownNotice) -> bool:
    _print(f"{notice.at}  entry {notice.entry}  {notice.sentence}")
    return True


def _print_entry(entry: ShownEntry) -> bool:
    _print(f"{entry.at}  entry {entry.entry}  {entry.cause}")
    for sentence in entry.outcome:
        _print(f"    -> {sentence}")
    return True


def _print_refund(refund: RefundState) -> bool:
    owed = amount(refund.amount_minor, refund.currency)
    _print(
        f"{refund.refund}  {refund.status}  order {refund.order}, payment {refund.payment}: {owed}, "
        f"{refund.cause}, due {format_time_ns(refund.due_at_ns)} (entry {refund.due_entry})"
    )
    return True


def _what_was_read(report: VerifyReport) -> str:
    return f"{counted(report.records, 'record')} with {counted(report.entries, 'entry', 'entries')}"


def _print_tree(tree: TreeReport | None) -> None:
    if tree is None:
        _print("There is no tree over them yet: it is built when the ledger is next started.")
    else:
        leaves = counted(tree.leaves, "leaf is", "leaves are")
        _print(f"The tree over them has the root {tree.root}; {tree.signed_leaves} of {leaves} signed.")


def _print_notices(notices: NoticeReport | None) -> None:
    if notices is None:
        return
    if chained := notices.archived - notices.unchecked:
        are = counted(chained, "notice is what it was when it was", "notices are what they were when they were")
        _print(f"{are} archived.")
    if notices.adopted:
        are = counted(notices.adopted, "of them is as it was", "of them are as they were")
        _print(f"The first {are} found when the chain over notices began.")
    if notices.unchecked:
        are = counted(
            notices.unchecked,
            "notice was archived by an older program and is NOT checked: it is",
            "notices were archived by an older program and are NOT checked: they are",
        )
        _print(f"{are} chained when the ledger is next started.")


def _print_audit(report: AuditReport) -> None:
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
            _print(f"entry {example.entry}: {example.sentence}")
    _print("everything adds up" if report.clean else "the audit found what does not add up")


add_log_commands(ledger_app, open_ledger)
add_dossier_commands(ledger_app, open_ledger)
add_dispute_commands(ledger_app, open_ledger)
add_play_commands(ledger_app, open_ledger)
ledger_app.command("witness")(witness_command)
_ACCESS = LedgerAccess(open_ledger, _url, _progress)
add_replay_commands(ledger_app, _ACCESS)
add_why_command(ledger_app, _ACCESS)
add_rebuild_command(ledger_app, _ACCESS)
add_backup_command(ledger_app, _ACCESS)
add_restore_command(ledger_app, _ACCESS)
