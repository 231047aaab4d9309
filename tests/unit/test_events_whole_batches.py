"""A batch read at once gives for each event what reading that event alone gives."""

import json
import random
from typing import Any

import msgspec
import pytest

from events.decode import NamesAPerson, Unreadable, decode_batch, decode_event, finish_decoding
from events.limits import EVENT_MAX_BYTES
from events.order import OrderPaidEvent
from events.reasons import Fault
from tests.bench import traffic
from tests.builders import T0
from tests.contract.example_events import ADDED, BARE, FULL, GROWN

AT = "2026-11-23T10:00:00Z"
ODD: list[dict[str, Any]] = [
    {"id": "line\nfeed"},
    {"id": ""},
    {"source": "with space"},
    {"source": "/a@example.com"},
    {"time": "yesterday"},
    {"time": "2026-11-23T10:00:00.125+08:00"},
    {"publisher": "shop-a"},
    {"subject": "13800138000"},
    {"dataschema": "somewhere"},
    {"traceparent": "00-1"},
    {"data.member": "13800138000"},
    {"data.member": "a.dot"},
    {"data.order": "schön"},
    {"data.order": "a b"},
    {"data.via": "m-2"},
    {"data.via": "13800138000"},
    {"data.quantity": 1},
    {"data.quantity": "two"},
    {"data.payment": {"payment": "p", "amount_minor": 1, "currency": "cny"}},
    {"data.payment": {"payment": "p", "amount_minor": 1, "currency": "EUR", "paid_at": AT}},
    {"data.payment": {"payment": "p", "amount_minor": 1, "currency": "EUR", "paid_at": "never"}},
]


def _changed(raw: bytes, change: dict[str, Any]) -> bytes:
    document = json.loads(raw)
    for name, value in change.items():
        if name.startswith("data."):
            document["data"][name.removeprefix("data.")] = value
        else:
            document[name] = value
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _alone(raw: bytes) -> tuple[Any, ...]:
    try:
        return ("read", *decode_event(raw))
    except Unreadable as fault:
        return "fault", fault.fault, fault.detail
    except NamesAPerson as person:
        return "person", person.event, person.field


def _together(raws: list[bytes]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    whole = decode_batch(raws)
    for comma in (b",", b" ,\n"):
        assert decode_batch(raws, b"[" + comma.join(raws) + b"]") == whole, "wherever they were cut out"
    for raw, decoded in zip(raws, whole, strict=True):
        try:
            found.append(("read", *finish_decoding(raw, decoded)))
        except Unreadable as fault:
            found.append(("fault", fault.fault, fault.detail))
        except NamesAPerson as person:
            found.append(("person", person.event, person.field))
    return found


def _orders_and_assists() -> list[bytes]:
    return [*traffic.orders(20, at=AT), *traffic.orders(5, at=AT, pays=False), *traffic.assists(5, 2)]


def test_plain_orders_and_assists_are_read_without_a_look_at_each() -> None:
    decode_event(traffic.orders(1, at=AT)[0])  # its currency is known from now on
    raws = _orders_and_assists()
    assert None not in decode_batch(raws)
    assert _together(raws) == list(map(_alone, raws))


@pytest.mark.parametrize("change", ODD, ids=str)
def test_one_odd_event_spoils_only_itself(change: dict[str, Any]) -> None:
    raws = _orders_and_assists()
    for place in (0, 7, len(raws) - 1):
        odd = [*raws[:place], _changed(raws[place], change), *raws[place + 1 :]]
        assert _together(odd) == list(map(_alone, odd))


def test_all_types_in_one_batch_are_read_as_alone() -> None:
    chance = random.Random(T0)
    examples = [msgspec.json.encode(event) for event in (*FULL, *BARE, *GROWN, *ADDED.values())]
    for _ in range(60):
        raws = [*chance.sample(examples, 8), *_orders_and_assists()[:3]]
        chance.shuffle(raws)
        assert _together(raws) == list(map(_alone, raws))


def test_what_is_no_json_is_read_as_alone() -> None:
    raws = [b"{", *_orders_and_assists()[:2], b'{"a":1}', b'"\\u0000"']
    assert _together(raws) == list(map(_alone, raws))


def test_an_event_too_large_among_others_is_too_large_as_it_is_alone() -> None:
    paid = msgspec.json.encode(next(event for event in FULL if isinstance(event, OrderPaidEvent)))
    for raw in (paid, traffic.orders(1, at=AT)[0], traffic.assists(1, 1)[0]):
        large = _changed(raw, {"source": "/" * EVENT_MAX_BYTES})
        assert _alone(large)[1] is Fault.EVENT_TOO_LARGE
        raws = [large, *_orders_and_assists()]
        assert _together(raws) == list(map(_alone, raws))
