"""`groupbuy member`: what an operator needs for members; here, whether a share link was allowed by the market."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    print_json,
    say,
)
from deploy.stack_files import ensure_market_key, first_market, market_exists
from events.link import BadLink, check_link, link_key
from events.times import NS_PER_S, format_time_ns, parse_time_ns
from services.ledger.faults import LedgerError
from services.ledger.market_key import read_market_key

member_app = typer.Typer(
    help="Members: the links that they share, and forgetting what they wrote.",
    epilog="Exit status: 0 done, 1 the check failed, 2 unusable arguments or environment.",
    no_args_is_help=True,
)


@member_app.command("check-link")
def check_link_command(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The link, as `invitation.allowed` carries it.")],
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="As of this time (RFC 3339), not now.")] = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell whether the market allowed the invitation behind a share link; exit status 1 where it did not."""
    name, key = _key_of(data, market)
    try:
        link = check_link(key, name, token, _seconds(at))
    except BadLink as fault:
        if as_json:
            print_json({"good": False, "fault": fault.fault, "message": str(fault)})
        else:
            say(str(fault))
        raise typer.Exit(EXIT_CHECK_FAILED) from None
    if as_json:
        print_json({"good": True, **link._asdict()})
        return
    until = format_time_ns(link.until_s * NS_PER_S)
    sys.stdout.write(
        f"A good link: invitation {link.invitation} by member {link.inviter} to {link.what} {link.name}, "
        f"until {until}.\n"
    )


@member_app.command("link-key")
def link_key_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
    """Print the key with which a backend of yours checks links itself; whoever has it can make links, too."""
    name, key = _key_of(data, market)
    if as_json:
        print_json({"market": name, "link_key": key.hex()})
    else:
        sys.stdout.write(f"{key.hex()}\n")


def _key_of(data: Path, market: str | None) -> tuple[str, bytes]:
    """Return (market, key of its links). Raises CommandError when there is no such market in the data directory."""
    name = market or first_market(data)
    if not market_exists(data, name):
        raise CommandError(f"there is no market {name} in {data}: start it once with `groupbuy up`, or name --data")
    try:
        return name, link_key(read_market_key(ensure_market_key(data, name)))
    except LedgerError as error:
        raise CommandError(str(error)) from None


def _seconds(at: str | None) -> int:
    if at is None:
        return int(time.time())
    try:
        return parse_time_ns(at) // NS_PER_S
    except ValueError as error:
        raise CommandError(f"--at: {error}; expected for example 2026-11-23T10:00:00Z") from None
