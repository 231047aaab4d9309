"""`groupbuy bench`: the benchmarks, which live with the tests and are only there in a checkout."""

import importlib
from typing import Any

import typer

from deploy.cli.output import CommandError, JsonOption, print_json, say

bench_app = typer.Typer(help="Measure speed and size on this machine.", no_args_is_help=True)


@bench_app.command()
def matcher(as_json: JsonOption = False) -> None:
    """Decided joins a second, latency through the whole stack, memory of a group, idle processor time."""
    _run("matcher", as_json)


@bench_app.command()
def ledger(as_json: JsonOption = False) -> None:
    """Archived entries a second and bytes on disk."""
    _run("ledger", as_json)


@bench_app.command()
def notifier(as_json: JsonOption = False) -> None:
    """Outcomes and results sent a second."""
    _run("notifier", as_json)


@bench_app.command()
def plays(as_json: JsonOption = False) -> None:
    """Assists and joins decided a second without a broker, and memory of an assist."""
    _run("plays", as_json)


def _run(name: str, as_json: bool) -> None:
    try:
        module = importlib.import_module(f"tests.bench.bench_{name}")
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the benchmark {name!r} is not here ({error.name} is missing): run it in a checkout of the project"
        ) from None
    say(f"measuring {name}; other work on this machine spoils the figures")
    figures: dict[str, Any] = module.run()
    if as_json:
        print_json(figures)
        return
    for key, value in figures.items():
        typer.echo(f"{key:>24}  {value:,}" if isinstance(value, int | float) else f"{key:>24}  {value}")
