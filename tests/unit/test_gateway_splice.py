import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.decode import decode_event, split_message
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.order import OrderJoinedEvent
from services.matcher.gateway.answers import Code, Refusal
from services.matcher.gateway.splice import Item, prepare, with_publisher, without_publisher

JOINED = (
    b'{"specversion":"1.0","type":"groupbuy.order.joined.v1","id":"e-1","source":"/shop","time":'
    b'"2026-11-23T10:00:00Z","data":{"order":"o-1","member":"m-1","offer":"tea"}}'
)
AUTHENTICATED = b'{"publisher":"shop-a",'


def only(items: list[Item]) -> Item:
    (item,) = items
    return item


def test_an_event_gets_its_publisher_in_front_and_keeps_its_bytes() -> None:
    item = only(prepare(JOINED, "shop-a", "order"))
    assert item == Item(AUTHENTICATED + JOINED[1:], "e-1")
    event, _ = decode_event(item.body)
    assert isinstance(event, OrderJoinedEvent)
    assert event.publisher == "shop-a"


def test_the_same_event_again_is_the_same_bytes() -> None:
    assert prepare(JOINED, "shop-a") == prepare(b" \n" + JOINED + b"\r\n", "shop-a")


@pytest.mark.parametrize(
    "claim",
    [
        b'"publisher":"evil"',
        b'"publisher" : "evil" ',
        b'"publisher":{"deep":["},{",{"publisher":1}]}',
        b'"\\u0070ublisher":"evil"',
        b'"publisher":null',
        b'"publisher":"a","publisher":"b"',
        b'"publisher":"\\"},"',
        b'"publisher":[[],{}],"\\u0070\\u0075blisher":{}',
    ],
)
def test_a_claimed_publisher_is_taken_out_wherever_it_stands(claim: bytes) -> None:
    clean = only(prepare(JOINED, "shop-a")).body
    first = b"{" + claim + b"," + JOINED[1:]
    last = JOINED[:-1] + b"," + claim + b"}"
    middle = JOINED.replace(b'"source"', claim + b',"source"')
    for claiming in (first, last, middle):
        assert only(prepare(claiming, "shop-a")).body == clean


def test_a_publisher_inside_the_payload_stays() -> None:
    raw = JOINED.replace(b'"order":', b'"publisher":"kept","order":')
    assert only(prepare(raw, "shop-a")).body == AUTHENTICATED + raw[1:]


def test_a_null_claim_does_not_outlive_the_authenticated_name() -> None:
    raw = JOINED[:-1] + b',"publisher":null}'
    assert json.loads(only(prepare(raw, "shop-a")).body)["publisher"] == "shop-a"


@pytest.mark.parametrize("empty", [b"{}", b"{ }", b"{\n}", b'{"publisher":1}'])
def test_an_empty_object_carries_its_publisher(empty: bytes) -> None:
    assert only(prepare(empty, "shop-a")).body == b'{"publisher":"shop-a"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        JOINED[:-1],
        b"nonsense",
        b"\xff\xfe",
        JOINED.replace(b"/shop", b"/sh\xffop"),
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[",
        b"[1,",
        b"[]",
    ],
)
def test_what_would_spoil_a_message_for_others_goes_alone(body: bytes) -> None:
    item = only(prepare(body[:EVENT_MAX_BYTES], "shop-a", "order"))
    assert item.alone
    assert item.body == body[:EVENT_MAX_BYTES].strip()


@pytest.mark.parametrize("body", [b"5", b'"text"', b"null", b"true", b"-1e5"])
def test_json_that_is_no_object_goes_as_it_is(body: bytes) -> None:
    assert prepare(body, "shop-a") == [Item(body)]


@pytest.mark.parametrize("body", [b'{"type":5}', b'{"id":[],"publisher":"evil"}', b'{"type":null,"id":1}'])
def test_an_object_that_is_no_event_still_carries_its_publisher(body: bytes) -> None:
    item = only(prepare(body, "shop-a", "order"))
    assert not item.alone
    assert json.loads(item.body)["publisher"] == "shop-a"
    assert b"evil" not in item.body


