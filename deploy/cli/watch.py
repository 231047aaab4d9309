"""`groupbuy watch`: what the market decides, as it decides it."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from deploy.cli.describe import describe, moment
from deploy.cli.output import DEFAULT_DATA, DataOption, JsonOption, MarketOption, print_json, say
from deploy.permissions import LEDGER
from deploy.stack_files import running_address, served_market
from events.decisions import ClockAdvanced
from events.outcomes import outcome_of
from events.record import Entry, decode_entry, entry_id
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.bus.journal import START, FollowedRecord, JournalFollower, journal_tail

ALARM_POLL_S: Final = 1.0
_to_builtins: Final = msgspec.to_builtins


class _TypeOnly(msgspec.Struct):
    type: str = ""


_type_decoder: Final = msgspec.json.Decoder(_TypeOnly)


def watch(
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Begin with the market's first event, not now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every outcome live, and what deadlines bring about, until Ctrl-C."""
    address = running_address(data)
    asyncio.run(_watch(data, address.nats_url, served_market(data, address, market), everything, as_json))


async def _watch(data: Path, nats_url: str, market: str, everything: bool, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # The ledger's user: it may read the whole journal and change nothing in it.
    config = ServiceConfig(
        service="watch",
        market=market,
        nats_url=nats_url,
        user=LEDGER,
        nkey_seed_file=data / "keys" / f"{LEDGER}.nk",
        data_dir=data,
    )

    async def show(records: list[FollowedRecord]) -> None:
        try:
            for record in records:
                for raw in record.record.entries:
                    _show(decode_entry(raw), as_json)
            sys.stdout.flush()
        except BrokenPipeError:
            stop.set()

    broker = await connect_broker(config)
    try:
        position = START if everything else await journal_tail(broker, market)
        follower = JournalFollower(broker, market, LEDGER, position, show)
        await follower.start()
        if not as_json:
            say(f"watching the market {market} from record {position.seq + 1} on; Ctrl-C ends it")
        await _until_stopped(follower, stop)
        await follower.stop()
    finally:
        await broker.stop()


async def _until_stopped(follower: JournalFollower, stop: asyncio.Event) -> None:
    """Return when asked to stop. Raises JournalBroken when the journal cannot be followed any further."""
    while not stop.is_set():
        if follower.broken is not None:
            raise follower.broken
        try:
            await asyncio.wait_for(stop.wait(), ALARM_POLL_S)
        except TimeoutError:
            continue


def _show(entry: Entry, as_json: bool) -> None:
    for document in _documents(entry):
        if as_json:
            print_json(document)
        else:
            sys.stdout.write(f"{_line(entry, document)}\n")


def _documents(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield the outcome of an event, or each decision of timer work."""
    if entry.publisher is not None and not isinstance(entry.decisions[0], ClockAdvanced):
        yield {"publisher": entry.publisher, **outcome_of(entry)}
        return
    head = {"entry": entry_id(entry.seq, entry.index, entry.part), "at": entry.at}
    for decision in entry.decisions:
        if not isinstance(decision, ClockAdvanced):
            yield {**head, **_to_builtins(decision)}


def _line(entry: Entry, document: dict[str, Any]) -> str:
    seats = document.get("seats")
    who = f" ({', '.join(seat['member'] for seat in seats)})" if isinstance(seats, list) and seats else ""
    cause = f"{entry.publisher} {_type_of(entry)}" if entry.publisher is not None else "due"
    shown = {name: value for name, value in document.items() if name != "seats"}
    return f"{moment(entry.at)}  {document['entry']:>10}  {cause} -> {describe(shown)}{who}"


def _type_of(entry: Entry) -> str:
    if entry.event is None:
        return "unkept input"
    return _type_decoder.decode(entry.event).type.removeprefix("groupbuy.").removesuffix(".v1")
