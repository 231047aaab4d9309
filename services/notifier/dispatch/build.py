"""The one place that makes a dispatcher of a configuration."""

from events.times import parse_time_ns
from services.bus.config import ConfigError, ServiceConfig
from services.bus.connect import ServiceBroker
from services.notifier.channels.email import EmailCourier
from services.notifier.channels.member_subject import MemberSubjectCourier
from services.notifier.channels.nats import NatsChannel
from services.notifier.channels.webhook import GIVE_UP_AFTER_S, webhook_courier
from services.notifier.channels.wechat import WechatCourier
from services.notifier.dispatch.clock import SystemClock
from services.notifier.dispatch.condition import Pace
from services.notifier.dispatch.dispatcher import Dispatcher, DispatchRules, Line
from services.notifier.dispatch.routing import Route
from services.notifier.dispatch.store import Store
from services.notifier.policy.judge import MarketRules
from services.notifier.policy.purposes import Purpose
from services.notifier.settings import Settings
from services.notifier.texts.texts import BadTemplate, Texts
from services.notifier.zones import zone_of


def build_dispatcher(
    broker: ServiceBroker, config: ServiceConfig, settings: Settings, store: Store, results: NatsChannel
) -> Dispatcher:
    """Return the dispatcher of a market, beside the channel of its results.

    Raises ConfigError, also for templates that cannot be used.
    """
    lines = build_lines(settings, config.market, broker)
    return Dispatcher(
        broker,
        config.market,
        config.user,
        store,
        lines,
        _rules(settings),
        zone_of,
        SystemClock(),
        results=results,
    )


def check_settings(settings: Settings) -> list[str]:
    """Return the names of the channels of a configuration, everything in it checked. Raises ConfigError."""
    return [line.courier.name for line in _lines(settings, "main", _texts(settings))]


def build_lines(settings: Settings, market: str, broker: ServiceBroker) -> list[Line]:
    """Return every channel that a configuration names, texts and secrets checked. Raises ConfigError."""
    texts = _texts(settings)
    return [
        *_lines(settings, market, texts),
        *(_own_subject(broker, market, texts, kind) for kind in ("nats", "sse")),
    ]


def _texts(settings: Settings) -> Texts:
    try:
        return Texts(settings.market.templates, settings.market.language)
    except BadTemplate as error:
        raise ConfigError(str(error)) from None


def _lines(settings: Settings, market: str, texts: Texts) -> list[Line]:
    try:
        lines = [_webhook(settings, index) for index in range(len(settings.webhooks))]
        if settings.email is not None:
            lines.append(_email(settings, texts, market))
        if settings.wechat is not None:
            lines.append(_wechat(settings, texts))
    except BadTemplate as error:
        raise ConfigError(str(error)) from None
    return lines


def _webhook(settings: Settings, index: int) -> Line:
    found = settings.webhooks[index]
    courier = webhook_courier(found, settings)
    route = Route(channel=courier.name, purposes=frozenset(found.purposes), publishers=frozenset(found.publishers))
    return Line(courier, route, Pace(per_s=found.per_s, give_up_after_s=GIVE_UP_AFTER_S))


def _email(settings: Settings, texts: Texts, market: str) -> Line:
    found = settings.email
    assert found is not None, "the caller has looked"
    password = settings.secret(found.password_file) if found.password_file is not None else None
    alerts = {Purpose.OPERATOR_ALERT} if settings.operator.email is not None else set()
    route = Route(
        channel="email",
        purposes=frozenset({*found.purposes, *alerts}),
        address_kind="email",
        digest_window_s=settings.market.digest_window_s,
    )
    return Line(EmailCourier(found, password, texts, market), route, Pace(per_s=found.per_s))


def _wechat(settings: Settings, texts: Texts) -> Line:
    found = settings.wechat
    assert found is not None, "the caller has looked"
    secret = settings.secret(found.secret_file)
    courier = WechatCourier(found, secret, texts, allow_private=found.allow_private)
    route = Route(
        channel="wechat",
        purposes=frozenset({Purpose.RESULT, Purpose.INVITATION, Purpose.REMINDER}),
        kinds=frozenset(found.templates),
        address_kind="wechat",
    )
    return Line(courier, route, Pace(per_s=found.per_s))


def _own_subject(broker: ServiceBroker, market: str, texts: Texts, kind: str) -> Line:
    """Return the member's own subject as a channel: its results are there already, the rest is sent by request."""
    courier = MemberSubjectCourier(broker, market, texts, kind)
    purposes = {Purpose.INVITATION} if kind == "sse" else {Purpose.INVITATION, Purpose.REMINDER}
    return Line(courier, Route(channel=kind, purposes=frozenset(purposes)))


def _rules(settings: Settings) -> DispatchRules:
    market = settings.market
    return DispatchRules(
        market=MarketRules(zone=market.timezone, quiet=market.quiet, urgent=frozenset(market.urgent)),
        useful_for_s=dict(market.useful_for_s),
        since_ns=None if market.since is None else parse_time_ns(market.since),
        operator_address=settings.operator.email,
    )
