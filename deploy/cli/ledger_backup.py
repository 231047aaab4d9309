"""`groupbuy ledger backup`: a copy of the ledger at one instant, while the stack runs."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.ledger_log import verifying_keys
from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_replay import LedgerAccess
from deploy.cli.output import DEFAULT_DATA, EXIT_CHECK_FAILED, CommandError, DataOption, JsonOption, MarketOption
from events.counted import counted
from services.ledger.backup import Backup, back_up
from services.ledger.verify import verify


def add_backup_command(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the command to `app`."""

    @app.command("backup")
    def backup_command(
        out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new directory for the copy.")],
        check: Annotated[bool, typer.Option("--verify/--no-verify", help="Verify the copy when it is made.")] = True,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Copy the SQLite ledger and the operators' acts, the stack running or not; keys and vault are not copied."""
        url = access.url(data)
        if not url.startswith("sqlite:"):
            raise CommandError("this ledger is in PostgreSQL: copy it with pg_dump, or by the server's own archiving")
        with access.opened(data, market) as store, access.progress("copying") as progress:
            copy = back_up(data, store.market, out, progress)
        if check:
            _verify(copy, data, out, access)
        print_json(copy) if as_json else _print(copy)
        if copy.fault is not None:
            raise typer.Exit(EXIT_CHECK_FAILED)


def _verify(copy: Backup, data: Path, out: Path, access: LedgerAccess) -> None:
    """Read the copy as `ledger verify` does, with the keys of the original, which are not copied."""
    with access.opened(out, copy.market) as store, access.progress("verifying the copy") as progress:
        fault = verify(store, progress, verifying_keys(store, data, None, [])).fault
    copy.verified = fault is None
    copy.fault = None if fault is None else f"{fault.place}: {fault.sentence}"


def _print(copy: Backup) -> None:
    size_mib = copy.size_bytes / 2**20
    entries = counted(copy.entries, "entry", "entries")
    are = "is" if copy.records == 1 else "are"
    print_line(f"{counted(copy.records, 'record')} with {entries} of market {copy.market} {are} in {copy.directory}")
    acts = counted(copy.acts, "act")
    print_line(f"({size_mib:,.1f} MiB), up to record {copy.last_record}, {copy.last_hash}; and {acts}.")
    if copy.fault is not None:
        print_line(f"The copy does not verify, and so the original may not: {copy.fault}")
    elif copy.verified:
        print_line("The copy was read again and verifies.")
    print_line(
        "Not in it: the keys, without which nobody can go on from it, and the vault. Keep copies of the keys apart."
    )
