"""The notifier's process: one place that wires broker, health, metrics, and the two pipelines."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from events import subjects
from services.bus.config import ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Health, serve_health
from services.bus.timezones import names
from services.notifier.channels.nats import NatsChannel
from services.notifier.channels.told import ToldFacts
from services.notifier.dispatch.build import build_dispatcher
from services.notifier.dispatch.clock import SystemClock
from services.notifier.dispatch.dispatcher import Dispatcher
from services.notifier.dispatch.store import Store
from services.notifier.http import MemberDoor
from services.notifier.journal_lookup import JournalLookup
from services.notifier.metrics import NotifierMetrics
from services.notifier.notifier import Notifier
from services.notifier.settings import HttpSettings, Settings, load_settings
from services.notifier.stream_facts import StreamFacts
from services.notifier.streams import ResultStreams
from services.notifier.tokens import ensure_token_key


def build(
    sent_through: int | None = None,
) -> Callable[[ServiceConfig, ServiceBroker], AbstractAsyncContextManager[Notifier]]:
    """Return what runs the notifier of a configuration's market while it is entered.

    `sent_through` is the record through which everything counts as sent, for streams that lost their position.
    """

    @asynccontextmanager
    async def running(config: ServiceConfig, broker: ServiceBroker) -> AsyncIterator[Notifier]:
        settings = load_settings(config.data_dir, names())
        health = Health("notifier")
        async with AsyncExitStack() as parts:
            dispatcher = None
            if config.dispatches:
                store = Store(config.data_dir, config.market)
                parts.push_async_callback(store.close)
                notifier = notifier_with_facts(config, broker, store, sent_through)
                dispatcher = await _dispatching(config, broker, settings, store, notifier, health, parts)
            else:
                notifier = Notifier(broker, config.market, config.user, sent_through, standby_s=config.standby_s)
            health.add("notifier", notifier.check)
            metrics = NotifierMetrics(notifier, dispatcher).metrics
            server = await serve_health(health, metrics, config.health_port)
            parts.push_async_callback(server.stop)
            await notifier.start()
            parts.push_async_callback(notifier.stop)
            yield notifier

    return running


def notifier_with_facts(
    config: ServiceConfig, broker: ServiceBroker, store: Store, sent_through: int | None = None
) -> Notifier:
    """Return the first pipeline of a market, whose results leave facts in the outbox of the second."""
    notices = subjects.notices_stream(config.market)

    def facts_of(results: NatsChannel, journal: JournalLookup) -> ToldFacts:
        return ToldFacts(notices, results, journal, store, SystemClock())

    return Notifier(broker, config.market, config.user, sent_through, facts_of, config.standby_s)


async def _dispatching(
    config: ServiceConfig,
    broker: ServiceBroker,
    settings: Settings,
    store: Store,
    notifier: Notifier,
    health: Health,
    parts: AsyncExitStack,
) -> Dispatcher:
    """Start the second pipeline, to be ended with `parts`."""
    # It writes a line for each request, with the address: which for WeChat holds the access token.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    dispatcher = build_dispatcher(broker, config, settings, store, notifier.results)
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
    facts = StreamFacts(store, SystemClock())
    facts.start()
    parts.push_async_callback(facts.stop)
    server = MemberDoor(config.market, ensure_token_key(config.data_dir), streams, store, settings, facts).server()
    await server.start()
    parts.push_async_callback(server.stop)
    parts.push_async_callback(streams.let_go)
