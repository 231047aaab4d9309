"""`groupbuy ledger`: what happened, and whether all of it is right, from the archive alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_print_checks import print_audit, print_play, print_verification
from deploy.cli.ledger_print_lists import print_json_list, print_refund, print_story
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
from services.bus.config import ConfigError, load_config
from services.ledger.audit import audit
from services.ledger.faults import BadQuestion, LedgerBroken, LedgerError, NotFound
from services.ledger.history import END, Until, parse_until
from services.ledger.lean import EntityKind
from services.ledger.notices import notices_of_member
from services.ledger.reconcile import reconcile
from services.ledger.refunds import refunds
from services.ledger.show import show
from services.ledger.store import LedgerStore
from services.ledger.verify import verify

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
        print_json(report)
    else:
        print_verification(report)
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
        count = print_story(entries, notices, as_json=as_json)
    if count == 0:
        raise _found_nothing(f"nothing in the ledger concerns {kind} {name}")


@ledger_app.command("audit")
def audit_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
    """Recount everything and say what does not add up."""
    with open_ledger(data, market) as store, _progress("auditing") as progress:
        report = audit(store, progress)
    if as_json:
        print_json(report)
    else:
        print_audit(report)
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
            print_json_list("refunds", found)
            return
        count = sum(1 for refund in found if print_refund(refund))
        words = counted(count, "refund is", "refunds are") + " not settled" if unsettled else counted(count, "refund")
        print_line(f"{words}.")


@ledger_app.command("reconcile")
def reconcile_command(
    data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False
) -> None:
    """Counted assists against notices sent, per play and day; first the plays whose count outruns their notices."""
    with open_ledger(data, market) as store, _progress("reading") as progress:
        found = reconcile(store, progress)
        if as_json:
            print_json_list("plays", found)
            return
        count = sum(1 for play in found if print_play(play))
        print_line(f"{counted(count, 'play')} with assists or notices.")


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