def test_one_bad_event_of_a_batch_spoils_only_itself() -> None:
    deep = b'{"a":' * 3_000 + b"1" + b"}" * 3_000
    parts = [JOINED, b"5", deep, b"[1,2]", JOINED, b'{"type":"\xff"}', b'"\xff"']
    items = prepare(b"[" + b" , ".join(parts) + b"]", "shop-a", "order")
    assert [item.alone for item in items] == [False, False, True, False, False, True, True]
    assert items[0].body == items[4].body == AUTHENTICATED + JOINED[1:]
    assert items[3].body == b"[1,2]"


def test_an_event_of_another_family_is_refused_before_it_is_published() -> None:
    with pytest.raises(Refusal, match=r"groupbuy\.order\.joined\.v1.* family 'offer'") as refusal:
        prepare(JOINED, "shop-a", "offer")
    assert refusal.value.error.code is Code.WRONG_FAMILY
    with pytest.raises(Refusal, match="event 1 of the batch"):
        prepare(b"[{}," + JOINED + b"]", "shop-a", "offer")


def test_an_unknown_type_is_left_to_the_matcher() -> None:
    assert not only(prepare(b'{"type":"groupbuy.nothing.at.all"}', "shop-a", "order")).alone
    assert not only(prepare(b'{"type":"else"}', "shop-a", "order")).alone


def test_without_a_subject_any_family_goes() -> None:
    assert only(prepare(JOINED, "shop-a", None)).event_id == "e-1"


def padded(size_bytes: int) -> bytes:
    return JOINED[:-1] + b',"x":"' + b"a" * (size_bytes - len(JOINED) - 7) + b'"}'


def test_the_limits_hold_to_the_byte() -> None:
    assert len(padded(EVENT_MAX_BYTES)) == EVENT_MAX_BYTES
    prepare(padded(EVENT_MAX_BYTES), "shop-a")
    with pytest.raises(Refusal, match="the event is 32769 bytes"):
        prepare(padded(EVENT_MAX_BYTES + 1), "shop-a")
    with pytest.raises(Refusal, match="event 1 of the batch is 32769 bytes"):
        prepare(b"[5," + padded(EVENT_MAX_BYTES + 1) + b"]", "shop-a")


def test_a_batch_has_at_most_a_thousand_events_and_768_kib() -> None:
    def batch(count: int) -> bytes:
        return b"[" + b",".join([b"{}"] * count) + b"]"

    assert len(prepare(batch(BATCH_MAX_EVENTS), "shop-a")) == BATCH_MAX_EVENTS
    with pytest.raises(Refusal, match="more than the 1000 events") as refusal:
        prepare(batch(BATCH_MAX_EVENTS + 1), "shop-a")
    assert refusal.value.http_status == 413
    with pytest.raises(Refusal) as refusal:
        prepare(b"[" + b" " * BATCH_MAX_BYTES + b"]", "shop-a")
    assert refusal.value.error.code is Code.BATCH_TOO_LARGE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["publisher", "type", "id", "data", "a"]) | st.text()


@given(st.dictionaries(keys, json_values, max_size=6), st.booleans(), st.sampled_from([None, 1]))
def test_any_object_keeps_everything_but_its_claim(
    fields: dict[str, object], escaped: bool, indent: int | None
) -> None:
    raw = json.dumps(fields, ensure_ascii=escaped, indent=indent).encode()
    expected = {"publisher": "shop-a", **{k: v for k, v in fields.items() if k != "publisher"}}
    assert json.loads(with_publisher(without_publisher(raw), "shop-a")) == expected
    item = only(prepare(raw, "shop-a"))
    if not item.alone:
        assert json.loads(item.body) == expected


@given(st.lists(st.binary(max_size=60) | st.sampled_from([JOINED, b"{}", b"[1]", b'{"publisher":"x"}']), max_size=6))
@example([b'{"a":1}}', b"{}"])
@example([b"1,2", b"{}"])
def test_what_is_put_together_comes_apart_at_the_same_places(bodies: list[bytes]) -> None:
    items = [item for body in bodies for item in prepare(body, "shop-a")]
    together = [item.body for item in items if not item.alone]
    if not together:
        return
    parts = split_message(b"[" + b",".join(together) + b"]")
    assert [part.strip() for part in parts] == [body.strip() for body in together]


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(body: bytes) -> None:
    for item in prepare(body, "shop-a", "order"):
        if not item.alone:
            msgspec.json.decode(item.body, type=msgspec.Raw)
