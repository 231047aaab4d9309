"""The other services of the market as the gateway sees them: their health summed up, their figures side by side."""

import asyncio
import http.client
import urllib.parse
from collections.abc import Mapping
from typing import Final

import msgspec

from events.undecodable import UNDECODABLE
from services.bus.health import Check, HealthReport, Status, worst

PEER_TIMEOUT_S: Final = 1.0
ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
_OK: Final = 200
_HEALTH_PATH: Final = "/healthz"


class PeerError(Exception):
    """A service did not answer in a form that is understood."""


class Peers:
    """The services whose base URLs (with or without /healthz) are given by name; asked when somebody asks."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = {name: url.rstrip("/").removesuffix(_HEALTH_PATH) for name, url in urls.items()}

    async def sum_up(self, own: HealthReport) -> HealthReport:
        """Return one report of everything: every check of every service, and the worst of their statuses."""
        reports = await asyncio.gather(*(self._health(name, url) for name, url in self._urls.items()))
        checks = {f"{own.service}.{name}": check for name, check in own.checks.items()}
        for report in reports:
            checks |= {f"{report.service}.{name}": check for name, check in report.checks.items()}
        statuses = [own.status, *(report.status for report in reports)]
        return HealthReport("stack", worst(statuses), checks)

    async def all_metrics(self, own: bytes) -> bytes:
        """Return the figures of this service and of every other that answers, in Prometheus' text format."""
        found = await asyncio.gather(*(self._metrics(name, url) for name, url in self._urls.items()))
        return own + b"".join(found)

    async def _health(self, name: str, url: str) -> HealthReport:
        try:
            _, body = await asyncio.to_thread(_get, f"{url}{_HEALTH_PATH}")
            report = msgspec.json.decode(body, type=HealthReport)
        except (PeerError, *UNDECODABLE) as error:
            check = Check(Status.UNHEALTHY, f"{name} does not tell how it is: {error}")
            return HealthReport(name, Status.UNHEALTHY, {"answer": check})
        report.service = name
        return report

    async def _metrics(self, name: str, url: str) -> bytes:
        try:
            status, body = await asyncio.to_thread(_get, f"{url}/metrics")
        except PeerError as error:
            return f"# {name} does not tell its figures: {error}\n".encode()
        return body if status == _OK else f"# {name} answered {status} instead of figures\n".encode()


def _get(url: str) -> tuple[int, bytes]:
    """Return status and body of a service's answer. Raises PeerError when there is none."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PEER_TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_MAX_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise PeerError(str(error) or type(error).__name__) from None
    finally:
        connection.close()
