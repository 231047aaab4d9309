"""The gateway's own figures for Prometheus."""

from typing import Final

from services.bus.health import Metrics

BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LATENCY_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.5, 1, 5, 10)


class Figures:
    """Counters and histograms, updated once a message rather than once an event."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.events = metrics.counter("events_published", "Events published to the intake.")
        self.batch = metrics.histogram("batch_size", "Events in an intake message.", BATCH_BUCKETS)
        self.ack = metrics.histogram(
            "publish_seconds", "From publishing an intake message to its acknowledgement.", LATENCY_BUCKETS_S
        )
        self.errors = metrics.counter("errors", "Requests answered with an error, by code.", ("code",))
        self.expired = metrics.counter("expired", "Requests whose outcomes did not come in time.")
        self.ignored = metrics.counter("ignored", "Requests without an inbox of their own publisher.")

    def note_publish(self, events: int, took_s: float) -> None:
        """Count an intake message of `events` events whose acknowledgement took `took_s`."""
        self.events.inc(events)
        self.batch.observe(events)
        self.ack.observe(took_s)
