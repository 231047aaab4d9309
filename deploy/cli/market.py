"""`groupbuy market`: more markets than one over a data directory, while its stack runs or before it does."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.added_markets import ADDED_MAX, AddedMarket, added_markets, forget_added, note_added
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, print_json
from deploy.foreign_broker import broker_example_file
from deploy.nodes import has_broker
from deploy.permissions import check_market
from deploy.stack_files import Address, MarketAddress, first_market, is_held, known_markets, read_address
from deploy.wiring import choose_port

LOOK_S: Final = 0.1
PATIENCE_S: Final = 180.0

market_app = typer.Typer(no_args_is_help=True, help="Add markets, list them, take them away.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The market: 1 to 64 of A-Z a-z 0-9 _ -.")]


@market_app.command()
def add(
    name: Name,
    data: DataOption = DEFAULT_DATA,
    http_port: Annotated[
        int | None,
        typer.Option("--http-port", min=1, max=65_535, help="Port of its gateway; one that is free when absent."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a market: streams, rights and services of its own; no other process is restarted.

    A running `groupbuy up` serves it at once, and every later one as well; a market that was there before goes on.
    """
    check_market(name)
    address = _running(data)
    added = added_markets(data)
    if name in added or name == first_market(data):
        raise CommandError(f"the market {name} is there already: `groupbuy market list --data {data}` shows it")
    if len(added) >= ADDED_MAX:
        raise CommandError(f"{data} has {len(added)} markets beside its first: add {name} to another data directory")
    _refuse_foreign_broker(data, address)
    note_added(data, name, AddedMarket(http_port=choose_port(http_port, "--http-port")))
    if not is_held(data):
        _print({"market": name, "state": "prepared"}, as_json, f"the next `groupbuy up --data {data}` serves it")
        return
    found = _until_served(data, name)
    if found.trouble is not None:
        raise CommandError(
            f"the market {name} is not served yet: {found.trouble}. The stack tries again by itself; "
            f"`groupbuy market remove {name} --data {data}` gives it up"
        )
    _print(_row(name, "served", found), as_json, f"publish with `groupbuy publish --market {name} FILE`")


@market_app.command("list")
def list_markets(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """List the markets of a data directory, and how it stands with each."""
    _refuse_missing(data)
    for row in _rows(data, _running(data)):
        _print(row, as_json, "")


@market_app.command()
def remove(name: Name, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Serve a market no more that was added. Its streams, ledger and keys stay; `market add` goes on from there."""
    if name not in added_markets(data):
        raise CommandError(
            f"{name} is no market that was added to {data}: `groupbuy market list` shows them; the first market ends "
            "with its stack"
        )
    forget_added(data, name)
    until_s = time.monotonic() + PATIENCE_S
    while (address := _running(data)) is not None and name in address.added:
        if time.monotonic() > until_s:
            raise CommandError(f"the stack over {data} still serves {name} after {PATIENCE_S:.0f} s: see what it says")
        time.sleep(LOOK_S)
    _print({"market": name, "state": "stopped"}, as_json, "its streams, ledger and keys stay")


def _rows(data: Path, address: Address | None) -> list[dict[str, Any]]:
    rows = []
    if address is not None:
        rows.append(_row(address.market, "served", address))
        for name, found in address.added.items():
            rows.append(_row(name, "served" if found.trouble is None else "in trouble", found))
    named = {row["market"] for row in rows}
    rows += [{"market": name, "state": "prepared"} for name in added_markets(data) if name not in named]
    named = {row["market"] for row in rows}
    return rows + [{"market": name, "state": "stopped"} for name in known_markets(data) if name not in named]


def _row(name: str, state: str, found: Address | MarketAddress) -> dict[str, Any]:
    row: dict[str, Any] = {"market": name, "state": state}
    if isinstance(found, MarketAddress) and found.trouble is not None:
        return row | {"trouble": found.trouble}
    urls = [] if found.http_url is None else [found.http_url, *found.more_http_urls]
    return row | {"gateways": [f"{url}/markets/{name}/events" for url in urls], "services": found.services}


def _print(row: dict[str, Any], as_json: bool, hint: str) -> None:
    if as_json:
        print_json(row)
        return
    words = [f"{row['market']}: {row['state']}", *row.get("gateways", ()), row.get("trouble", ""), hint]
    sys.stdout.write(f"{'; '.join(word for word in words if word)}\n")


def _running(data: Path) -> Address | None:
    """Return where the running stack of a data directory is reached, None when none runs or none has said so yet."""
    address = read_address(data)
    return address if address is not None and is_held(data) else None


def _refuse_missing(data: Path) -> None:
    if not data.is_dir():
        raise CommandError(f"there is no data directory {data}: `groupbuy up --data {data}` makes one with a market")


def _refuse_foreign_broker(data: Path, address: Address | None) -> None:
    """Refuse what takes rights that we cannot give: those at a broker that is not ours."""
    _refuse_missing(data)
    if address is not None and not address.takes_markets:
        raise CommandError(
            f"the stack over {data} takes no further market: only `groupbuy up` with a broker of its own "
            "does, once it is open. At a broker of yours each market has a data directory and keys of its own"
        )
    if address is None and broker_example_file(data).exists() and not has_broker(data):
        raise CommandError(
            f"the market in {data} is on a broker of yours, whose users are yours to change: run each market there "
            "over a data directory of its own, `groupbuy up --nats URL --market NAME --data OTHER`"
        )


def _until_served(data: Path, name: str) -> MarketAddress:
    """Return how it stands with a market once the stack has taken it up. Raises CommandError when it does not."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        address = read_address(data)
        if address is None and not is_held(data):
            raise CommandError(f"the stack over {data} has ended meanwhile; the next one serves the market {name}")
        if address is not None and name in address.added:
            return address.added[name]
        time.sleep(LOOK_S)
    raise CommandError(
        f"the stack over {data} has not taken up the market {name} within {PATIENCE_S:.0f} s: see what it says; "
        f"`groupbuy market list --data {data}` shows when it has"
    )
