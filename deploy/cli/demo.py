"""`groupbuy demo`: a market's whole day in about a minute, and what came of it."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from deploy.cli.archive import archive, archived_entries, wait_until_archived
from deploy.cli.delivered import count_results
from deploy.cli.demo_drive import Day, Tally, following, kill_at_random
from deploy.cli.demo_drive import kill as kill_one
from deploy.cli.demo_report import Counting, Report
from deploy.cli.demo_view import figures, final_table, live_line, live_table, stories
from deploy.cli.output import DEFAULT_DATA, EXIT_CHECK_FAILED, JsonOption, print_json
from deploy.cli.session import session
from deploy.first_run import set_up_market
from deploy.permissions import OPERATOR, PROVISIONER
from deploy.scenario import MARKET, OPENS_AT, PUBLISHER, Scenario, configuration
from deploy.stack import Stack, StackPlan
from deploy.stack_files import market_exists
from deploy.supervisor import ROOT
from events.limits import BATCH_MAX_EVENTS

AUDIT_TIMEOUT_S: Final = 120.0
LAUNCHES: Final = 20_000
SEED: Final = 11_11
ATTEMPT_TIMEOUT_S: Final = 2.0
REFRESH_S: Final = 0.5
LINE_EVERY_S: Final = 5.0
_encode: Final = msgspec.json.Encoder().encode


def demo(
    kill: Annotated[bool, typer.Option("--kill", help="Kill every process at random instants meanwhile.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where to keep the data; by default a new directory.")
    ] = None,
    launches: Annotated[int, typer.Option("--launches", min=10, max=1_000_000, help="How many launches.")] = LAUNCHES,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another day.")] = SEED,
    as_json: JsonOption = False,
) -> None:
    """Run a market's whole day in about a minute: launches, friends, strangers, late payers, refunds.

    Everything is real but the members and the clock: broker, matcher, gateway, ledger and notifier run as in
    production. Ends with a table counted from the ledger, and the commands that show single members' stories.
    """
    where = data or _new_directory()
    name = _fresh_market(where)
    tally = Tally()
    # While processes are killed, lost connections are no news.
    logging.getLogger("groupbuy").setLevel(logging.CRITICAL if kill else logging.ERROR)
    plan = StackPlan(data=where, market=name)
    report, delivered = asyncio.run(_run(plan, Scenario(launches, seed), tally, kill, seed))
    findings = _audit(where, name)
    if as_json:
        print_json(figures(report, tally, delivered, findings))
    else:
        console = Console()
        console.print(final_table(report, tally, delivered, findings))
        console.print(stories(report, where, name), highlight=False, soft_wrap=True)
    if findings or not report.money_adds_up or delivered != report.results:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _audit(data: Path, market: str) -> list[str]:
    """Return what `groupbuy ledger audit` finds wrong, as whoever pastes that command sees it."""
    arguments = ["ledger", "audit", "--json", "--market", market, "--data", str(data)]
    result = subprocess.run(
        [sys.executable, "-P", "-m", "deploy.cli.main", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=AUDIT_TIMEOUT_S,
        check=False,
    )
    if result.returncode == 0:
        return []
    return [line for line in (result.stdout + result.stderr).splitlines() if line.strip()][-5:]


def _new_directory() -> Path:
    names = (DEFAULT_DATA / (MARKET if number == 1 else f"{MARKET}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def _fresh_market(data: Path) -> str:
    names = (MARKET if number == 1 else f"{MARKET}-{number}" for number in count(1))
    return next(name for name in names if not market_exists(data, name))


async def _run(plan: StackPlan, scenario: Scenario, tally: Tally, kill: bool, seed: int) -> tuple[Report, int]:
    """Play the day and return what the ledger says of it, and how many results were delivered."""
    console = Console(stderr=True)
    console.print(f"starting broker, matcher, gateway, ledger and notifier over {plan.data}")

    def told(sentence: str) -> None:
        console.print(sentence, style="dim", highlight=False, markup=False)

    async with Stack(plan, told) as stack:
        await set_up_market(stack, OPENS_AT, configuration())
        async with (
            session(stack.data, stack.address.nats_url, stack.market, PUBLISHER, ATTEMPT_TIMEOUT_S) as publisher,
            session(stack.data, stack.address.nats_url, stack.market, OPERATOR, ATTEMPT_TIMEOUT_S) as operator,
        ):
            day = Day(scenario, publisher, tally)
            await operator.publish("member", _encode(scenario.blocks()))
            for start in range(0, len(scenario.offers), BATCH_MAX_EVENTS):
                await publisher.publish("offer", _encode(scenario.offers[start : start + BATCH_MAX_EVENTS]))
            async with (
                following(stack.data, stack.address.nats_url, stack.market, day.hear),
                _shown(console, tally),
                _meanwhile(kill_at_random(stack, tally, Random(seed), told)) if kill else nullcontext(),
            ):
                await day.run()
            for name in [child.name for child in stack.supervisor.children if kill and child.name not in tally.kills]:
                kill_one(stack, name, tally, told)
        console.print("the day is over; waiting for the ledger and the notifier")
        await wait_until_archived(stack.data, stack.market, await stack.intake_last_seq())
        report = await asyncio.to_thread(_count, stack.data, stack.market)
        async with stack.connected(PROVISIONER) as client:
            return report, await count_results(client, stack.market, report.results)


def _count(data: Path, market: str) -> Report:
    with archive(data, market) as store:
        return Counting().count(archived_entries(store))


@asynccontextmanager
async def _shown(console: Console, tally: Tally) -> AsyncIterator[None]:
    """Show how the day goes while it goes: a table at a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        async with _repeated(lambda: console.print(live_line(tally), highlight=False, soft_wrap=True), LINE_EVERY_S):
            yield
        return
    with Live(live_table(tally), console=console, auto_refresh=False) as live:
        async with _repeated(lambda: live.update(live_table(tally), refresh=True), REFRESH_S):
            yield
        live.update(live_table(tally), refresh=True)


@asynccontextmanager
async def _repeated(action: Callable[[], None], every_s: float) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            await asyncio.sleep(every_s)
            action()

    async with _meanwhile(repeat()):
        yield


@asynccontextmanager
async def _meanwhile(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have something done meanwhile, for as long as the body takes."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
