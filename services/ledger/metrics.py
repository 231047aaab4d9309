"""What the ledger counts, for Prometheus: read from the archiver whenever it is asked."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.bus.health import Metrics
from services.ledger.archiver import Archiver

_PREFIX: Final = "groupbuy_ledger"


class LedgerMetrics(Collector):
    """Lag, position, and what was archived."""

    def __init__(self, archiver: Archiver) -> None:
        self._archiver = archiver
        self.metrics = Metrics("ledger")
        self.metrics.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        archiver, archived, tip = self._archiver, self._archiver.archived, self._archiver.tip
        yield _gauge("lag_messages", "Messages of the journal that are not archived yet.", archiver.lag)
        yield _gauge("lag_seconds", "How long the first of them has been there.", archiver.lag_age_s)
        yield _gauge("alarm", "1 while nothing can be archived; /healthz says why.", int(archiver.alarm is not None))
        yield _gauge("record", "Last record archived.", tip.seq if tip is not None else 0)
        yield _gauge("archive_entries", "Entries in the archive.", tip.entries if tip is not None else 0)
        yield _gauge("intake_trimmed_to", "Last intake message that was trimmed.", archiver.trimmer.trimmed_to)
        cosigning = archiver.cosigning
        yield _gauge("cosigned_leaves", "Leaves of the last tree that a witness cosigned.", cosigning.cosigned_size)
        yield _gauge("witness_disagrees", "1 while a witness has seen another log than this.", int(cosigning.disagrees))
        yield _count("records", "Records archived.", archived.records)
        yield _count("entries", "Entries archived.", archived.entries)
        yield _count("record_bytes", "Bytes of the records archived.", archived.size_bytes)
        yield _count("batches", "Transactions with records.", archived.batches)
        yield _count("archive_seconds", "Time spent archiving.", archived.seconds)


def _gauge(name: str, sentence: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", sentence, value=value)


def _count(name: str, sentence: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", sentence, value=value)
