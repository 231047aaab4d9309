"""`groupbuy ledger backup`: a copy of the ledger at one instant, while the stack runs."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_replay import LedgerAccess
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, MarketOption
from services.ledger.backup import Backup, back_up


def add_backup_command(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the command to `app`."""

    @app.command("backup")
    def backup_command(
        out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new directory for the copy.")],
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
        print_json(copy) if as_json else _print(copy)


def _print(copy: Backup) -> None:
    size_mib = copy.size_bytes / 2**20
    print_line(f"{copy.records} records with {copy.entries} entries of market {copy.market} are in {copy.directory}")
    print_line(f"({size_mib:,.1f} MiB), up to record {copy.last_record}, {copy.last_hash}; and {copy.acts} acts.")
    print_line(
        "Not in it: the keys, without which nobody can go on from it, and the vault. Keep copies of the keys apart."
    )
