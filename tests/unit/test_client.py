import math
import time
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from events.decode import decode_event
from events.ids import are_ids
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.times import parse_time_ns
from services.bus.client import BadEventError, GroupBuyClient, LimitExceededError, new_event, new_id

ORDER = {"order": "o-1", "member": "m-1", "offer": "tea"}


@pytest.fixture
def client() -> GroupBuyClient:
    """A client that has never been connected: whatever it refuses, it refuses before it sends."""
    return GroupBuyClient(Client(), "main", "shop-a")


def sized(size_bytes: int) -> dict[str, Any]:
    event = new_event("order.posted", {**ORDER, "x": ""}, "/shop", "e-1", "2026-11-23T10:00:00.000000Z")
    missing = size_bytes - len(encode(event))
    event["data"]["x"] = "a" * missing
    return event


def encode(document: Any) -> bytes:
    return msgspec.json.encode(document)


def test_a_new_event_is_one_that_the_contract_reads() -> None:
    event, at_ns = decode_event(encode(new_event("order.posted", ORDER, "/shop/checkout")))
    assert event.source == "/shop/checkout"
    assert abs(at_ns - time.time_ns()) < 60 * 10**9


def test_a_new_event_takes_what_it_is_given() -> None:
    event = new_event("groupbuy.order.joined.v1", ORDER, "/shop", "e-7", "2026-11-23T10:00:00Z")
    assert event["type"] == "groupbuy.order.joined.v1"
    assert (event["id"], event["time"]) == ("e-7", "2026-11-23T10:00:00Z")


def test_new_ids_are_legal_different_and_sort_by_time() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(set(ids))
    assert are_ids("\n".join(ids))
    assert all(text[14] == "7" and text[19] in "89ab" for text in ids)
    assert parse_time_ns("2020-01-01T00:00:00Z") < int(ids[0].replace("-", "")[:12], 16) * 10**6 < time.time_ns() + 1


async def test_an_event_past_its_limit_is_refused_before_it_is_sent(client: GroupBuyClient) -> None:
    for send in (client.publish, client.submit):
        with pytest.raises(LimitExceededError, match="the event is 32769 bytes; the limit is 32768"):
            await send(sized(EVENT_MAX_BYTES + 1))
    with pytest.raises(LimitExceededError, match="event 1 of the batch is 32769 bytes"):
        await client.publish_batch([sized(500), sized(EVENT_MAX_BYTES + 1)])


async def test_a_batch_past_its_limits_is_refused_before_it_is_sent(client: GroupBuyClient) -> None:
    for send in (client.publish_batch, client.submit):
        with pytest.raises(LimitExceededError, match="has 1001 events; the limit is 1000"):
            await send([sized(300)] * (BATCH_MAX_EVENTS + 1))
        with pytest.raises(LimitExceededError, match=f"the limit is {BATCH_MAX_BYTES}"):
            await send([sized(EVENT_MAX_BYTES)] * 25)


async def test_a_batch_is_of_one_family_and_not_empty(client: GroupBuyClient) -> None:
    mixed = [new_event("order.posted", ORDER, "/shop"), new_event("offer.withdrawn", {"offer": "tea"}, "/shop")]
    with pytest.raises(BadEventError, match=r"events of offer, order: expected one family"):
        await client.publish_batch(mixed)
    with pytest.raises(BadEventError, match="the batch is empty"):
        await client.submit([])


@pytest.mark.parametrize("kind", [None, 5, "", "order", "order.posted", "groupbuy.", "groupbuy.a b.c.v1", "x.y.z.v1"])
async def test_a_type_without_family_is_refused(client: GroupBuyClient, kind: object) -> None:
    with pytest.raises(BadEventError, match=r"expected groupbuy\.<family>\.<verb>\.v1"):
        await client.publish({**new_event("order.posted", ORDER, "/shop"), "type": kind})


@pytest.mark.parametrize("value", [object(), {1, 2}.__iter__, math, "\ud800"])
async def test_what_is_no_json_is_refused(client: GroupBuyClient, value: object) -> None:
    with pytest.raises(BadEventError, match="cannot be written as JSON"):
        await client.publish(new_event("order.posted", {**ORDER, "x": value}, "/shop"))


@pytest.mark.parametrize(("market", "publisher"), [("ma.in", "shop-a"), ("main", "shop a"), ("", "shop-a")])
def test_names_that_cannot_stand_in_a_subject_are_refused(market: str, publisher: str) -> None:
    with pytest.raises(BadEventError, match="is no name"):
        GroupBuyClient(Client(), market, publisher)


def test_every_limit_error_is_a_value_error() -> None:
    assert issubclass(LimitExceededError, ValueError)
    assert issubclass(BadEventError, ValueError)
