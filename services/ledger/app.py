"""The ledger's process: one place that wires broker, health, metrics and the archiver."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Health, serve_health
from services.ledger.archiver import Archiver
from services.ledger.metrics import LedgerMetrics
from services.ledger.trim import TrimPolicy


def build(
    trim: TrimPolicy | None = None,
) -> Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Archiver]]:
    """Return what archives the journal of a configuration's market while it is entered.

    `trim` says how much of the intake stays once it is archived; by default it is trimmed with a margin.
    """

    @asynccontextmanager
    async def running(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[Archiver]:
        archiver = Archiver(broker, config, trim or TrimPolicy())
        health = Health("ledger")
        health.add("journal", archiver.check)
        health.add("trimming", archiver.check_trimming)
        server = await serve_health(health, LedgerMetrics(archiver).metrics, config.health_port)
        await archiver.start()
        try:
            yield archiver
        finally:
            await archiver.stop()
            await server.stop()

    return running
