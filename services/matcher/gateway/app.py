"""The gateway put together: two doors, one gatherer, the journal."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from events.counted import counted
from services.bus.config import ServiceConfig
from services.bus.connect import ConnectError, ServiceBroker
from services.bus.health import Check, Health, Metrics, Status, serve_health
from services.bus.http import HttpServer
from services.bus.journal import JournalBroken, JournalFollower, JournalPosition, journal_tail
from services.bus.journal_stream import AWAY, describe
from services.matcher.gateway.figures import Figures
from services.matcher.gateway.gather import OUTCOME_TIMEOUT_S, Gatherer
from services.matcher.gateway.http_door import HttpDoor
from services.matcher.gateway.links import Links
from services.matcher.gateway.nats_door import NatsDoor
from services.matcher.gateway.peers import Peers
from services.matcher.gateway.tokens import Tokens

SERVICE: Final = "gateway"
# An outcome takes milliseconds; after this long nobody decides.
UNDECIDED_S: Final = 5.0
RETRY_S: Final = 1.0
_LOOPBACK: Final = "127.0.0.1"

_log: Final = logging.getLogger("groupbuy.gateway")


class Gateway:
    """A running gateway: where its public API is, and what it is made of."""

    def __init__(self, config: ServiceConfig, broker: ServiceBroker, outcome_timeout_s: float) -> None:
        self.config = config
        self.health = Health(SERVICE)
        self.figures = Figures(Metrics(SERVICE))
        self.gatherer = Gatherer(broker, config.market, self.figures, outcome_timeout_s)
        self.nats_door = NatsDoor(broker, config.market, self.gatherer, self.figures)
        self.http_door = HttpDoor(
            config.market,
            self.gatherer,
            Tokens(config.tokens_file),
            self.health,
            self.figures,
            Peers(config.peers),
            None if config.link_key_file is None else Links(config.market, config.link_key_file),
        )
        self.server = HttpServer(self.http_door.app, config.http_host, config.http_port)

    @property
    def http_port(self) -> int:
        """The port of the public API, known once running."""
        return self.server.port

    def watch(self, follower: JournalFollower) -> None:
        """Let health and figures tell how the gateway is doing."""

        def decided() -> Check:
            wait_s = self.gatherer.oldest_wait_s
            if wait_s > UNDECIDED_S:
                return Check(Status.UNHEALTHY, f"events sent to the intake {wait_s:.0f} s ago are not decided yet")
            waiting = self.gatherer.events_waiting
            words = counted(waiting, "event is waiting for its outcome", "events are waiting for their outcome")
            return Check(Status.OK, words)

        def closed() -> str | None:
            broken = follower.broken
            return None if broken is None else f"no outcome can be told, since {broken}"

        self.gatherer.why_closed = closed
        self.health.add("journal", follower.check)
        self.health.add("decisions", decided)
        metrics = self.figures.metrics
        metrics.gauge("events_waiting", "Events that wait for their outcome.").set_function(
            lambda: self.gatherer.events_waiting
        )
        metrics.gauge("journal_lag", "Journal messages not dealt with yet.").set_function(lambda: follower.lag)
        metrics.gauge("journal_lag_seconds", "How long the first of them has been there.").set_function(
            lambda: follower.lag_age_s
        )
        metrics.gauge("journal_strays", "Journal messages skipped as strays.").set_function(lambda: follower.strays)


@asynccontextmanager
async def gateway(
    config: ServiceConfig, broker: ServiceBroker, outcome_timeout_s: float = OUTCOME_TIMEOUT_S
) -> AsyncIterator[Gateway]:
    """Run the gateway of a market on a connected broker.

    Raises ConfigError, ConnectError or HttpError when it cannot run.
    """
    made = Gateway(config, broker, outcome_timeout_s)
    tail = await _tail(broker, config.market)
    follower = JournalFollower(broker, config.market, config.user, tail, made.gatherer.note_records)
    made.watch(follower)
    async with AsyncExitStack() as parts:
        await follower.start()
        parts.push_async_callback(follower.stop)
        await made.gatherer.start()
        # Doors close first, then what is inside is finished.
        parts.push_async_callback(made.gatherer.stop)
        health_server = await serve_health(made.health, made.figures.metrics, config.health_port, _LOOPBACK)
        parts.push_async_callback(health_server.stop)
        await made.server.start()
        parts.push_async_callback(made.server.stop)
        await made.nats_door.open()
        parts.push_async_callback(made.nats_door.close)
        yield made


async def _tail(broker: ServiceBroker, market: str) -> JournalPosition:
    """Return where the journal ends: what was decided before the start was asked of somebody else."""
    while True:
        try:
            return await journal_tail(broker, market)
        except JournalBroken as broken:
            raise ConnectError(str(broken)) from None
        except AWAY as error:
            _log.warning("the journal of market %s cannot be read yet: %s", market, describe(error))
            await asyncio.sleep(RETRY_S)
