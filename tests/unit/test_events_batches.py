"""A message is one event or a batch, taken apart whatever stands in its events."""

import tracemalloc

import pytest

from events.decode import Unreadable, decode_event, split_message
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS
from events.reasons import Fault
from tests.unit.event_bytes import compact, document, event


def fault_of(body: bytes) -> Fault:
    with pytest.raises(Unreadable) as caught:
        split_message(body)
    return caught.value.fault


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[]", Fault.EMPTY),
        (b" [ \n] ", Fault.EMPTY),
        (b"[", Fault.NOT_JSON),
        (b"[{}", Fault.NOT_JSON),
        (b"[{},]", Fault.NOT_JSON),
        (b"[{}]]", Fault.NOT_JSON),
        (b"[{} {}]", Fault.NOT_JSON),
        (b"[" * 10_000, Fault.NOT_JSON),
        (b"[" * 10_000 + b"]" * 9_999, Fault.NOT_JSON),
        (b"[" * 10_000 + b"]" * 10_001, Fault.NOT_JSON),
        (b"[\xff]", Fault.NOT_UTF8),
        (b"[" + b"[]," * BATCH_MAX_EVENTS + b"[]]", Fault.TOO_MANY_EVENTS),
        (b"[" + b"{}," * 10_000 + b"[" * 2_000 + b"]" * 2_000 + b"]", Fault.TOO_MANY_EVENTS),
        (b"[" + b" " * BATCH_MAX_BYTES + b"]", Fault.BATCH_TOO_LARGE),
    ],
)
def test_a_message_that_cannot_be_taken_apart_has_one_fault(body: bytes, fault: Fault) -> None:
    assert fault_of(body) is fault


def test_what_is_no_batch_is_one_event_without_the_whitespace_around_it() -> None:
    assert split_message(b"\r\n " + event() + b"\t\n") == [event()]
    assert split_message(b"") == [b""]
    assert split_message(b"rubbish") == [b"rubbish"]


def test_the_events_of_a_batch_are_the_bytes_that_were_sent() -> None:
    events = [event(id=f"e-{i}") for i in range(BATCH_MAX_EVENTS)]
    assert split_message(b" [" + b" ,\n".join(events) + b"] ") == events
    assert split_message(b'[1,"a, b",[2],null]') == [b"1", b'"a, b"', b"[2]", b"null"]


@pytest.mark.parametrize("levels", [900, 1_000, 2_000, 10_000])
def test_a_deep_event_spoils_only_itself_however_deep_it_is(levels: int) -> None:
    spoiled = b'{"brackets":"]}],[{\\"","x":' + b"[" * levels + b"]" * levels + b"}"
    first, middle, last = split_message(b"[" + event() + b"," + spoiled + b" , " + event({"note": "[,]\\"}) + b"]")
    assert (first, middle, last) == (event(), spoiled, event({"note": "[,]\\"}))
    with pytest.raises(Unreadable) as caught:
        decode_event(middle)
    assert caught.value.fault is Fault.TOO_DEEP


def test_bad_text_in_one_event_spoils_only_that_one() -> None:
    bad = event({"x": "??"}).replace(b"??", b"\xff\xfe")
    first, middle, last = split_message(b"[" + b",".join([event(), bad, event()]) + b"]")
    decode_event(first)
    decode_event(last)
    with pytest.raises(Unreadable) as caught:
        decode_event(middle)
    assert caught.value.fault is Fault.NOT_UTF8


@pytest.mark.parametrize(
    "hostile",
    [
        b"[" * 2_000 + b'"' + b'\\"' * 380_000,
        b"[" * 2_000 + b'"' * 380_000,
        b"[" * 2_000 + b"\\" * 380_000,
        b"[" * 780_000,
        b"[" + b"[]," * 260_000,
    ],
)
def test_a_hostile_batch_is_refused_after_one_pass(hostile: bytes) -> None:
    """Not measured: with quadratic work this test would not end within the hour."""
    assert fault_of(hostile) in (Fault.NOT_JSON, Fault.TOO_MANY_EVENTS)


def test_memory_stays_flat_whatever_comes() -> None:
    deep = b"[" + event() + b"," + b"[" * 3_000 + b"]" * 3_000 + b"]"
    inputs = [
        b"\xff" * 1_000,
        b"[" * 5_000,
        deep,
        event({"x": ["y" * 100] * 20}),
        compact([document()] * 10),
        b"{}" * 99,
    ]

    def rounds(count: int, start: int) -> None:
        for i in range(count):
            for body in [
                *inputs,
                event(time=f"2026-11-23T{i % 24:02}:{i // 24 % 60:02}:00.5Z", source=f"//{start + i}"),
            ]:
                try:
                    for raw in split_message(body):
                        decode_event(raw)
                except Unreadable:
                    pass

    rounds(10, 0)
    tracemalloc.start()
    try:
        rounds(2, 1_000)
        before, _ = tracemalloc.get_traced_memory()
        rounds(30, 2_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 128 * 1024, "only bounded caches may grow"
