"""`groupbuy publish` checks the whole file before anything is sent."""

import json
from typing import Any

import msgspec
import pytest

from deploy.cli.event_file import CheckedEvent, EventBatch, batches_of, check_lines
from deploy.cli.output import CommandError
from events.decode import decode_event
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS

NOW = "2026-11-23T10:00:00Z"


def _event(verb: str = "order.posted", data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "type": f"groupbuy.{verb}.v1",
        "data": data if data is not None else {"order": "o-1", "member": "alice", "offer": "tea"},
        **fields,
    }


def _check(*documents: dict[str, Any] | str | bytes, publisher: str | None = None) -> list[CheckedEvent]:
    lines = [d if isinstance(d, bytes) else (d if isinstance(d, str) else json.dumps(d)).encode() for d in documents]
    return check_lines(lines, NOW, publisher)


def _body(batch: EventBatch) -> bytes:
    return msgspec.json.encode([event.document for event in batch.events])


def test_what_an_event_lacks_is_filled_in() -> None:
    (checked,) = _check(_event())
    event, _ = decode_event(json.dumps(checked.document).encode())
    assert (event.specversion, event.source, event.time) == ("1.0", "/groupbuy/publish", NOW)
    assert event.id == checked.id


def test_what_an_event_has_is_kept() -> None:
    (checked,) = _check(_event(id="mine", source="/shop", time="2026-01-01T00:00:00Z"))
    event, _ = decode_event(json.dumps(checked.document).encode())
    assert (event.id, event.source, event.time) == ("mine", "/shop", "2026-01-01T00:00:00Z")


def test_two_events_without_id_get_different_ones() -> None:
    first, second = _check(_event(), _event())
    assert first.id != second.id


def test_the_operator_publishes_what_is_the_operators() -> None:
    events = _check(
        _event("market.configured", {"publishers": {"local": ["order"]}}),
        _event("offer.published", {"offer": "tea", "size": 2, "group_minor": 990}),
        _event(),
        _event("refund.settled", {"refund": "r-1"}),
    )
    assert [event.publisher for event in events] == ["operator", "operator", "local", "local"]


def test_blank_lines_are_left_out_but_counted() -> None:
    (checked,) = _check("", "  ", _event())
    assert checked.line == 3


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "is a JSON array; expected one CloudEvent a line"),
        ("7", "is a number; expected"),
        ("null", "is null; expected"),
        ('{"type":"groupbuy.order.posted.v1","type":"x","data":{}}', "'type' stands twice"),
        (b'{"type":"\xff"}', "not UTF-8"),
        ('{"a":' * 100_000, "line 2"),
        ({"data": {}}, "has no `type`; expected for example groupbuy.order.posted.v1"),
        ({"type": ["x"], "data": {}}, "no event type"),
        (
            _event("order.post"),
            "no event type 'groupbuy.order.post.v1' is known; expected for example groupbuy.order.p",
        ),
        ({"type": "groupbuy.order.posted.v1"}, "missing required field `data`"),
        (_event(data={"order": "o-1", "member": "alice"}), "missing required field `offer`"),
        (_event(data={"order": "o-1", "member": "alice", "offer": 7}), "Expected `str`, got `int`"),
        (_event(data={"order": "o 1", "member": "alice", "offer": "tea"}), "1 to 64 of A-Z"),
        (_event(data={"order": "o-1", "member": "13812345678", "offer": "tea"}), "expected a pseudonym"),
        (
            _event(data={"order": "o-1", "member": "alice", "offer": "tea", "quantiy": 2}),
            "no field 'quantiy' in `data`; did you mean 'quantity'?",
        ),
        (_event(time="yesterday"), "RFC 3339"),
        (_event(data={"order": "o-1", "member": "alice", "offer": "tea", "note": "x" * 40_000}), "32 KiB"),
        (json.dumps(_event(subject="\ud800")), "JSON cannot carry"),
        (
            _event(data={"order": "o-1", "member": "alice", "offer": "tea", "quantity": 10**30}),
            "Expected `int` <= 1000",
        ),
    ],
)
def test_a_line_that_cannot_be_sent_is_named_with_what_was_expected(
    bad: dict[str, Any] | str | bytes, complaint: str
) -> None:
    with pytest.raises(CommandError, match=r"^line 2") as found:
        _check(_event(), bad, _event())
    assert complaint in str(found.value)


def test_a_publisher_cannot_be_made_to_publish_what_it_may_not() -> None:
    with pytest.raises(CommandError, match="line 1: local may not publish the family 'market'"):
        _check(_event("market.configured", {}), publisher="local")
    with pytest.raises(CommandError, match="operator may not publish the family 'order'"):
        _check(_event(), publisher="operator")


def test_a_file_without_events_is_refused() -> None:
    with pytest.raises(CommandError, match="no event in it"):
        _check("", "\n")


def test_batches_keep_the_order_and_mix_neither_publishers_nor_families() -> None:
    offer = _event("offer.published", {"offer": "tea", "size": 2, "group_minor": 990})
    events = _check(_event(), _event(), offer, _event(), _event("refund.settled", {"refund": "r-1"}))
    batches = list(batches_of(events))
    assert [(b.publisher, b.family, len(b.events)) for b in batches] == [
        ("local", "order", 2),
        ("operator", "offer", 1),
        ("local", "order", 1),
        ("local", "refund", 1),
    ]
    assert [event for batch in batches for event in batch.events] == events


def test_batches_stay_within_their_limits() -> None:
    wide = _event(dataschema="x" * 30_000)
    events = _check(*[_event()] * (BATCH_MAX_EVENTS + 1), *[wide] * 60)
    batches = list(batches_of(events))
    assert len(batches) > 3
    assert all(len(batch.events) <= BATCH_MAX_EVENTS and len(_body(batch)) <= BATCH_MAX_BYTES for batch in batches)
    assert sum(len(batch.events) for batch in batches) == len(events)
