"""The notifier's process: one place that wires broker, health, metrics and the notifier."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Health, serve_health
from services.notifier.metrics import NotifierMetrics
from services.notifier.notifier import Notifier


def build(
    sent_through: int | None = None,
) -> Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Notifier]]:
    """Return what runs the notifier of a configuration's market while it is entered.

    `sent_through` is the record through which everything counts as sent, for streams that lost their position.
    """

    @asynccontextmanager
    async def running(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[Notifier]:
        notifier = Notifier(broker, config.market, config.user, sent_through)
        health = Health("notifier")
        health.add("notifier", notifier.check)
        server = await serve_health(health, NotifierMetrics(notifier).metrics, config.health_port)
        await notifier.start()
        try:
            yield notifier
        finally:
            await notifier.stop()
            await server.stop()

    return running
