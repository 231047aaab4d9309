"""The gateway against a real broker: request/reply, HTTP, and everything that goes wrong in between."""

import asyncio
import http.client
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from nats.aio.msg import Msg

from deploy.broker import EmbeddedBroker
from deploy.identity import load_identity
from deploy.permissions import PROVISIONER
from events import subjects
from events.limits import BATCH_MAX_BYTES, EVENT_MAX_BYTES
from services.bus import client as client_module
from services.bus.client import (
    GroupBuyClient,
    NotPublishedError,
    UnknownOutcomeError,
    new_event,
)
from services.bus.config import ServiceConfig
from services.bus.connect import connect_broker
from services.bus.health import Health, Metrics, Status, serve_health
from services.bus.http import HttpServer
from services.matcher.gateway import app as app_module
from services.matcher.gateway import gather as gather_module
from services.matcher.gateway.app import Gateway, gateway
from services.matcher.gateway.tokens import hash_token
from tests.conftest import Connect, connect_user
from tests.journal_writer import MARKET, JournalWriter, record_of, ticked
from tests.matcher_double import MatcherDouble

TOKEN = "shop-a-secret"
SUBMIT = subjects.submit(MARKET, "shop-a", "order")
EVENTS_PATH = f"/markets/{MARKET}/events"
WAIT_S = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"it did not come to this within {WAIT_S} s: {what}")


def order(number: int) -> dict[str, Any]:
    data = {"order": f"o-{number}", "member": f"m-{number}", "offer": "tea"}
    return new_event("order.posted", data, "/shop", f"e-{number}", "2026-11-23T10:00:00Z")


def encode(document: object) -> bytes:
    return msgspec.json.encode(document)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Setting:
    """One market: broker, a matcher that decides something, and gateways."""

    broker: EmbeddedBroker
    data: Path
    matcher: MatcherDouble
    stack: AsyncExitStack
    gateways: list[Gateway] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)

    def config(self) -> ServiceConfig:
        tokens = self.data / "tokens.json"
        tokens.write_bytes(encode({hash_token(TOKEN): "shop-a"}))
        return ServiceConfig(
            service="gateway",
            market=MARKET,
            nats_url=self.broker.url,
            user="gateway",
            nkey_seed_file=load_identity(self.data, "gateway").seed_file,
            data_dir=self.data / "gateway",
            tokens_file=tokens,
            peers=self.peers,
        )

    async def start_gateway(self, outcome_timeout_s: float = 10.0) -> Gateway:
        made = await self.stack.enter_async_context(self.running_gateway(outcome_timeout_s))
        self.gateways.append(made)
        return made

    @asynccontextmanager
    async def running_gateway(self, outcome_timeout_s: float = 10.0) -> AsyncIterator[Gateway]:
        service = await connect_broker(self.config())
        await service.start()
        try:
            async with gateway(self.config(), service, outcome_timeout_s) as made:
                yield made
        finally:
            await service.stop()

    async def client(self, publisher: str = "shop-a") -> GroupBuyClient:
        made = await GroupBuyClient.connect(
            self.broker.url,
            market=MARKET,
            publisher=publisher,
            seed_file=load_identity(self.data, publisher).seed_file,
        )
        return await self.stack.enter_async_context(made)

    @property
    def stored(self) -> list[bytes]:
        """The bodies of the intake messages that the matcher has read."""
        return self.matcher.bodies

    async def post(self, body: bytes, token: str | None = TOKEN, path: str = EVENTS_PATH, **headers: str) -> Answer:
        given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        return await self.call("POST", path, body, given)

    async def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        def ask() -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateways[-1].http_port, timeout=WAIT_S)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)


@pytest.fixture
async def market(fresh_broker: EmbeddedBroker, tmp_path: Path, connect: Connect) -> AsyncIterator[Setting]:
    matcher = MatcherDouble(JournalWriter((await connect(fresh_broker, "matcher")).client))
    await matcher.start()
    async with AsyncExitStack() as stack:
        yield Setting(fresh_broker, tmp_path / "data", matcher, stack)
    await matcher.stop()


