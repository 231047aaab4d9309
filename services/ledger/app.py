"""The ledger's process: one place that wires broker, health, metrics and the archiver."""

import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Health, serve_health
from services.ledger.archiver import Archiver
from services.ledger.log_http import log_routes
from services.ledger.metrics import LedgerMetrics
from services.ledger.notice_follower import NoticeFollower
from services.ledger.trim import TrimPolicy


def build(
    trim: TrimPolicy | None = None,
) -> Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Archiver]]:
    """Return what archives the journal of a configuration's market while it is entered.

    `trim` says how much of the intake stays once it is archived; by default it is trimmed with a margin.
    """

    @asynccontextmanager
    async def running(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[Archiver]:
        # It tells of each request, one a second for each witness.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        # Of several ledgers one signs and trims: the others archive, each for itself.
        archiver = Archiver(broker, config, trim or TrimPolicy(enabled=config.signs))
        health = Health("ledger")
        health.add("journal", archiver.check)
        health.add("trimming", archiver.check_trimming)
        health.add("signing", archiver.check_signing)
        health.add("witnesses", archiver.cosigning.check)
        notices = NoticeFollower(broker, archiver)
        health.add("notices", notices.check)
        # One reader: whoever follows the log must not take the processor from what writes it.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="log") as reading:
            routes = log_routes(archiver, reading)
            server = await serve_health(health, LedgerMetrics(archiver).metrics, config.health_port, routes=routes)
            await archiver.start()
            notices.start()
            try:
                yield archiver
            finally:
                await notices.stop()
                # The log is read from the archiver's store: nobody may ask any more when that is closed.
                await server.stop()
                await archiver.stop()

    return running
