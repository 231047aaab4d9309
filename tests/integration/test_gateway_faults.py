"""The gateway under pressure and in trouble: full, late, restarted, cut off."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest

from deploy.broker import EmbeddedBroker
from deploy.permissions import PROVISIONER
from events import subjects
from services.matcher.gateway import gather as gather_module
from tests.gateway_setting import (
    Setting,
    ask,
    encode,
    open_market,
    order,
    restart_matcher,
    until,
)
from tests.journal_writer import MARKET, record_of, ticked


@pytest.fixture
async def market(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    async with open_market(fresh_broker, tmp_path / "data") as made:
        yield made


# Pressure and trouble


async def test_a_full_gateway_says_busy_and_takes_more_when_there_is_room(
    market: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather_module, "EVENTS_WAITING_MAX", 5)
    made = await market.start_gateway()
    market.matcher.deciding.clear()
    waiting = [asyncio.create_task(ask(market, encode(order(number)))) for number in range(5)]
    await until(lambda: made.gatherer.events_waiting == 5, "five events wait")
    refused = await ask(market, encode(order(6)))
    assert (refused["error"]["code"], refused["error"]["retry_after_s"]) == ("busy", 1)
    over_http = await market.post(encode(order(6)))
    assert (over_http.status, over_http.headers["retry-after"], over_http.code) == (429, "1", "busy")
    market.matcher.deciding.set()
    assert all("outcomes" in answer for answer in await asyncio.gather(*waiting))
    assert "outcomes" in await ask(market, encode(order(6)))
    assert made.gatherer.events_waiting == made.gatherer.bytes_waiting == 0


async def test_a_full_intake_is_busy(market: Setting) -> None:
    await market.start_gateway()
    await ask(market, encode(order(1)))
    operator = await nats.connect(market.broker.url, **market.broker.connect_options(PROVISIONER))
    js = operator.jetstream()
    config = (await js.stream_info(subjects.intake_stream(MARKET))).config
    config.max_msgs = 1
    await js.update_stream(config)
    answer = await ask(market, encode(order(2)))
    assert answer["error"]["code"] == "busy"
    assert "intake is full" in answer["error"]["message"]
    config.max_msgs = -1
    await js.update_stream(config)
    await operator.close()
    assert "outcomes" in await ask(market, encode(order(2)))


async def test_an_outcome_that_does_not_come_is_pending_and_a_retry_gets_the_original(market: Setting) -> None:
    made = await market.start_gateway(outcome_timeout_s=0.3)
    market.matcher.deciding.clear()
    pending = await ask(market, encode(order(1)))
    assert (pending["error"]["code"], pending["error"]["intake"]) == ("pending", 1)
    assert "with the same ids" in pending["error"]["message"]
    over_http = await market.post(encode(order(2)))
    assert (over_http.status, over_http.code) == (504, "pending")
    assert made.gatherer.events_waiting == 0
    market.matcher.deciding.set()
    await until(lambda: len(market.matcher.writer.written) >= 1, "the matcher decides")
    (outcome,) = (await ask(market, encode(order(1))))["outcomes"]
    assert (outcome["kind"], outcome["of"]) == ("duplicate", "1.0.0")


async def test_the_client_tries_again_with_the_same_id_until_the_outcome_is_there(market: Setting) -> None:
    await market.start_gateway(outcome_timeout_s=0.3)
    market.matcher.deciding.clear()
    client = await market.client()
    submitted = asyncio.create_task(client.submit(order(1)))
    await until(lambda: market.gateways[0].figures.expired._value.get() >= 1, "the first try expires")
    market.matcher.deciding.set()
    (outcome,) = await submitted
    assert (outcome["id"], outcome["kind"], outcome["of"]) == ("e-1", "duplicate", "1.0.0")


async def test_a_broker_that_restarts_loses_no_answer_and_decides_nothing_twice(market: Setting) -> None:
    await market.start_gateway()
    client = await market.client()

    async def submit(number: int) -> dict[str, Any]:
        (outcome,) = await client.submit(order(number))
        return outcome

    submitted = [asyncio.create_task(submit(number)) for number in range(100)]
    await until(lambda: market.matcher.writer.written, "some are decided")
    await market.matcher.stop()
    market.broker.kill()
    await market.broker.start()
    await until(lambda: market.matcher.writer.client.is_connected, "the matcher is back")
    await restart_matcher(market)
    submitted += [asyncio.create_task(submit(number)) for number in range(100, 120)]
    outcomes = await asyncio.gather(*submitted)
    originals = [outcome.get("of", outcome["entry"]) for outcome in outcomes]
    assert len(set(originals)) == 120
    assert [outcome["id"] for outcome in outcomes] == [f"e-{number}" for number in range(120)]


async def test_a_gateway_that_is_replaced_in_the_middle_leaves_no_request_without_outcome(market: Setting) -> None:
    client = await market.client()
    async with market.running_gateway():
        market.matcher.deciding.clear()
        submitted = asyncio.create_task(client.submit([order(1), order(2)]))
        await until(lambda: market.stored, "the events are in the intake")
        market.matcher.deciding.set()
    await market.start_gateway()
    outcomes = await submitted
    assert [outcome["id"] for outcome in outcomes] == ["e-1", "e-2"]


async def test_two_gateways_share_the_requests(market: Setting) -> None:
    first, second = await market.start_gateway(), await market.start_gateway()
    client = await market.client()
    answers = await asyncio.gather(*(client.submit(order(number)) for number in range(200)))
    assert len(answers) == 200
    counts = [made.figures.events._value.get() for made in (first, second)]
    assert sum(counts) == 200
    assert min(counts) > 0


async def test_a_broken_journal_closes_the_gateway_with_the_reason(market: Setting) -> None:
    made = await market.start_gateway()
    await market.matcher.stop()
    await market.matcher.writer.append_body(record_of([ticked(1)], prev="e" * 64))
    await until(made.gatherer.why_closed, "the gateway closes")
    answer = await ask(market, encode(order(1)))
    assert answer["error"]["code"] == "unavailable"
    assert "e" * 16 in answer["error"]["message"]
    assert (await market.post(encode(order(1)))).status == 503
    health = await market.call("GET", "/healthz")
    assert health.status == 503
    assert "e" * 16 in health.json["checks"]["gateway.journal"]["sentence"]


async def test_a_gateway_without_connection_publishes_nothing_later(market: Setting) -> None:
    await market.start_gateway()
    await market.broker.stop()
    await until(lambda: not market.gateways[0].gatherer._broker.client.is_connected, "the connection is gone")
    answer = await market.post(encode(order(1)))
    assert (answer.status, answer.code) == (503, "unavailable")
    await market.broker.start()
    await until(lambda: market.gateways[0].gatherer._broker.client.is_connected, "the connection is back")
    assert "outcomes" in await ask(market, encode(order(2)))
    assert [json.loads(body)["id"] for body in market.stored] == ["e-2"]
