"""`groupbuy ledger replay | diff | what-if`: what was, what changed, and what would have been."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from deploy.cli.ledger_log import market_key_file
from deploy.cli.ledger_print import print_group, print_json, print_member, print_named, print_order
from deploy.cli.ledger_print_replay import (
    print_diff,
    print_diff_json,
    print_replay,
    print_what_if,
)
from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
)
from deploy.replay_part import MODULE
from events.record import parse_entry_id
from services.ledger.diff import diff
from services.ledger.faults import BadQuestion
from services.ledger.history import END, Until, parse_until
from services.ledger.lean import EntryPosition
from services.ledger.market_key import read_market_key
from services.ledger.replay import replay_group
from services.ledger.replay_check import Elsewhere, replay_check
from services.ledger.replay_part import Place, Source
from services.ledger.replay_states import replay_member, replay_named, replay_order
from services.ledger.store import LedgerStore
from services.ledger.tree import check_market_key
from services.ledger.verify import Progress
from services.ledger.what_if import what_if
from services.matcher.domain.facts import Facts
from services.matcher.zones import pinned_zones

_JOBS: Final = 2


class LedgerAccess(NamedTuple):
    """How commands come by a ledger: opened for reading, the URL of its database, and a progress bar."""

    opened: Callable[[Path, str | None], AbstractContextManager[LedgerStore]]
    url: Callable[[Path], str]
    progress: Callable[[str], AbstractContextManager[Progress]]


UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="POSITION|TIME", help="As of this entry (SEQ.INDEX.PART) or time (RFC 3339), included."
    ),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts", metavar="FILE", help="The market's secrets (its key file); those in the data folder when absent."
    ),
]


def add_replay_commands(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the commands to `app`."""
    _add_replay(app, access)
    _add_diff(app, access)
    _add_what_if(app, access)


def _add_replay(app: typer.Typer, access: LedgerAccess) -> None:
    @app.command("replay")
    def replay_command(
        check: Annotated[
            bool, typer.Option("--check", help="Decide everything again and compare every entry.")
        ] = False,
        start: Annotated[
            str | None, typer.Option("--from", metavar="POSITION", help="With --check: from this entry's input on.")
        ] = None,
        facts: FactsOption = None,
        jobs: Annotated[int, typer.Option("--jobs", min=1, max=2, help="With --check: processes.")] = _JOBS,
        group: Annotated[str | None, typer.Option("--group", help="The state of a group.")] = None,
        member: Annotated[str | None, typer.Option("--member", help="The state of a member.")] = None,
        order: Annotated[str | None, typer.Option("--order", help="The state of an order.")] = None,
        play: Annotated[str | None, typer.Option("--play", help="The state of a play.")] = None,
        until: UntilOption = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Decide the archive again and compare it byte for byte; or show how something stood at an entry or time."""
        named = [name for name in (group, member, order, play) if name is not None]
        if check == bool(named) or len(named) > 1:
            raise CommandError("name one of --check, --group, --member, --order and --play")
        if check:
            if until is not None:
                raise CommandError("--until goes with a group, member, order or play; --check reads to the end")
            _check(access, data, market, _start(start), facts, jobs, as_json=as_json)
            return
        if start is not None or facts is not None:
            raise CommandError("--from and --facts go with --check")
        _show_state(access, data, market, (group, member, order, play), _until(until), as_json=as_json)


def _check(
    access: LedgerAccess,
    data: Path,
    market: str | None,
    start: EntryPosition | None,
    facts_file: Path | None,
    jobs: int,
    *,
    as_json: bool,
) -> None:
    with access.opened(data, market) as store, access.progress("deciding again") as progress:
        facts = read_facts(store, data, facts_file)
        place = Place(access.url(data), store.market, str(data))
        elsewhere = Elsewhere(place, MODULE) if jobs > 1 else None
        report = replay_check(store, Source(facts, pinned_zones()), start, progress, elsewhere)
    if as_json:
        print_json(report)
    else:
        print_replay(report)
    if not report.is_same:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _show_state(
    access: LedgerAccess,
    data: Path,
    market: str | None,
    named: tuple[str | None, str | None, str | None, str | None],
    until: Until,
    *,
    as_json: bool,
) -> None:
    group, member, order, play = named
    with access.opened(data, market) as store:
        if group is not None:
            group_state = replay_group(store, group, until)
            print_json(group_state) if as_json else print_group(group_state)
        elif member is not None:
            member_state = replay_member(store, member, until)
            print_json(member_state) if as_json else print_member(member_state)
        elif order is not None:
            order_state = replay_order(store, order, until)
            print_json(order_state) if as_json else print_order(order_state)
        elif play is not None:
            play_state = replay_named(store, "play", play, until)
            print_json(play_state) if as_json else print_named(play_state)


def _add_diff(app: typer.Typer, access: LedgerAccess) -> None:
    @app.command("diff")
    def diff_command(
        begin: Annotated[str, typer.Argument(metavar="A", help="An entry or time; what it brought is not shown.")],
        end: Annotated[str, typer.Argument(metavar="B", help="A later one; what it brought is shown.")],
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show what changed in the market between two entries or times."""
        with access.opened(data, market) as store, access.progress("reading") as progress:
            found = diff(store, parse_until(begin), parse_until(end), pinned_zones(), progress)
        print_diff_json(found) if as_json else print_diff(found)


def _add_what_if(app: typer.Typer, access: LedgerAccess) -> None:
    @app.command("what-if")
    def what_if_command(
        without: Annotated[
            str | None, typer.Option("--without", metavar="ENTRY", help="As if this entry's event had not come.")
        ] = None,
        at: Annotated[
            tuple[str, str] | None,
            typer.Option("--at", metavar="TIME ENTRY", help="As if this entry's event had come at TIME (RFC 3339)."),
        ] = None,
        facts: FactsOption = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Decide everything again without one event, or with it at another time, and show what would be otherwise."""
        if (without is None) == (at is None):
            raise CommandError("name one of --without ENTRY and --at TIME ENTRY")
        position = _position((without or "") if at is None else at[1])
        at_ns = None if at is None else _time(at[0])
        with access.opened(data, market) as store, access.progress("deciding again") as progress:
            known = read_facts(store, data, facts) or Facts(market_key=bytes(32))
            found = what_if(store, position, known, pinned_zones(), at_ns, progress)
        print_json(found) if as_json else print_what_if(found)


def read_facts(store: LedgerStore, data: Path, given: Path | None) -> Facts | None:
    """Return a market's secrets: those in the file that was given, else in the data folder, None where there are none.

    Raises BadQuestion when the given file holds no key, LedgerError when it is not this market's.
    """
    path = given or market_key_file(data, store.market)
    if given is None and not path.exists():
        return None
    key = read_market_key(path)
    check_market_key(store, key)
    return Facts(market_key=key)


def _start(text: str | None) -> EntryPosition | None:
    return None if text is None else _position(text)


def _position(text: str) -> EntryPosition:
    try:
        return parse_entry_id(text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _until(text: str | None) -> Until:
    if text is None:
        return END
    try:
        return parse_until(text)
    except BadQuestion as error:
        raise CommandError(str(error)) from None


def _time(text: str) -> int:
    until = _until(text)
    if until.at_ns is None:
        raise CommandError(f"--at {text[:60]!r}: expected a time first (RFC 3339), then an entry")
    return until.at_ns
