"""What the gateway answers over NATS, against a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from deploy.broker import EmbeddedBroker
from events import subjects
from events.limits import BATCH_MAX_BYTES, EVENT_MAX_BYTES
from services.bus import client as client_module
from services.bus.client import (
    NotPublishedError,
    UnknownOutcomeError,
    new_event,
)
from tests.conftest import connect_user
from tests.gateway_setting import (
    SUBMIT,
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
