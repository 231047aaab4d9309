"""Spliced or built, the documents are the same bytes."""

from typing import Any

import msgspec
import pytest

from events import decisions as d
from events.outcome_bytes import outcome_bytes, told_of
from events.outcomes import NOT_FOR_MEMBERS, NOT_FOR_PUBLISHERS, news_of, outcome_of, results_of
from events.record import Entry, decode_entry, encode_entry
from tests.unit.test_events_outcomes import (
    CONFIRMED,
    DISSOLVED,
    EVERYTHING,
    FILLED,
    HELD,
    OPENED,
    SEATS,
    entry,
    refund,
    released,
)

FILLED_WHOLE = d.GroupFilled(group="g7-0", offer="tea", cause="target", size=4, seats=SEATS)
FILLED_DRAWN = d.GroupFilled(
    group="g7-0",
    offer="tea",
    cause="target",
    size=4,
    seats=[msgspec.structs.replace(seat, won=at == 0) for at, seat in enumerate(SEATS)],
    seed="ab" * 32,
)
BY_SERVICE: Any = {"actor": "cs-7", "reason": "wrong_item", "ticket": "T-1"}
AWKWARD = msgspec.Raw(b'{"id":"e\\u00e4\\"1","source":"//\xe8\x8c\xb6/,\\"publisher\\":\\"shop-a\\"","data":{}}')
ENTRIES = [
    entry(CONFIRMED),
    entry(HELD),
    entry(OPENED, HELD),
    entry(OPENED, CONFIRMED, FILLED_WHOLE),
    entry(CONFIRMED, FILLED_WHOLE),
    entry(HELD, FILLED_DRAWN),
    entry(CONFIRMED, FILLED_WHOLE, event=AWKWARD),
    entry(CONFIRMED, event=None),
    entry(CONFIRMED, FILLED),
    entry(CONFIRMED, d.GroupFilled(group="g", offer="tea", cause="completed", size=4, seats=SEATS, **BY_SERVICE)),
    entry(FILLED_WHOLE, CONFIRMED),
    entry(CONFIRMED, HELD),
    entry(CONFIRMED, publisher="operator"),
    entry(released("a-9", "shop-a"), CONFIRMED),
    entry(CONFIRMED, refund("b-1", "shop-b")),
    entry(OPENED),
    entry(FILLED_WHOLE, publisher=None, event=None),
    EVERYTHING,
    DISSOLVED,
]


def as_read(one: Entry) -> Entry:
    """As gateway and notifier have it: out of the journal."""
    return decode_entry(encode_entry(one))


@pytest.mark.parametrize("one", ENTRIES, ids=range(len(ENTRIES)))
def test_spliced_documents_are_the_bytes_of_those_that_are_built(one: Entry) -> None:
    read, encode = as_read(one), msgspec.json.encode
    if read.publisher is not None:
        assert outcome_bytes(read, "e-9") == encode(outcome_of(read, "e-9"))
        assert outcome_bytes(read) == encode(outcome_of(read))
    outcome, news, results = told_of(read)
    assert outcome == (None if read.publisher is None else encode(outcome_of(read)))
    assert news == [(name, encode(document)) for name, document in news_of(read)]
    assert results == [(name, encode(document)) for name, document in results_of(read)]


def test_what_is_left_out_of_spliced_documents_is_all_that_must_be() -> None:
    """A field that is added to one of these decisions and is not for everybody needs a thought here."""
    for kind in (d.SeatConfirmed, d.SeatHeld):
        assert set(kind.__struct_fields__) & set(NOT_FOR_MEMBERS) == {"publisher"}
        assert not set(kind.__struct_fields__) & set(NOT_FOR_PUBLISHERS)
    assert set(d.GroupFilled.__struct_fields__) & set(NOT_FOR_MEMBERS) == {"page", "pages", "actor", "ticket"}
    assert not set(d.GroupOpened.__struct_fields__) & set(NOT_FOR_PUBLISHERS)
