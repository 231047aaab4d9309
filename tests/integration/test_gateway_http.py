"""The gateway over HTTP: answers, health, figures, and its process."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from deploy.broker import EmbeddedBroker
from events.limits import BATCH_MAX_BYTES, EVENT_MAX_BYTES
from services.bus.health import Health, Metrics, Status, serve_health
from services.bus.http import HttpServer
from services.matcher.gateway import app as app_module
from tests.gateway_setting import (
    EVENTS_PATH,
    Setting,
    ask,
    encode,
    open_market,
    order,
    until,
)
from tests.journal_writer import MARKET


@pytest.fixture
async def market(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    async with open_market(fresh_broker, tmp_path / "data") as made:
        yield made


# HTTP


async def test_an_event_over_http_is_answered_with_its_outcome(market: Setting) -> None:
    await market.start_gateway()
    for content_type, body in [
        ("application/cloudevents+json", encode(order(1))),
        ("application/cloudevents-batch+json; charset=utf-8", encode([order(2)])),
        ("application/json", encode(order(3))),
        ("Application/JSON", encode([order(4)])),
    ]:
        answer = await market.post(body, content_type=content_type)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert [outcome["kind"] for outcome in answer.json["outcomes"]] == ["member.noted"]
    assert all(b'"publisher":"shop-a"' in body for body in market.stored)


async def test_http_refuses_with_a_status_and_a_sentence(market: Setting) -> None:
    await market.start_gateway()
    body = encode(order(1))
    for answer, status, code in [
        (await market.post(body, token=None), 401, "unauthorized"),
        (await market.post(body, token="wrong"), 401, "unauthorized"),
        (await market.post(body, token=None, authorization="Basic c2hvcA=="), 401, "unauthorized"),
        (await market.post(body, path="/markets/other/events"), 404, "not_found"),
        (await market.post(body, path="/nothing"), 404, "not_found"),
        (await market.call("GET", EVENTS_PATH), 404, "not_found"),
        (await market.post(body, content_type="text/plain"), 415, "unsupported_media_type"),
        (await market.post(body, content_encoding="gzip"), 415, "unsupported_media_type"),
        (await market.post(encode([order(1)]), content_type="application/cloudevents+json"), 400, "bad_request"),
        (await market.post(body, content_type="application/cloudevents-batch+json"), 400, "bad_request"),
        (await market.post(b"x" * (EVENT_MAX_BYTES + 1)), 413, "event_too_large"),
        (await market.post(b"[" + b" " * BATCH_MAX_BYTES), 413, "batch_too_large"),
    ]:
        assert (answer.status, answer.code) == (status, code)
        assert len(answer.json["error"]["message"]) > 20
    assert market.stored == []


async def test_bad_input_over_http_gets_its_outcome(market: Setting) -> None:
    await market.start_gateway()
    answer = await market.post(b"nonsense")
    assert (answer.status, answer.json["outcomes"][0]["why"]) == (200, "not_json")


async def test_an_unauthorized_request_is_told_how_to_authenticate(market: Setting) -> None:
    await market.start_gateway()
    assert (await market.post(b"{}", token=None)).headers["www-authenticate"] == "Bearer"


async def test_the_front_page_tells_what_there_is(market: Setting) -> None:
    await market.start_gateway()
    answer = await market.call("GET", "/")
    assert answer.status == 200
    assert f"POST /markets/{MARKET}/events" in answer.body.decode()


# Health and figures


@asynccontextmanager
async def peer(name: str, status: Status, sentence: str) -> AsyncIterator[HttpServer]:
    """Another service that tells how it is."""
    health, metrics = Health(name), Metrics(name)
    health.set("work", status, sentence)
    metrics.gauge("open_groups", "Groups.").set(7)
    server = await serve_health(health, metrics, 0)
    yield server
    await server.stop()


async def test_health_is_the_sum_of_all_services(market: Setting) -> None:
    async with peer("matcher", Status.OK, "up to date") as well, peer("ledger", Status.UNHEALTHY, "disk full") as ill:
        market.peers["matcher"] = f"http://127.0.0.1:{well.port}"
        await market.start_gateway()
        good = await market.call("GET", "/healthz")
        assert (good.status, good.json["status"]) == (200, "ok")
        assert good.json["checks"]["matcher.work"] == {"status": "ok", "sentence": "up to date"}
        market.peers["ledger"] = f"http://127.0.0.1:{ill.port}/healthz"
        await market.start_gateway()
        bad = await market.call("GET", "/healthz")
        assert (bad.status, bad.json["status"]) == (503, "unhealthy")
        assert bad.json["checks"]["ledger.work"]["sentence"] == "disk full"
        figures = (await market.call("GET", "/metrics")).body.decode()
        assert "groupbuy_gateway_events_waiting 0.0" in figures
        assert "groupbuy_matcher_open_groups 7.0" in figures
        assert "groupbuy_ledger_open_groups 7.0" in figures


async def test_a_service_that_does_not_answer_is_named(market: Setting) -> None:
    async with peer("matcher", Status.OK, "up to date") as gone:
        market.peers["matcher"] = f"http://127.0.0.1:{gone.port}"
    await market.start_gateway()
    answer = await market.call("GET", "/healthz")
    assert answer.status == 503
    assert "matcher does not tell how it is" in answer.json["checks"]["matcher.answer"]["sentence"]
    assert (await market.call("GET", "/metrics")).status == 200


async def test_events_that_nobody_decides_make_it_unhealthy_and_idleness_does_not(
    market: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "UNDECIDED_S", 0.2)
    made = await market.start_gateway()
    await ask(market, encode(order(1)))
    await asyncio.sleep(0.3)
    assert made.health.report().status is Status.OK
    market.matcher.deciding.clear()
    waiting = asyncio.create_task(ask(market, encode(order(2))))
    await until(lambda: made.health.report().status is Status.UNHEALTHY, "the delay is told")
    assert "not decided yet" in made.health.report().checks["decisions"].sentence
    market.matcher.deciding.set()
    await waiting
    assert made.health.report().status is Status.OK


async def gateway_process(config_file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.matcher.gateway",
        str(config_file),
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_process_serves_until_it_is_asked_to_end(market: Setting, tmp_path: Path) -> None:
    config_file = tmp_path / "gateway.json"
    config_file.write_bytes(msgspec.json.encode(market.config(), enc_hook=str))
    process = await gateway_process(config_file)
    try:
        client = await market.client()
        (outcome,) = await client.submit(order(1))
        assert outcome["kind"] == "member.noted"
    finally:
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_an_unusable_configuration_ends_the_process_with_a_sentence(market: Setting, tmp_path: Path) -> None:
    config = market.config()
    config.tokens_file = tmp_path / "absent.json"
    config_file = tmp_path / "gateway.json"
    config_file.write_bytes(msgspec.json.encode(config, enc_hook=str))
    process = await gateway_process(config_file)
    _, stderr = await process.communicate()
    assert process.returncode == 2
    assert "cannot read the tokens" in stderr.decode().splitlines()[-1]
    assert "Traceback" not in stderr.decode()
