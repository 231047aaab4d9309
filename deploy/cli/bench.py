"""`groupbuy bench`: the benchmarks, which live with the tests and are only there in a checkout."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.bench_way import choose_way
from deploy.cli.output import EXIT_CHECK_FAILED, CommandError, JsonOption, print_json, say
from events.compiled import way

bench_app = typer.Typer(help="Measure speed and size on this machine.", no_args_is_help=True)


QuickOption = Annotated[bool, typer.Option("--quick", help="Small sizes: figures to look at, not to quote.")]
InterpretedOption = Annotated[
    bool, typer.Option("--interpreted", help="Measure the rules as they are, without compiling them first.")
]
SecondsOption = Annotated[
    int, typer.Option("--seconds", min=5, max=3_600, help="For how long the whole stack must keep up.")
]


@bench_app.command("all")
def everything(
    quick: QuickOption = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PART", help="Measure this part alone, keep the others; may be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the report goes.")] = Path("bench-report"),
    seconds: SecondsOption = 300,
    interpreted: InterpretedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Everything, and a report: table, JSON and SVG plots. Under 25 minutes, with --quick under 4."""
    whole = _module("all")
    parts = [part for named in only or () for part in named.split(",") if part]
    try:
        whole.check_parts(parts)
        choose_way(interpreted=interpreted)
        report = whole.run(out, quick=quick, only=parts, seconds=seconds, say=say)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
    if as_json:
        print_json(report)
    else:
        typer.echo((out / "report.txt").read_text(encoding="utf-8"), nl=False)
    say(f"the report is in {out}: report.txt, report.json, {', '.join(report['plots'])}")
    if failed := [name for name, found in report["parts"].items() if found and found.get("failed")]:
        say(f"failed: {', '.join(failed)}; `--only {','.join(failed)}` tries again")
        raise typer.Exit(EXIT_CHECK_FAILED)


@bench_app.command()
def matcher(interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """Decided joins a second, latency through the whole stack, memory of a group, idle processor time."""
    _run("matcher", as_json, interpreted)


@bench_app.command()
def rules(interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """Processor time of the matcher's rules alone, how it grows, memory of a group, time to restart."""
    _run("rules", as_json, interpreted)


@bench_app.command()
def growth(
    full: Annotated[bool, typer.Option("--full", help="Ten million open groups too: ten minutes, 16 GiB.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="No more than a hundred thousand.")] = False,
    interpreted: InterpretedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cost of an event, start-up and memory, from a thousand open groups to a million, or ten."""
    _run("growth", as_json, interpreted, full=full, quick=quick)


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
    interpreted: InterpretedOption = False,
    as_json: JsonOption = False,
) -> None:
    """How many fake assists are caught, how many honest ones are held or refused, and at what speed."""
    if (events is None) != (labels is None):
        raise CommandError("give --events and --labels together, or neither to use the project's own traffic")
    _run("fraud", as_json, interpreted, events=events, labels=labels)


@bench_app.command()
def plays(interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """Assists and joins decided a second without a broker, and memory of an assist."""
    _run("plays", as_json, interpreted)


@bench_app.command()
def pipeline(quick: QuickOption = False, interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """Rates from a backlog and through the gateway, under many loads; latencies at parts of the rate."""
    _run("pipeline", as_json, interpreted, quick=quick)


@bench_app.command()
def overload(
    seconds: Annotated[int, typer.Option("--seconds", min=10, max=86_400, help="How long the peak lasts.")] = 600,
    interpreted: InterpretedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Twice the rate that the stack sustains: what is refused, memory of each process, how fast the rest drains."""
    _run("overload", as_json, interpreted, seconds=seconds)


@bench_app.command()
def stack(
    quick: QuickOption = False,
    seconds: SecondsOption = 300,
    interpreted: InterpretedOption = False,
    as_json: JsonOption = False,
) -> None:
    """The whole stack: latency at 2,000 singles a second, the rate that it sustains, where the CPU goes."""
    _run("stack", as_json, interpreted, quick=quick, seconds=seconds)


@bench_app.command()
def cluster(quick: QuickOption = False, interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """The pipeline over three brokers that each hold everything (R3), fsync on every write."""
    _run("cluster", as_json, interpreted, quick=quick)


@bench_app.command()
def profile(quick: QuickOption = False, as_json: JsonOption = False) -> None:
    """Where the processor time goes: the interpreted rules, and each process of the whole stack."""
    _run("profile", as_json, interpreted=True, quick=quick)


@bench_app.command()
def peers(quick: QuickOption = False, interpreted: InterpretedOption = False, as_json: JsonOption = False) -> None:
    """The join transaction in what a shop would use instead: PostgreSQL, Redis, a straightforward service."""
    _run("peers", as_json, interpreted, quick=quick)


@bench_app.command()
def matching(quick: QuickOption = False, as_json: JsonOption = False) -> None:
    """How many members get their group, by way of matching, beside the best that anybody could have done."""
    _run("matching", as_json, quick=quick)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"tests.bench.bench_{name}")
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the benchmark {name!r} is not here ({error.name} is missing): run it in a checkout of the project, "
            "with the test requirements that `make test` installs"
        ) from None


def _run(name: str, as_json: bool, interpreted: bool | None = None, **options: Any) -> None:
    """Measure; where `interpreted` is not None, the matcher's rules take part in it."""
    module = _module(name)
    if interpreted is not None:
        choose_way(interpreted=interpreted)
    say(f"measuring {name}; other work on this machine spoils the figures")
    figures: dict[str, Any] = module.run(**options)
    if interpreted is not None:
        figures = {"rules": way(), **figures}
    if as_json:
        print_json(figures)
        return
    for key, value in figures.items():
        typer.echo(f"{key:>24}  {value:,}" if isinstance(value, int | float) else f"{key:>24}  {value}")