async def ask(market: Setting, body: bytes, subject: str = SUBMIT, publisher: str = "shop-a") -> dict[str, Any]:
    """Submit bytes as they are and return the answer as it is."""
    user = await connect_user(market.broker, publisher)
    try:
        answer: Msg = await user.client.request(subject, body, timeout=WAIT_S)
        return dict(json.loads(answer.data))
    finally:
        await user.client.close()


# Outcomes


async def test_a_submitted_event_is_answered_with_its_outcome(market: Setting) -> None:
    await market.start_gateway()
    answer = await ask(market, encode(order(1)))
    (outcome,) = answer["outcomes"]
    assert (outcome["id"], outcome["entry"], outcome["kind"]) == ("e-1", "1.0.0", "member.noted")


async def test_the_intake_gets_the_authenticated_publisher_whatever_is_claimed(market: Setting) -> None:
    await market.start_gateway()
    await ask(market, encode({**order(1), "publisher": "operator"}))
    (stored,) = market.stored
    assert json.loads(stored)["publisher"] == "shop-a"
    assert b"operator" not in stored


async def test_the_same_event_again_is_a_duplicate_with_the_original(market: Setting) -> None:
    await market.start_gateway()
    await ask(market, encode(order(1)))
    (outcome,) = (await ask(market, encode(order(1))))["outcomes"]
    assert (outcome["kind"], outcome["of"], outcome["original"]) == ("duplicate", "1.0.0", "member.noted")
    assert market.stored[0] == market.stored[1]


async def test_many_single_events_share_intake_messages_and_each_gets_its_own_outcome(market: Setting) -> None:
    await market.start_gateway()
    client = await market.client()
    answers = await asyncio.gather(*(client.submit(order(number)) for number in range(300)))
    assert [outcomes[0]["id"] for outcomes in answers] == [f"e-{number}" for number in range(300)]
    assert len({outcomes[0]["entry"] for outcomes in answers}) == 300
    assert len(market.stored) < 150


async def test_a_batch_is_answered_in_order(market: Setting) -> None:
    await market.start_gateway()
    client = await market.client()
    outcomes = await client.submit([order(number) for number in range(1000)])
    assert [outcome["id"] for outcome in outcomes] == [f"e-{number}" for number in range(1000)]


async def test_large_events_are_spread_over_messages_and_answered_in_order(market: Setting) -> None:
    await market.start_gateway()
    batch = []
    for number in range(24):
        event = order(number)
        event["data"]["x"] = "a" * (EVENT_MAX_BYTES - 100 - len(encode(event)))
        batch.append(event)
    client = await market.client()
    assert len(encode(batch)) <= BATCH_MAX_BYTES
    first, second = await asyncio.gather(client.submit(batch), client.submit([order(99)]))
    assert [outcome["id"] for outcome in first] == [f"e-{number}" for number in range(24)]
    assert second[0]["id"] == "e-99"
    assert all(len(body) <= BATCH_MAX_BYTES for body in market.stored)


BAD = [
    (b"", "empty"),
    (b"nonsense", "not_json"),
    (encode(order(1))[:-1], "not_json"),
    (b"\xff\xfe\x00", "not_utf8"),
    (b'{"a":' * 4_000 + b"1" + b"}" * 4_000, "too_deep"),
    (b"5", "not_an_event"),
    (encode({**order(1), "type": "groupbuy.nothing.known.v1"}), "unknown_type"),
    (encode({**order(1), "id": "no spaces allowed"}), "bad_id"),
    (b"[]", "empty"),
    (b"[1,", "not_json"),
]


@pytest.mark.parametrize(("body", "why"), BAD, ids=[why for _, why in BAD])
async def test_bad_input_gets_an_outcome_with_its_precise_reason(market: Setting, body: bytes, why: str) -> None:
    await market.start_gateway()
    (outcome,) = (await ask(market, body))["outcomes"]
    assert (outcome["kind"], outcome["why"]) == ("malformed", why)


async def test_bad_input_spoils_only_itself(market: Setting) -> None:
    await market.start_gateway()
    client = await market.client()
    good = asyncio.gather(*(client.submit(order(number)) for number in range(50)))
    bad = asyncio.gather(*(ask(market, body) for body, _ in BAD))
    assert all(outcomes[0]["kind"] == "member.noted" for outcomes in await good)
    assert [answer["outcomes"][0]["why"] for answer in await bad] == [why for _, why in BAD]


