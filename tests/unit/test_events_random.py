"""Whatever comes, it is an event, unreadable or personal, and nothing else; what we write is always read."""

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.decode import NamesAPerson, Unreadable, decode_event, split_message
from events.ids import names_a_person, text_names_a_person
from events.limits import AMOUNT_MAX_MINOR, QUANTITY_MAX, STOCK_MAX
from events.offer import OfferPublished, OfferPublishedEvent
from events.order import OrderJoined, OrderJoinedEvent, OrderPosted, OrderPostedEvent, Payment
from events.times import TIME_END_NS, format_time_ns
from tests.unit.event_bytes import compact, document, event

IDS = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: not names_a_person(name))
TIMES = st.integers(0, TIME_END_NS - 1).map(format_time_ns)
AMOUNTS = st.integers(0, AMOUNT_MAX_MINOR)
PAYMENTS = st.builds(Payment, payment=IDS, amount_minor=AMOUNTS, currency=st.just("CNY"), paid_at=st.none() | TIMES)
ORDER_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "order": IDS,
    "member": NAMES,
    "offer": IDS,
    "sku": st.none() | IDS,
    "quantity": st.integers(1, QUANTITY_MAX),
    "pool": st.none() | IDS,
    "via": st.none() | NAMES,
    "strangers": st.booleans(),
    "merge": st.booleans(),
    "payment": st.none() | PAYMENTS,
}
ENVELOPE: dict[str, st.SearchStrategy[Any]] = {
    "specversion": st.just("1.0"),
    "id": IDS,
    "source": st.from_regex(r"//[a-z/-]{1,100}", fullmatch=True),
    "time": TIMES,
    "publisher": st.just(msgspec.UNSET) | NAMES,
}
WRITTEN = st.one_of(
    st.builds(OrderPostedEvent, **ENVELOPE, data=st.builds(OrderPosted, **ORDER_FIELDS)),
    st.builds(OrderJoinedEvent, **ENVELOPE, data=st.builds(OrderJoined, **ORDER_FIELDS, group=st.none() | IDS)),
    st.builds(
        OfferPublishedEvent,
        **ENVELOPE,
        data=st.builds(
            OfferPublished,
            offer=IDS,
            skus=st.none() | st.dictionaries(IDS, st.integers(0, STOCK_MAX), min_size=1, max_size=5),
            labels=st.none() | st.lists(IDS, max_size=5),
            opens_at=st.none() | TIMES,
            group_minor=st.none() | AMOUNTS,
        ),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
STRANGE = st.one_of(JSON, st.sampled_from(["13800138000", "a@b.cn", "", "\n", "x" * 65, -1, 2**64, 1.0, "\U0001f600"]))


def read(body: bytes) -> None:
    """Read a message as a reader does; anything but the two exceptions fails the test."""
    try:
        raws = split_message(body)
    except Unreadable:
        return
    for raw in raws:
        with contextlib.suppress(Unreadable, NamesAPerson):
            decode_event(raw)


@given(st.binary(max_size=300))
@example(b"[")
@example(b'{"type":"\\u0000"}')
def test_random_bytes_raise_nothing_else(body: bytes) -> None:
    read(body)


@given(st.data())
def test_an_event_with_bytes_changed_raises_nothing_else(data: st.DataObject) -> None:
    body = bytearray(compact([document(), document({"x": [1, {"y": "z"}]})]))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(body))
    read(bytes(body[1:-1]))


@given(st.integers(0, len(compact([document()]))))
def test_a_truncated_message_raises_nothing_else(length: int) -> None:
    read(compact([document()])[:length])
    read(event()[:length])


@given(JSON)
def test_any_json_raises_nothing_else(value: Any) -> None:
    read(json.dumps(value).encode())


@given(st.sampled_from(sorted(document({}, subject="s", publisher="p"))), STRANGE)
def test_any_value_in_the_envelope_raises_nothing_else(name: str, value: Any) -> None:
    read(json.dumps({**document(), name: value}, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@given(
    st.sampled_from(["order", "member", "offer", "sku", "quantity", "pool", "via", "merge", "payment", "x"]), STRANGE
)
def test_any_value_in_data_raises_nothing_else(name: str, value: Any) -> None:
    read(json.dumps(document({name: value})).encode())


@given(WRITTEN)
@settings(max_examples=200)
def test_what_our_writer_encodes_is_read_as_it_was_meant(written: OrderJoinedEvent) -> None:
    raw = msgspec.json.encode(written)
    decoded, at_ns = decode_event(raw)
    assert decoded == written
    assert format_time_ns(at_ns) == written.time


@given(WRITTEN, st.dictionaries(st.from_regex(r"x_[a-z]{1,8}", fullmatch=True), JSON, max_size=3))
def test_unknown_fields_of_data_are_tolerated(written: OrderJoinedEvent, unknown: dict[str, Any]) -> None:
    fields = json.loads(msgspec.json.encode(written))
    raw = json.dumps({**fields, "data": {**fields["data"], **unknown}}).encode()
    try:
        decoded, _ = decode_event(raw)
    except NamesAPerson:
        # Hypothesis has found a phone number.
        assert any(map(text_names_a_person, json.dumps(unknown, ensure_ascii=False).split('"')))
        return
    assert decoded == written


@given(WRITTEN, st.data())
def test_the_quick_path_and_the_close_look_agree(written: OrderJoinedEvent, data: st.DataObject) -> None:
    """Whitespace sends an event the long way; the answer is the same."""
    fields = json.loads(msgspec.json.encode(written))
    name = data.draw(st.sampled_from(sorted(fields["data"])))
    fields["data"][name] = data.draw(STRANGE)

    def answer(raw: bytes) -> Any:
        try:
            return decode_event(raw)
        except Unreadable as error:
            return error.fault
        except NamesAPerson as error:
            return error.field

    short, long = (json.dumps(fields, ensure_ascii=False, separators=s).encode() for s in ((",", ":"), (", ", ": ")))
    assert answer(short) == answer(long)
