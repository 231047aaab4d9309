"""`groupbuy publish`: events from a file, each with its outcome."""

import asyncio
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from deploy.cli.describe import describe
from deploy.cli.event_file import CheckedEvent, EventBatch, batches_of, check_lines
from deploy.cli.output import (
    DEFAULT_DATA,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    print_json,
    say,
)
from deploy.cli.session import connected
from deploy.stack_files import running_address, served_market
from events.counted import counted
from services.bus.client import (
    BadEventError,
    GroupBuyClient,
    LimitExceededError,
    NotPublishedError,
    UnknownOutcomeError,
)

FILE_MAX_BYTES: Final = 512 * 1024 * 1024


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One CloudEvent a line; - reads standard input.")],
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    publisher: Annotated[
        str | None, typer.Option("--publisher", help="Who publishes; by default whoever may publish each family.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcomes, or for the disk.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Publish the events of FILE in order and print the outcome of each.

    What an event lacks of id, source, time and specversion is filled in. The whole file is checked first:
    when a line is wrong, nothing is sent.
    """
    address = running_address(data)
    name = served_market(data, address, market)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    try:
        events = check_lines(_read(file), now, publisher)
    except CommandError as error:
        raise CommandError(f"{'standard input' if file == '-' else file}: {error}; nothing was sent") from None
    asyncio.run(_publish(data, address.nats_url, name, events, wait, as_json))


def _read(file: str) -> list[bytes]:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise CommandError(f"is larger than {FILE_MAX_BYTES} bytes; expected smaller files, one after another")
    return content.split(b"\n")


async def _publish(
    data: Path, nats_url: str, market: str, events: list[CheckedEvent], wait: bool, as_json: bool
) -> None:
    async with AsyncExitStack() as held:
        clients: dict[str, GroupBuyClient] = {}
        for name in sorted({event.publisher for event in events}):
            connection = await held.enter_async_context(connected(data, nats_url, name))
            clients[name] = GroupBuyClient(connection, market, name)
        sent = 0
        for batch in batches_of(events):
            try:
                await _send(clients[batch.publisher], batch, wait, as_json)
            except (LimitExceededError, BadEventError, NotPublishedError, UnknownOutcomeError) as error:
                raise CommandError(
                    f"line {batch.events[0].line}: {error}; "
                    f"the {counted(sent, 'event before it has', 'events before it have')} been sent"
                ) from None
            sent += len(batch.events)
    if not as_json and not wait:
        are, their = counted(sent, "event is", "events are"), "its outcome" if sent == 1 else "their outcomes"
        say(f"{are} in the market's intake; `groupbuy watch` shows {their}")


async def _send(client: GroupBuyClient, batch: EventBatch, wait: bool, as_json: bool) -> None:
    documents = [event.document for event in batch.events]
    if not wait:
        seq = await client.publish_batch(documents)
        for index, event in enumerate(batch.events):
            _print_sent(event, f"{seq}.{index}", as_json)
        return
    for event, outcome in zip(batch.events, await client.submit(documents), strict=True):
        if as_json:
            print_json({"line": event.line, **outcome})
        else:
            told = describe(outcome, separator="\n      and ")
            sys.stdout.write(f"line {event.line}: {event.kind}\n   -> {told}\n")


def _print_sent(event: CheckedEvent, position: str, as_json: bool) -> None:
    if as_json:
        print_json({"line": event.line, "id": event.id, "position": position})
    else:
        sys.stdout.write(f"line {event.line}: {event.kind} is in the intake at {position}, id {event.id}\n")
