"""What cannot be read gets its outcome all the same (RULES.md sections 0 and 1)."""

import json

import pytest

from events.decisions import Duplicate, Refused
from events.leaf import keyed_hash
from events.limits import BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.reasons import Fault, Reason
from events.record import decode_entry
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.gateway.splice import with_publisher
from tests.builders import (
    MARKET_KEY,
    SHOP,
    T0,
    encode,
    joined,
    market,
    offer,
    paid,
    posted,
    ticked,
)
from tests.model.both import FACTS, ZONES
from tests.unit.rules.given import Scenario, given

_DEEP = b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
_EVENT = posted("o1", "m1", id="e", time="2026-01-01T00:00:00Z")


def _with(**fields: object) -> bytes:
    return json.dumps({**_EVENT, **fields}).encode()


UNREADABLE = {
    Fault.NOT_UTF8: encode(_EVENT)[:-1] + b',"note":"\xff"}',
    Fault.NOT_JSON: encode(_EVENT)[:-1],
    Fault.TOO_DEEP: encode(_EVENT)[:-1] + b',"note":' + _DEEP + b"}",
    Fault.DUPLICATE_KEY: encode(_EVENT)[:-1] + b',"id":"e2"}',
    Fault.EVENT_TOO_LARGE: _with(note="x" * EVENT_MAX_BYTES),
    Fault.BATCH_TOO_LARGE: b"[" + b",".join([_with(note="x" * 30_000)] * 30) + b"]",
    Fault.TOO_MANY_EVENTS: b"[" + b",".join([b"{}"] * (BATCH_MAX_EVENTS + 1)) + b"]",
    Fault.EMPTY: b"",
    Fault.NOT_AN_EVENT: b'{"hello":"world"}',
    Fault.UNKNOWN_TYPE: _with(type="groupbuy.order.invented.v1"),
    Fault.WRONG_FIELD: _with(data={"order": 7}),
    Fault.BAD_ID: _with(id="a b"),
    Fault.BAD_SOURCE: _with(source="a b"),
    Fault.BAD_TIME: _with(time="yesterday"),
    Fault.RAW_SIGNAL: _with(data={**_EVENT["data"], "signals": {"network": "192.168.1.17"}}),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_what_cannot_be_read_leaves_its_length_and_keyed_hash(fault: Fault) -> None:
    body = UNREADABLE[fault]
    story = given(offer()).when(body).then_malformed(fault)
    malformed = story.one("malformed")
    assert (malformed["size_bytes"], malformed["keyed_hash"]) == (len(body), keyed_hash(MARKET_KEY, body))
    assert "event" not in story.entries[0]


def test_a_message_on_no_intake_subject_is_malformed() -> None:
    given(offer()).when(posted(), on="nonsense").then_malformed(Fault.BAD_SUBJECT)


def test_every_fault_is_shown() -> None:
    assert {*UNREADABLE, Fault.BAD_SUBJECT} == set(Fault)


def test_one_bad_event_spoils_only_itself() -> None:
    story = given(offer())
    body = b"[" + b",".join([encode(posted(), story.now_ns), b"17", encode(posted(), story.now_ns)]) + b"]"
    story.when(body).then("group.opened", "seat.held", "malformed", "group.opened", "seat.held")
    assert [entry["index"] for entry in story.entries] == [0, 1, 2]


@pytest.mark.parametrize("name", ["opens_at", "closes_at"])
def test_an_offer_whose_time_is_none_cannot_be_read(name: str) -> None:
    given().when(offer(**{name: "tomorrow"}), on="offer").then_malformed(Fault.BAD_TIME)
    given(configured=False).when(market(offer_defaults={name: "tomorrow"})).then_malformed(Fault.BAD_TIME)


def test_every_input_has_one_outcome() -> None:
    story: Scenario = given(offer(), posted("o1"))
    for document in (posted("o1"), joined(group="nowhere"), paid("o1"), paid("o1"), ticked(), offer()):
        assert story.when(document).outcome["kind"]


def test_the_same_event_is_the_same_whether_it_comes_directly_or_through_the_gateway() -> None:
    engine = Engine("main", FACTS, ZONES)
    rights = {SHOP: ["offer", "order"], "shop-b": ["order"]}
    engine.process(Message(1, T0, "operator", "market", encode(market(publishers=rights), T0)))
    engine.process(Message(2, T0, SHOP, "offer", encode(offer(), T0)))
    raw = encode(posted(), T0)
    bodies = [raw, with_publisher(raw, SHOP), with_publisher(raw, "shop-b")]
    origins = [(SHOP, "order"), ("gateway", "mixed"), ("gateway", "mixed")]
    decided = [
        decode_entry(engine.process(Message(seq, T0, *origin, body))[0]).decisions[0]
        for seq, (origin, body) in enumerate(zip(origins, bodies, strict=True), start=3)
    ]
    assert [type(decision).__name__ for decision in decided] == ["GroupOpened", "Duplicate", "Refused"]
    same_event, same_order = decided[1:]
    assert isinstance(same_event, Duplicate) and isinstance(same_order, Refused)
    assert same_event.of == "3.0.0"
    # Another publisher's event is another event, and the order is not that publisher's.
    assert same_order.reason is Reason.ORDER_EXISTS


def test_an_event_of_the_largest_size_may_come_through_the_gateway() -> None:
    engine = Engine("main", FACTS, ZONES)
    engine.process(Message(1, T0, "operator", "market", encode(market(publishers={SHOP: ["offer", "order"]}), T0)))
    event = offer()
    padding = EVENT_MAX_BYTES - len(encode({**event, "data": {**event["data"], "note": ""}}, T0))
    raw = encode({**event, "data": {**event["data"], "note": "n" * padding}}, T0)
    assert len(raw) == EVENT_MAX_BYTES
    entry = decode_entry(engine.process(Message(2, T0, "gateway", "mixed", with_publisher(raw, SHOP)))[0])
    assert (type(entry.decisions[0]).__name__, entry.publisher) == ("OfferListed", SHOP)
    assert entry.event is not None and bytes(entry.event) == raw, "the event is kept as its publisher sent it"


def test_each_event_that_the_gateway_gathered_has_its_own_publisher() -> None:
    engine = Engine("main", FACTS, ZONES)
    raws = [encode(posted(f"o{place}", id=f"e{place}"), T0) for place in range(5)]
    shops = [SHOP, SHOP, "shop-b", f"{SHOP}-2", SHOP]
    wrapped = [with_publisher(raw, shop) for raw, shop in zip(raws, shops, strict=True)]
    body = b"[" + b",".join([*wrapped, raws[0]]) + b"]"
    entries = [decode_entry(raw) for raw in engine.process(Message(1, T0, "gateway", "mixed", body))]
    assert [entry.publisher for entry in entries] == [*shops, "gateway"]
    assert [bytes(entry.event or b"") for entry in entries] == [*raws, raws[0]]


def test_what_cannot_be_read_in_a_message_of_the_gateway_keeps_its_publisher() -> None:
    engine = Engine("main", FACTS, ZONES)
    entry = decode_entry(engine.process(Message(1, T0, "gateway", "mixed", with_publisher(b'{"id":7}', SHOP)))[0])
    assert (type(entry.decisions[0]).__name__, entry.publisher) == ("Malformed", SHOP)
