"""The witness as a process: `add-checkpoint` over HTTP, what it cosigned last, health and metrics."""

import asyncio
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from events.counted import counted
from services.bus.health import Check, Health, Metrics, Status, serve_health
from services.ledger.faults import LedgerError
from services.ledger.witness.request import BODY_MAX_BYTES
from services.ledger.witness.witness import TEXT_TYPE, Answer, Witness

_PREFIX: Final = "groupbuy_witness"


async def run_witness(witness: Witness, host: str, port: int) -> None:
    """Serve until a signal ends it. Raises HttpError when the port cannot be had."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    health = Health("witness")
    health.add("logs", lambda: check_logs(witness))
    server = await serve_health(
        health, WitnessMetrics(witness).metrics, port, host=host, routes=witness_routes(witness)
    )
    sys.stdout.write(f"witness {witness.key.verifier.text()}\nlistening on http://{host}:{server.port}\n")
    sys.stdout.flush()
    try:
        await ended.wait()
    finally:
        await server.stop()


def witness_routes(witness: Witness) -> Sequence[Route]:
    """Return the routes of a witness: what logs ask, and what anybody may ask of its memory."""
    one_at_a_time = asyncio.Lock()

    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MAX_BYTES:
                return _response(Answer(400, f"the body has more than {BODY_MAX_BYTES} bytes\n"))
        # Comparing with what was cosigned and keeping what is: nothing may come between the two.
        async with one_at_a_time:
            try:
                return _response(await asyncio.to_thread(witness.add_checkpoint, body))
            except LedgerError as error:
                return _response(Answer(500, f"{error}\n"))

    async def last_checkpoint(request: Request) -> Response:
        note = witness.memory.checkpoint(request.query_params.get("origin", ""))
        if note is None:
            return _response(Answer(404, "nothing of such a log was cosigned here; expected ?origin=ORIGIN\n"))
        return Response(note, media_type=TEXT_TYPE, headers={"Cache-Control": "no-cache"})

    return [
        Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
        Route("/checkpoint", last_checkpoint, methods=["GET"]),
    ]


def _witnessed(logs: int) -> str:
    return counted(
        logs, "log is witnessed; nothing speaks against it", "logs are witnessed; nothing speaks against them"
    )


def check_logs(witness: Witness) -> Check:
    """Return whether something speaks against a log, for Health; the witness itself goes on."""
    alarms = witness.alarms()
    if alarms:
        return Check(Status.DEGRADED, "; ".join(alarm.sentence for alarm in alarms))
    return Check(Status.OK, _witnessed(len(witness.logs)))


class WitnessMetrics(Collector):
    """How many checkpoints were cosigned and refused, how long each log was, and what speaks against it."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.metrics = Metrics("witness")
        self.metrics.registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        witness = self._witness
        yield CounterMetricFamily(
            f"{_PREFIX}_cosigned", "Checkpoints that were cosigned.", value=witness.tally.cosigned
        )
        yield CounterMetricFamily(f"{_PREFIX}_refused", "Requests that were refused.", value=witness.tally.refused)
        sizes = GaugeMetricFamily(f"{_PREFIX}_log_leaves", "Leaves of the last tree cosigned.", labels=["origin"])
        alarms = GaugeMetricFamily(
            f"{_PREFIX}_alarm",
            "2 when a log is proven to have forked, 1 when it is suspected, else 0.",
            labels=["origin"],
        )
        for origin, log in witness.logs.items():
            last = witness.last(log)
            alarm = witness.memory.alarm(origin)
            sizes.add_metric([origin], last.size if last is not None else 0)
            alarms.add_metric([origin], 0 if alarm is None else 1 + alarm.proven)
        yield from (sizes, alarms)


def _response(answer: Answer) -> Response:
    # Given as a header: to a media type of text the library adds a charset, and `text/x.tlog.size` is compared whole.
    return Response(answer.text, answer.status, headers={"Content-Type": answer.content_type})
