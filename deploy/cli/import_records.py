"""`groupbuy import`: real group-buy records through the real broker, matcher and ledger."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.archive import archive, archived_entries, wait_until_archived
from deploy.cli.beibei import (
    BASE_TIME,
    PUBLISHER,
    TTL_MAX_S,
    PlannedBatch,
    check_records,
    market_for,
    plan_batches,
    read_records,
)
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, print_json, say
from deploy.cli.session import FenceBroken, Session, session
from deploy.first_run import set_up_market
from deploy.permissions import LEDGER, MATCHER, PROVISIONER
from deploy.stack import Stack, StackPlan
from deploy.stack_files import market_exists
from events import subjects
from events.counted import counted
from events.decisions import GroupExpired, GroupFilled, GroupOpened, Malformed, Refused
from events.decode import decode_archived
from events.order import OrderPostedEvent
from events.record import Entry

MARKET: Final = "beibei"
import_app = typer.Typer(help="Bring records of real group buys into a market of their own.", no_args_is_help=True)


@dataclass(slots=True)
class Figures:
    """What came of the records, as of the last line's second."""

    records: int = 0
    events: int = 0
    groups_opened: int = 0
    groups_filled: int = 0
    groups_expired: int = 0
    groups_open: int = 0
    launches_filled_by_strangers: int = 0
    ledger_entries: int = 0


@import_app.callback()
def _several() -> None:
    """Keep `import` a group of commands although there is only one format so far."""


@import_app.command()
def beibei(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One group a line, tab-separated; .xz is unpacked.")],
    ttl: Annotated[
        int, typer.Option("--ttl", min=1, max=TTL_MAX_S, metavar="SECONDS", help="How long a group stays open.")
    ] = 86_400,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N lines.")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Replay BeiBei's records: line i happens at second i, and launches that nobody joined wait for a stranger.

    A line is initiator, item and participants, tab-separated. The records carry no times: that the order of
    lines is the order in time is an assumption. The whole file is checked before anything is started.
    """
    lines = check_records(file, limit)
    market = _fresh_market(data)
    started_s = time.monotonic()
    asyncio.run(_import(file, limit, ttl, lines, StackPlan(data=data, market=market, services=(MATCHER, LEDGER))))
    figures, refusals = _read_figures(data, market)
    if as_json:
        print_json({**asdict(figures), "market": market})
    else:
        _print_table(figures, market, data, ttl, time.monotonic() - started_s)
    if refusals:
        events = counted(len(refusals), "event was", "events were")
        say(f"{events} refused, which no record should be; the first: {refusals[0]}")
        raise typer.Exit(1)


def _fresh_market(data: Path) -> str:
    names = (MARKET if number == 1 else f"{MARKET}-{number}" for number in count(1))
    return next(name for name in names if not market_exists(data, name))


async def _import(file: Path, limit: int | None, ttl: int, lines: int, plan: StackPlan) -> None:
    async with Stack(plan, say) as stack:
        seq = await set_up_market(stack, BASE_TIME, market_for(ttl))
        with _progress() as progress:
            published = progress.add_task("published", total=lines)
            async with session(stack.data, stack.address.nats_url, stack.market, PUBLISHER) as publisher:
                for batch in plan_batches(read_records(file, limit), seq + 1):
                    await _publish(stack, publisher, batch)
                    seq = batch.seq
                    progress.update(published, completed=batch.lines_done)
            archived = progress.add_task("decided and archived", total=seq)
            await wait_until_archived(
                stack.data, stack.market, seq, lambda reached: progress.update(archived, completed=reached)
            )


async def _publish(stack: Stack, publisher: Session, batch: PlannedBatch) -> None:
    """Publish a batch at its own place in the intake, and nowhere else: the group ids in it depend on that."""
    try:
        await publisher.publish(batch.family, batch.body, last_seq=batch.seq - 1)
    except FenceBroken:
        # Either the answer to an earlier attempt was lost, or somebody else has published.
        async with stack.connected(PROVISIONER) as client:
            found = await client.jetstream().get_msg(subjects.intake_stream(stack.market), seq=batch.seq)
        if found.data != batch.body:
            raise CommandError(
                f"somebody else publishes to the market {stack.market}: the import is incomplete; run it again, "
                "it takes a new market"
            ) from None


def _read_figures(data: Path, market: str) -> tuple[Figures, list[str]]:
    """Return the figures and the refusals, counted from the archived entries and nothing else."""
    figures = Figures()
    launches: set[str] = set()
    refusals: list[str] = []
    with archive(data, market) as store:
        for entry in archived_entries(store):
            figures.ledger_entries += 1
            figures.events += entry.event is not None
            _count_launch(entry, figures, launches)
            _count_decisions(entry, figures, launches, refusals)
    figures.groups_open = figures.groups_opened - figures.groups_filled - figures.groups_expired
    return figures, refusals


def _count_launch(entry: Entry, figures: Figures, launches: set[str]) -> None:
    if entry.event is None:
        return
    event = decode_archived(bytes(entry.event))
    if isinstance(event, OrderPostedEvent):
        figures.records += 1
        if event.data.lead == "if_needed":
            launches.add(event.data.order)


def _count_decisions(entry: Entry, figures: Figures, launches: set[str], refusals: list[str]) -> None:
    for decision in entry.decisions:
        if isinstance(decision, GroupOpened):
            figures.groups_opened += 1
        elif isinstance(decision, GroupFilled):
            figures.groups_filled += decision.page == 1
            figures.launches_filled_by_strangers += sum(seat.order in launches for seat in decision.seats)
        elif isinstance(decision, GroupExpired):
            figures.groups_expired += decision.page == 1
        elif isinstance(decision, Refused):
            refusals.append(f"{decision.reason} (entry {entry.seq}.{entry.index}.{entry.part})")
        elif isinstance(decision, Malformed):
            refusals.append(f"{decision.why} (entry {entry.seq}.{entry.index}.{entry.part})")


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description:>20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress


def _print_table(figures: Figures, market: str, data: Path, ttl: int, took_s: float) -> None:
    table = Table(
        title=f"{counted(figures.records, 'record', grouped=True)} in the market {market}, groups live {ttl:,} s"
    )
    table.add_column("from the ledger's archive")
    table.add_column("number", justify="right")
    for name, value in asdict(figures).items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    table.caption = (
        "The records carry no times: line i is taken to happen at second i, and groups are counted as of the last "
        f"line's second. {took_s:.1f} s on this machine."
    )
    console = Console()
    console.print(table)
    console.print(f"./groupbuy ledger audit --market {market} --data {data}", soft_wrap=True)
