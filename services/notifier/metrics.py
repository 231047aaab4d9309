"""What the notifier counts, for Prometheus: read from the notifier whenever it is asked, so counting costs nothing."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.bus.health import Metrics
from services.notifier.dispatch.dispatcher import Dispatcher
from services.notifier.notifier import Notifier

_PREFIX = "groupbuy_notifier"


class NotifierMetrics(Collector):
    """Lag, positions, and what was told through each channel."""

    def __init__(self, notifier: Notifier, dispatcher: Dispatcher | None = None) -> None:
        self._notifier = notifier
        self._dispatcher = dispatcher
        self.metrics = Metrics("notifier")
        self.metrics.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        notifier = self._notifier
        yield _gauge("lag_messages", "Messages of the journal that are not told yet.", notifier.lag)
        yield _gauge("lag_seconds", "How long the first of them has been there.", notifier.lag_age_s)
        yield _gauge("alarm", "1 while nothing can be sent; /healthz says why.", int(notifier.alarm is not None))
        yield _count("records", "Records told.", notifier.progress.records)
        yield _count("unaddressable", "Results and outcomes for names that are none.", notifier.progress.unaddressable)
        yield from self._of_channels()
        if self._dispatcher is not None:
            yield from _of_dispatcher(self._dispatcher)

    def _of_channels(self) -> Iterable[Metric]:
        position = GaugeMetricFamily(f"{_PREFIX}_record", "Last record told through a channel.", labels=["channel"])
        families = {
            name: CounterMetricFamily(f"{_PREFIX}_{name}", sentence, labels=["channel"])
            for name, sentence in (
                ("messages", "Messages stored."),
                ("told", "Results or outcomes in the messages stored."),
                ("publishes", "Batches and chains stored."),
                ("markers", "Messages that hold the position alone."),
                ("conflicts", "Times that the stream did not end where it was expected to."),
                ("strays", "Messages found at a stream's end that are not the notifier's."),
            )
        }
        for channel in (self._notifier.results, self._notifier.outcomes):
            position.add_metric([channel.name], channel.reached.position.seq)
            for name, family in families.items():
                family.add_metric([channel.name], getattr(channel.tally, name))
        yield position
        yield from families.values()


def _of_dispatcher(dispatcher: Dispatcher) -> Iterable[Metric]:
    yield _gauge("dispatch_lag_messages", "Messages of the journal that are not in the outbox yet.", dispatcher.lag)
    yield _count("notices", "Notices taken in from the journal.", dispatcher.taken_in)
    yield _count("facts", "Facts published.", dispatcher.publisher.published)
    for name, sentence in (
        ("taken", "Messages that the other side has taken."),
        ("retried", "Tries in vain that are repeated."),
        ("dead", "Messages that could not be sent."),
    ):
        family = CounterMetricFamily(f"{_PREFIX}_messages_{name}", sentence, labels=["channel"])
        for worker in dispatcher.workers:
            family.add_metric([worker.name], getattr(worker.tally, name))
        yield family
    pauses = CounterMetricFamily(
        f"{_PREFIX}_channel_pauses", "Times that a channel was down as a whole.", labels=["channel"]
    )
    for worker in dispatcher.workers:
        pauses.add_metric([worker.name], worker.condition.pauses)
    yield pauses


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", sentence, value=value)


def _count(name: str, sentence: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", sentence, value=value)
