"""Health and metrics of a service: named checks with a sentence each, served as JSON and for Prometheus."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.bus.http import HttpServer

CHECKS_MAX: Final = 32
_encode: Final = msgspec.json.Encoder().encode


class Status(StrEnum):
    """How a part of a service is doing; `degraded` still does its work."""

    OK = "ok"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Check(msgspec.Struct, frozen=True):
    """What a check found: the status and one sentence for the operator."""

    status: Status
    sentence: str


class HealthReport(msgspec.Struct):
    """The body of /healthz: the worst status, and every check."""

    service: str
    status: Status
    checks: dict[str, Check]

    @property
    def http_status(self) -> int:
        """200 while the service does its work, 503 otherwise."""
        return 503 if self.status is Status.UNHEALTHY else 200


_SEVERITY: Final = (Status.OK, Status.DEGRADED, Status.UNHEALTHY)


class Health:
    """The named checks of one service; each is asked anew for every report."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._checks: dict[str, Callable[[], Check]] = {}

    def add(self, name: str, check: Callable[[], Check]) -> None:
        """Add a check that is asked at every report; the same name again replaces it."""
        assert name in self._checks or len(self._checks) < CHECKS_MAX, "checks are few and named"
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Ask a check no more."""
        self._checks.pop(name, None)

    def set(self, name: str, status: Status, sentence: str) -> None:
        """Set what a check says from now on, for parts that report changes themselves."""
        found = Check(status, sentence)
        self.add(name, lambda: found)

    def report(self) -> HealthReport:
        """Return the findings of all checks and the worst of their statuses."""
        checks = {name: check() for name, check in self._checks.items()}
        return HealthReport(self.service, worst(check.status for check in checks.values()), checks)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of `statuses`, `ok` when there are none."""
    return max(statuses, key=_SEVERITY.index, default=Status.OK)


class Metrics:
    """A registry of the service's own; every name begins with `groupbuy_<service>_`."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = f"groupbuy_{service.replace('-', '_')}"
        ProcessCollector(namespace=self._prefix, registry=self.registry)

    def counter(self, name: str, sentence: str, labels: tuple[str, ...] = ()) -> Counter:
        """Return a new counter; `_total` is appended to its name."""
        return Counter(name, sentence, labels, namespace=self._prefix, registry=self.registry)

    def gauge(self, name: str, sentence: str, labels: tuple[str, ...] = ()) -> Gauge:
        """Return a new gauge."""
        return Gauge(name, sentence, labels, namespace=self._prefix, registry=self.registry)

    def histogram(self, name: str, sentence: str, buckets: tuple[float, ...]) -> Histogram:
        """Return a new histogram with the given upper bounds."""
        return Histogram(name, sentence, namespace=self._prefix, registry=self.registry, buckets=buckets)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


async def serve_health(
    health: Health, metrics: Metrics, port: int, host: str = "127.0.0.1", routes: Sequence[Route] = ()
) -> HttpServer:
    """Serve /healthz, /metrics and `routes` on `port` (0 takes a free one) and return the running server.

    The caller stops it with `await server.stop()`. Raises HttpError when the port cannot be had.
    """

    async def healthz(_: Request) -> Response:
        report = health.report()
        return Response(_encode(report), report.http_status, media_type="application/json")

    async def rendered(_: Request) -> Response:
        return Response(metrics.render(), media_type=METRICS_CONTENT_TYPE)

    served = [Route("/healthz", healthz), Route("/metrics", rendered), *routes]
    server = HttpServer(Starlette(routes=served), host, port)
    await server.start()
    return server
