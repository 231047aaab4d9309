"""The notifier's process: one place that wires broker, health, metrics, and the two pipelines."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Health, serve_health
from services.bus.timezones import names
from services.notifier.dispatch.build import build_dispatcher
from services.notifier.dispatch.dispatcher import Dispatcher
from services.notifier.dispatch.store import Store
from services.notifier.http import MemberDoor
from services.notifier.metrics import NotifierMetrics
from services.notifier.notifier import Notifier
from services.notifier.settings import HttpSettings, Settings, load_settings
from services.notifier.streams import ResultStreams
from services.notifier.tokens import ensure_token_key


def build(
    sent_through: int | None = None,
) -> Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Notifier]]:
    """Return what runs the notifier of a configuration's market while it is entered.

    `sent_through` is the record through which everything counts as sent, for streams that lost their position. Where
    there is no configuration of other channels, nothing of the second pipeline is even made.
    """

    @asynccontextmanager
    async def running(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[Notifier]:
        settings = load_settings(config.data_dir, names())
        notifier = Notifier(broker, config.market, config.user, sent_through, config.standby_s)
        health = Health("notifier")
        health.add("notifier", notifier.check)
        async with AsyncExitStack() as parts:
            dispatcher = None
            if settings is not None:
                dispatcher = await _dispatching(config, broker, settings, health, parts)
            metrics = NotifierMetrics(notifier, dispatcher).metrics
            server = await serve_health(health, metrics, config.health_port)
            parts.push_async_callback(server.stop)
            await notifier.start()
            parts.push_async_callback(notifier.stop)
            yield notifier

    return running


async def _dispatching(
    config: ServiceConfig, broker: ServiceBroker, settings: Settings, health: Health, parts: AsyncExitStack
) -> Dispatcher:
    """Start the second pipeline, to be ended with `parts`."""
    # It writes a line for each request, with the address: which for WeChat holds the access token.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    store = Store(config.data_dir, config.market)
    parts.push_async_callback(store.close)
    dispatcher = build_dispatcher(broker, config, settings, store)
    if settings.http is not None:
        await _serve_members(config, broker, settings.http, store, parts)
    health.add("dispatcher", dispatcher.check)
    health.add("channels", dispatcher.check_channels)
    parts.push_async_callback(dispatcher.stop)
    await dispatcher.start()
    return dispatcher


async def _serve_members(
    config: ServiceConfig, broker: ServiceBroker, settings: HttpSettings, store: Store, parts: AsyncExitStack
) -> None:
    streams = ResultStreams(broker, config.market, config.user)
    streams.start()
    parts.push_async_callback(streams.stop)
    server = MemberDoor(config.market, ensure_token_key(config.data_dir), streams, store, settings).server()
    await server.start()
    parts.push_async_callback(server.stop)
