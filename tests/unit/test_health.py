import asyncio
import http.client
import json
import socket

import pytest

from services.bus.health import Check, Health, Metrics, Status, serve_health, worst
from services.bus.http import HttpError


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_worst_finding_is_the_whole() -> None:
    assert worst([]) is Status.OK
    assert worst([Status.OK, Status.UNHEALTHY, Status.DEGRADED]) is Status.UNHEALTHY


def test_checks_are_asked_anew_for_each_report() -> None:
    health, lag = Health("ledger"), [0]
    health.add("journal", lambda: Check(Status.OK if lag[0] == 0 else Status.UNHEALTHY, f"{lag[0]} behind"))
    assert health.report().http_status == 200
    lag[0] = 7
    assert health.report().http_status == 503
    assert health.report().checks["journal"].sentence == "7 behind"


def test_degraded_still_works() -> None:
    health = Health("ledger")
    health.set("disk", Status.DEGRADED, "nearly full")
    assert health.report().http_status == 200
    health.set("disk", Status.UNHEALTHY, "full")
    assert health.report().status is Status.UNHEALTHY


async def test_health_and_figures_are_served() -> None:
    health, metrics = Health("ledger"), Metrics("ledger")
    health.set("work", Status.OK, "fine")
    metrics.counter("records", "Records.").inc(3)
    server = await serve_health(health, metrics, 0)
    try:
        status, body = await asyncio.to_thread(get, server.port, "/healthz")
        assert (status, json.loads(body)) == (
            200,
            {"service": "ledger", "status": "ok", "checks": {"work": {"status": "ok", "sentence": "fine"}}},
        )
        health.set("work", Status.UNHEALTHY, "broken")
        assert (await asyncio.to_thread(get, server.port, "/healthz"))[0] == 503
        _, figures = await asyncio.to_thread(get, server.port, "/metrics")
        assert b"groupbuy_ledger_records_total 3.0" in figures
        assert (await asyncio.to_thread(get, server.port, "/else"))[0] == 404
    finally:
        await server.stop()


async def test_a_taken_port_is_told_with_what_to_do() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(HttpError, match="stop what uses the port or choose another"):
            await serve_health(Health("x"), Metrics("x"), holder.getsockname()[1])
