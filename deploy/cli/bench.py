"""`groupbuy bench`: the benchmarks, which live with the tests and are only there in a checkout."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.output import CommandError, JsonOption, print_json, say

bench_app = typer.Typer(help="Measure speed and size on this machine.", no_args_is_help=True)


@bench_app.command()
def matcher(as_json: JsonOption = False) -> None:
    """Decided joins a second, latency through the whole stack, memory of a group, idle processor time."""
    _run("matcher", as_json)


@bench_app.command()
def rules(as_json: JsonOption = False) -> None:
    """Processor time of the matcher's rules alone, how it grows, memory of a group, time to restart."""
    _run("rules", as_json)


@bench_app.command()
def growth(
    full: Annotated[bool, typer.Option("--full", help="Ten million open groups too: ten minutes, 16 GiB.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="No more than a hundred thousand.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Cost of an event, start-up and memory, from a thousand open groups to a million, or ten."""
    _run("growth", as_json, full=full, quick=quick)


@bench_app.command()
def ledger(as_json: JsonOption = False) -> None:
    """Entries archived, decided again and verified a second; a proof in a large tree; bytes on disk."""
    _run("ledger", as_json)


@bench_app.command()
def notifier(as_json: JsonOption = False) -> None:
    """Outcomes and results sent a second."""
    _run("notifier", as_json)


@bench_app.command()
def fraud(
    events: Annotated[
        Path | None, typer.Option("--events", help="Events of your own, one CloudEvent a line; with --labels.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="For each assist a line: id of its event, tab, label.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """How many fake assists are caught, how many honest ones are held or refused, and at what speed."""
    if (events is None) != (labels is None):
        raise CommandError("give --events and --labels together, or neither to use the project's own traffic")
    _run("fraud", as_json, events=events, labels=labels)


@bench_app.command()
def plays(as_json: JsonOption = False) -> None:
    """Assists and joins decided a second without a broker, and memory of an assist."""
    _run("plays", as_json)


@bench_app.command()
def pipeline(as_json: JsonOption = False) -> None:
    """Rates and latencies under many loads, and the rate that the whole stack keeps up with; ten minutes."""
    _run("pipeline", as_json)


@bench_app.command()
def peers(as_json: JsonOption = False) -> None:
    """The join transaction in what a shop would use instead: PostgreSQL, Redis, a straightforward service."""
    _run("peers", as_json)


@bench_app.command()
def matching(as_json: JsonOption = False) -> None:
    """How many members get their group, by way of matching, beside the best that anybody could have done."""
    _run("matching", as_json)


def _run(name: str, as_json: bool, **options: Any) -> None:
    try:
        module = importlib.import_module(f"tests.bench.bench_{name}")
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the benchmark {name!r} is not here ({error.name} is missing): run it in a checkout of the project"
        ) from None
    say(f"measuring {name}; other work on this machine spoils the figures")
    figures: dict[str, Any] = module.run(**options)
    if as_json:
        print_json(figures)
        return
    for key, value in figures.items():
        typer.echo(f"{key:>24}  {value:,}" if isinstance(value, int | float) else f"{key:>24}  {value}")
