"""`groupbuy notifier address`: where members are reached."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
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
)
from deploy.stack_files import first_market
from events.counted import counted
from services.notifier.addresses import ADDRESS_MAX_CHARS, AddressBook, BadAddress, address_file
from services.notifier.dispatch.database import OutboxError

address_app = typer.Typer(help="Where members are reached; kept out of the log.", no_args_is_help=True)


@address_app.command("set")
def address_set(
    member: str,
    channel: Annotated[str, typer.Argument(help="email or wechat.")],
    address: Annotated[str, typer.Argument(help="The address; - reads it from standard input.")],
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note where a member is reached by a channel."""
    text = _from_standard_input() if address == "-" else address
    with _opened(data, market) as book:
        book.set(member, channel, text)
    if as_json:
        print_json({"member": member, "channel": channel})
    else:
        typer.echo(f"{member} is reached by {channel}.")


def _from_standard_input() -> str:
    # What stands after the first line is no part of an address, and is refused with it.
    return typer.get_text_stream("stdin").read(ADDRESS_MAX_CHARS + 2).rstrip("\n")


@address_app.command("remove")
def address_remove(
    member: str,
    channel: Annotated[str | None, typer.Argument(help="email or wechat; all when absent.")] = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget where a member is reached."""
    with _opened(data, market) as book:
        removed = book.remove(member, channel)
    if as_json:
        print_json({"member": member, "removed": removed})
    else:
        typer.echo(f"{counted(removed, f'address of {member} is', f'addresses of {member} are')} forgotten.")
    if removed == 0:
        raise typer.Exit(EXIT_CHECK_FAILED)


@address_app.command("count")
def address_count(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
    """Tell how many addresses are known, by channel; the addresses themselves are shown to nobody."""
    with _opened(data, market) as book:
        counts = book.count()
    if as_json:
        print_json({"addresses": counts})
    else:
        typer.echo(", ".join(f"{count} by {kind}" for kind, count in counts.items()) or "no addresses")


@contextmanager
def _opened(data: Path, market: str | None) -> Iterator[AddressBook]:
    try:
        with closing(AddressBook(address_file(data, market or first_market(data)))) as book:
            yield book
    except (OutboxError, BadAddress) as error:
        raise CommandError(str(error)) from None