async def test_one_bad_event_of_a_batch_spoils_only_itself(market: Setting) -> None:
    await market.start_gateway()
    parts = [encode(order(1)), b'{"type":5}', b'"\xff"', encode(order(2))]
    outcomes = (await ask(market, b"[" + b",".join(parts) + b"]"))["outcomes"]
    assert [outcome.get("why", outcome["kind"]) for outcome in outcomes] == [
        "member.noted",
        "not_an_event",
        "not_utf8",
        "member.noted",
    ]


# Refused at the door


async def test_an_event_of_another_family_is_refused_and_nothing_published(market: Setting) -> None:
    await market.start_gateway()
    answer = await ask(market, encode(order(1)), subjects.submit(MARKET, "shop-a", "offer"))
    assert answer["error"]["code"] == "wrong_family"
    assert "family 'offer'" in answer["error"]["message"]
    await ask(market, encode(order(2)))
    assert len(market.stored) == 1


async def test_what_is_past_a_limit_is_refused_and_told_which(market: Setting) -> None:
    await market.start_gateway()
    too_long = b'{"x":"' + b"a" * EVENT_MAX_BYTES + b'"}'
    for body, code in [
        (too_long, "event_too_large"),
        (b"[" + too_long + b"]", "event_too_large"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "too_many_events"),
        (b"[" + b" " * BATCH_MAX_BYTES + b"]", "batch_too_large"),
    ]:
        answer = await ask(market, body)
        assert answer["error"]["code"] == code
    assert market.stored == []


async def test_a_request_whose_answer_would_go_to_somebody_else_is_ignored_and_counted(market: Setting) -> None:
    made = await market.start_gateway()
    stranger = await connect_user(market.broker, "shop-b")
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    await stranger.client.subscribe("_INBOX.shop-b.>", cb=hear)
    await stranger.client.flush()
    shop = await connect_user(market.broker, "shop-a")
    for reply in ("_INBOX.shop-b.1", "groupbuy.main.journal", "_INBOX.shop-a", "_INBOX.shop-ab.1", ""):
        await shop.client.publish(SUBMIT, encode(order(1)), reply=reply)
    await shop.client.flush()
    await ask(market, encode(order(2)))
    assert heard == []
    assert len(market.stored) == 1
    assert made.figures.ignored._value.get() == 5
    await stranger.client.close()
    await shop.client.close()


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


async def restart_matcher(market: Setting) -> None:
    """Begin anew from the first message, writing only what the journal does not hold: as a matcher recovers."""
    js = market.matcher.writer.client.jetstream(timeout=10)
    info = await js.stream_info(subjects.journal_stream(MARKET))
    bodies = [
        (await js.get_msg(subjects.journal_stream(MARKET), seq=seq)).data or b""
        for seq in range(1, info.state.last_seq + 1)
    ]
    market.matcher.recover(bodies)
    await market.matcher.start()


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


# The client without the gateway, and the process


async def test_the_client_publishes_and_is_sure(market: Setting) -> None:
    client = await market.client()
    assert await client.publish(order(1)) == 1
    assert await client.publish_batch([order(2), order(3)]) == 2
    await until(lambda: len(market.stored) == 2, "both are read")
    assert market.stored == [encode(order(1)), encode([order(2), order(3)])]


async def test_the_client_says_when_no_outcome_can_be_had(market: Setting) -> None:
    client = await market.client()
    with pytest.raises(UnknownOutcomeError, match=r"no gateway answers.*with the same ids"):
        await client.submit(order(1), give_up_s=0.5)


async def test_the_client_says_what_the_broker_forbids(market: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PUBLISH_TIMEOUT_S", 0.5)
    monkeypatch.setattr(client_module, "SUBMIT_TIMEOUT_S", 0.5)
    client = await market.client()
    forbidden = new_event("market.configured", {}, "/shop")
    for send in (client.publish, client.submit):
        with pytest.raises(NotPublishedError, match=r"'shop-a' may not publish on groupbuy\.main"):
            await send(forbidden)


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
