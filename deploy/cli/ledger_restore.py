"""`groupbuy ledger restore`: the streams from the archive, after the broker's disk was lost."""

import asyncio
from typing import Annotated

import typer

from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_replay import LedgerAccess
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, MarketOption
from deploy.restore import Act, Restoration, Restored
from events.ids import are_ids


def add_restore_command(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the command to `app`."""

    @app.command("restore")
    def restore_command(
        actor: Annotated[str, typer.Option("--actor", help="Who restores; recorded in the log.")],
        ticket: Annotated[str, typer.Option("--ticket", help="Under which ticket; recorded in the log.")],
        reason: Annotated[str, typer.Option("--reason", help="Why; recorded in the log.")] = "disk_lost",
        nats_url: Annotated[
            str | None, typer.Option("--nats-url", metavar="URL", help="A broker of your own, not the embedded one.")
        ] = None,
        replace: Annotated[
            bool, typer.Option("--replace", help="Delete streams that hold something else than the ledger knows.")
        ] = False,
        cluster: Annotated[
            bool, typer.Option("--cluster", help="Into three embedded brokers, to be run with `up --cluster`.")
        ] = False,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Make a market's streams anew from its ledger, the stack being stopped; says all that can be missing."""
        for option, given in (("--actor", actor), ("--ticket", ticket), ("--reason", reason)):
            if not are_ids(given) or "\n" in given:
                raise CommandError(f"{option} {given[:80]!r}: expected 1 to 64 of A-Z a-z 0-9 . _ -")
        act = Act(actor=actor, reason=reason, ticket=ticket)
        with access.opened(data, market) as store, access.progress("restoring") as progress:
            restoration = Restoration(store, data.resolve(), act, replace=replace, progress=progress, cluster=cluster)
            restored = asyncio.run(restoration.run(nats_url))
        print_json(restored) if as_json else _print_restored(restored)


def _print_restored(restored: Restored) -> None:
    print_line(
        f"Market {restored.market} stands at record {restored.record}, entry {restored.entry} "
        f"({restored.accepted_at}), intake message {restored.intake_message}."
    )
    for stream, done in restored.streams.items():
        print_line(f"  {stream}: {done}")
    for snapshot in restored.snapshots_set_aside:
        print_line(f"  snapshot {snapshot}: set aside")
    if restored.outbox_set_aside is not None:
        print_line(f"  outbox {restored.outbox_set_aside}: set aside")
    if restored.nothing_missing:
        print_line("Nothing is missing.")
        return
    print_line("All that can be missing:")
    for sentence in restored.may_be_missing:
        print_line(f"  - {sentence}")
