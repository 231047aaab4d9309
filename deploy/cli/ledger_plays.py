"""`groupbuy ledger check-draw | tree`: whether a draw was fair, and how a play was shared."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    say,
)
from events.counted import counted
from events.times import format_time_ns
from services.ledger.check_draw import DrawReport, check_draw, entries_in_ledger, export, read_file
from services.ledger.faults import BadQuestion, NotFound
from services.ledger.sharing import Helper, SharingTree, sharing_tree
from services.ledger.store import LedgerStore

OpenLedger = Callable[[Path, str | None], AbstractContextManager[LedgerStore]]
_LINES_MAX: Final = 200
_FAULTS_MAX: Final = 20


def add_play_commands(app: typer.Typer, opened: OpenLedger) -> None:
    """Add the commands to `app`; `opened` opens a ledger and tells what may go wrong."""

    @app.command("check-draw")
    def check_draw_command(
        name: Annotated[
            str | None, typer.Argument(metavar="PLAY", help="A play, or a group whose winners are drawn.")
        ] = None,
        from_file: Annotated[
            Path | None, typer.Option("--from", metavar="FILE", help="Check this exported file; no ledger is needed.")
        ] = None,
        export_to: Annotated[
            Path | None, typer.Option("--export", metavar="FILE", help="Write what others need to check it.")
        ] = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Make every cut and draw again from the seed that the closing showed; status 1 when they differ."""
        if from_file is not None:
            report = _check_file(from_file, name)
        elif name is None:
            raise CommandError("name a play or group, or a file with --from")
        else:
            with opened(data, market) as store:
                if export_to is not None:
                    _write(export_to, msgspec.json.encode(export(store, name)))
                report = check_draw(store.market, name, entries_in_ledger(store, name))
        _print(msgspec.json.encode(report).decode() if as_json else _draw_in_words(report))
        if not report.agrees:
            raise typer.Exit(EXIT_CHECK_FAILED)

    @app.command("tree")
    def tree_command(
        play: Annotated[str, typer.Argument(metavar="PLAY", help="A play.")],
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show how a play was shared: who brought whom, how deep, how wide, how fast."""
        with opened(data, market) as store:
            tree = sharing_tree(store, play)
        _print(msgspec.json.encode(tree).decode() if as_json else _tree_in_words(tree))


def _check_file(path: Path, name: str | None) -> DrawReport:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    try:
        market, named, entries = read_file(content)
        if name not in (None, named):
            raise CommandError(f"{path} is about {named}, not about {name}")
        return check_draw(market, named, entries)
    except BadQuestion as error:
        raise CommandError(f"{path}: {error}") from None
    except NotFound as error:
        say(f"{path}: {error}")
        raise typer.Exit(EXIT_CHECK_FAILED) from None


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None
    say(f"wrote {path}: check it anywhere with `groupbuy ledger check-draw --from {path}`")


def _draw_in_words(report: DrawReport) -> str:
    what = f"play {report.play} ({report.form})" if report.play is not None else f"group {report.group}"
    lines = [f"{what} of market {report.market}", f"  seed        {report.seed}", f"  committed   {report.seed_sha256}"]
    for name, value in report.figures.items():
        if name == "winners":
            lines += [f"  {_winner_in_words(winner)}" for winner in value[:_LINES_MAX]]
        else:
            lines.append(f"  {name:<11} {value}")
    for fault in report.faults[:_FAULTS_MAX]:
        lines.append(f"{f'entry {fault.entry}: ' if fault.entry else ''}{fault.sentence}")
    lines.append("everything is as the seed has it" if report.agrees else "this does not agree with the seed")
    return "\n".join(lines)


def _winner_in_words(winner: object) -> str:
    if isinstance(winner, dict):
        return f"draw {winner['draw']}: {winner['prize']} to member {winner['member']}"
    return f"drawn: order {winner}"


def _tree_in_words(tree: SharingTree) -> str:
    whose = f" of member {tree.member}" if tree.member is not None else ""
    widths = ", ".join(map(str, tree.breadth)) or "nobody"
    lines = [
        f"play {tree.play} ({tree.form}){whose}: {counted(tree.helpers, 'helper')}, {tree.counted} counted",
        f"  {tree.sharers} shared it, {len(tree.roots)} at the beginning: {tree.growth_factor:g} helpers for each",
        f"  depth {tree.depth}; at each depth: {widths}; the most that one brought: {tree.most_by_one}",
    ]
    if tree.circular:
        lines.append(f"  {tree.circular} only brought each other: no way leads to them from the beginning")
    lines += [f"  from {format_time_ns(s.from_ns)}  +{s.helpers}, {s.total} in all" for s in tree.growth if s.helpers]
    return "\n".join([*lines, *_branches(tree)])


def _branches(tree: SharingTree) -> list[str]:
    """Return the tree, a helper a line, indented by depth; cut off where it is too long to be read."""
    children: dict[str, list[Helper]] = {}
    for helper in tree.tree:
        children.setdefault(helper.via or tree.member or "", []).append(helper)
    lines: list[str] = []
    waiting: list[tuple[int, str, str]] = [(0, name, "") for name in reversed(tree.roots)]
    if "" in children:
        waiting += [(1, helper.member, helper.status) for helper in reversed(children[""])]
    while waiting and len(lines) < _LINES_MAX:
        depth, name, status = waiting.pop()
        lines.append(f"  {'  ' * depth}{name}{f'  {status}' if status else ''}")
        waiting += [(depth + 1, child.member, child.status) for child in reversed(children.get(name, ()))]
    return [*lines, f"  and {counted(len(waiting), 'branch', 'branches')} more: see --json"] if waiting else lines


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
