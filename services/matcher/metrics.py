"""What the matcher counts, for Prometheus."""

from typing import Final

from events.compiled import way
from events.decision import Decision
from services.bus.health import Metrics

_COMMIT_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
_BATCH_BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 20_000.0)


class MatcherMetrics:
    """Events, outcomes by kind, batch size, commit latency, lag, open groups."""

    def __init__(self) -> None:
        """Register everything under groupbuy_matcher_."""
        self.metrics = Metrics("matcher")
        self._entries = self.metrics.counter("entries", "Entries committed to the journal.")
        self._outcomes = self.metrics.counter("outcomes", "Decided inputs, by the kind of their outcome.", ("kind",))
        self._records = self.metrics.counter("records", "Records committed to the journal.")
        self._bytes = self.metrics.counter("record_bytes", "Bytes of records committed to the journal.")
        self._batch = self.metrics.histogram("batch_entries", "Entries in one record.", _BATCH_BUCKETS)
        self._commit = self.metrics.histogram(
            "commit_seconds", "Time from sending a record to its acknowledgement.", _COMMIT_BUCKETS_S
        )
        self.lag = self.metrics.gauge("intake_lag_messages", "Intake messages known and not yet covered by a record.")
        self.lag_age = self.metrics.gauge(
            "intake_lag_seconds", "How long the first undecided message has been waiting."
        )
        self.leads = self.metrics.gauge("leads", "1 while this matcher decides, 0 while it stands by or recovers.")
        self.rehearsed = self.metrics.gauge(
            "rehearsed_entries", "Entries of other matchers that were decided here again with the same result."
        )
        self.metrics.gauge("rules_compiled", "1 while the rules run compiled, 0 interpreted.").set(way() == "compiled")
        self.open_groups = self.metrics.gauge("open_groups", "Groups that are open now.")
        self._counted: dict[str, int] = {}

    def committed(self, entries: int, size_bytes: int, took_s: float) -> None:
        """Count one record."""
        self._entries.inc(entries)
        self._records.inc()
        self._bytes.inc(size_bytes)
        self._batch.observe(entries)
        self._commit.observe(took_s)

    def tallied(self, tally: dict[type[Decision], int]) -> None:
        """Count the outcomes of an engine since it started."""
        for decision, count in tally.items():
            kind = str(decision.__struct_config__.tag)
            more = count - self._counted.get(kind, 0)
            # A state read anew starts its tally from nothing.
            self._outcomes.labels(kind).inc(more if more >= 0 else count)
            self._counted[kind] = count
