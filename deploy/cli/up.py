"""`groupbuy up`: one market's whole stack in the foreground."""

import asyncio
import shlex
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

import typer

from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, say
from deploy.first_run import SAMPLE_OFFER, first_configuration, sample_offer, set_up_market
from deploy.log_host import known_log_host
from deploy.nodes import NODES
from deploy.permissions import LEDGER
from deploy.stack import Stack, StackPlan
from deploy.stack_files import DEFAULT_MARKET, Address, is_port_free, read_token
from deploy.taking_markets import TakenMarkets
from services.ledger.faults import LedgerError
from services.ledger.witness.ask import WitnessPlace

PUBLISHER: Final = "local"
NATS_PORT: Final = 4222
HTTP_PORT: Final = 8080
LOG_HOST: Final = "localhost"
COPIES: Final = 2


def up(
    data: DataOption = DEFAULT_DATA,
    market: Annotated[str, typer.Option("--market", help="The market to run.")] = DEFAULT_MARKET,
    nats_port: Annotated[
        int | None, typer.Option("--nats-port", min=1, max=65_535, help="Port of the broker; 4222 when it is free.")
    ] = None,
    http_port: Annotated[
        int | None, typer.Option("--http-port", min=1, max=65_535, help="Port of the gateway; 8080 when it is free.")
    ] = None,
    nats: Annotated[
        str | None, typer.Option("--nats", metavar="URL", help="Use this broker instead of an embedded one.")
    ] = None,
    log_host: Annotated[
        str | None,
        typer.Option(
            "--log-host",
            metavar="HOST",
            help="The ledger signs as HOST/groupbuy/MARKET, for ever; as it did before, or localhost, when absent.",
        ),
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option("--witness", metavar="URL,VKEY", help="Ask this witness to cosign; again for another one."),
    ] = None,
    provision: Annotated[
        bool, typer.Option("--provision", help="With --nats: make the market's streams when they are missing.")
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Three brokers that keep every stream three times, two of each service.")
    ] = False,
) -> None:
    """Run broker, gateway, matcher, ledger and notifier until Ctrl-C.

    A new market is configured and gets a sample offer, so that a first order is accepted. What dies is started again.
    Markets that `groupbuy market add` has added, before or meanwhile, are served as well.
    """
    if cluster and nats is not None:
        raise CommandError("--cluster runs brokers of its own, and --nats names another's: give one of the two")
    plan = StackPlan(
        data=data,
        market=market,
        nats_port=nats_port or _usual(NATS_PORT),
        http_port=http_port or _usual(HTTP_PORT),
        nats_url=nats,
        may_provision=provision,
        log_host=log_host or known_log_host(data, market) or LOG_HOST,
        witnesses=tuple(map(_witness, witness or ())),
        nodes=NODES if cluster else 1,
        copies=COPIES if cluster else 1,
    )
    asyncio.run(_run(plan))


def _witness(text: str) -> tuple[str, str]:
    """Return (URL, verifier key) of a witness."""
    url, _, key = text.partition(",")
    try:
        return url, WitnessPlace.parse(url, key).key.text()
    except LedgerError as error:
        raise CommandError(f"--witness {text[:200]}: {error}; expected URL,VKEY as the witness prints them") from None


def _usual(port: int) -> int | None:
    """Return the port that people expect, None when something else has it."""
    return port if is_port_free(port) else None


async def _run(plan: StackPlan) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop.set)
    stack = Stack(plan, say)
    say(f"starting the market {plan.market} over {stack.data}")
    starting = asyncio.create_task(_start(stack))
    taking: asyncio.Task[None] | None = None
    stopping = asyncio.create_task(asked_to_stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            sys.stdout.write(_welcome(stack))
            sys.stdout.flush()
            if stack.brokers:
                taking = asyncio.create_task(TakenMarkets(stack, partial(_set_up, stack), say).run())
        await stopping
        say("stopping; what was accepted is kept")
    finally:
        starting.cancel()
        stopping.cancel()
        tasks = [starting, stopping]
        if taking is not None:
            taking.cancel()
            tasks.append(taking)
        await asyncio.gather(*tasks, return_exceptions=True)
        await stack.stop()
    kind = " --cluster" if plan.nodes > 1 else ""
    say(f"stopped; `groupbuy up{kind} --data {shlex.quote(str(plan.data))}` goes on from here")


async def _start(stack: Stack) -> None:
    await stack.start()
    await _set_up(stack, stack.market)


async def _set_up(stack: Stack, market: str) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    await set_up_market(stack, now, first_configuration([PUBLISHER]), [sample_offer()], market)


def _welcome(stack: Stack) -> str:
    address, data = stack.address, shlex.quote(str(stack.data))
    token = read_token(stack.data, PUBLISHER)
    return f"""
The market {address.market} is open.

  broker     {address.nats_url}
  gateway    {address.http_url}/markets/{address.market}/events
  health     {address.http_url}/healthz      metrics  {address.http_url}/metrics
  log        {address.services[LEDGER]}/ledger/{address.market}/checkpoint      signed; its tiles stand beside it
  publisher  {PUBLISHER}
    nkey     {stack.data / "keys" / f"{PUBLISHER}.nk"}
    token    {token}
  logs       {stack.data / "logs"}

A first order (paste it again: another order takes the second seat):

{curl_line(address, token)}

  what happens, live                              ./groupbuy watch --data {data}
  what happened, and whether all of it is right   ./groupbuy ledger --help

Ctrl-C stops everything in order.
"""


def curl_line(address: Address, token: str) -> str:
    """Return a command for a shell that posts an order for the sample offer, a new one each time."""
    event = (
        '{"specversion":"1.0","type":"groupbuy.order.posted.v1","source":"/curl","id":"curl-\'$n\'",'
        '"time":"\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'",'
        f'"data":{{"order":"o-\'$n\'","member":"member-\'$n\'","offer":"{SAMPLE_OFFER}","lead":"if_needed"}}}}'
    )
    return (
        f"n=$(date +%s); curl -sS {address.http_url}/markets/{address.market}/events "
        f"-H 'Authorization: Bearer {token}' -H 'Content-Type: application/cloudevents+json' -d '{event}'"
    )
