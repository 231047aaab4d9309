"""What was once published is read for ever, and written today with the same bytes."""

import hashlib
import json

import msgspec
import pytest

from events import decisions as d
from events.decode import decode_archived, decode_event
from events.record import (
    decode_entry,
    decode_entry_bytes,
    decode_record,
    encode_entry,
    encode_record,
    entry_id,
    hash_bytes,
    parse_entry_id,
)
from events.registry import EVENT_TYPES
from events.schemas import DECISION_KINDS
from tests.contract import golden
from tests.contract.example_events import ADDED, BARE, FULL, GROWN, GROWN_AGAIN, name_of
from tests.contract.example_records import DECISIONS, ENTRIES, GROWN_DECISIONS, RECORD, kind_of
from tests.contract.golden import GOLDEN

EVENT_EXAMPLES = {
    **{f"{name_of(event)}.json": event for event in FULL},
    **{f"{name_of(event)}.bare.json": event for event in BARE},
    **{f"{name_of(event)}.{about}.json": event for about, event in ADDED.items()},
    **{f"{name_of(event)}.2.json": event for event in GROWN},
    **{f"{name_of(event)}.3.json": event for event in GROWN_AGAIN},
}
DECISION_EXAMPLES = {
    **{kind_of(decision): decision for decision in DECISIONS},
    **{f"{kind_of(decision)}.2": decision for decision in GROWN_DECISIONS},
}


def test_no_file_of_the_corpus_was_ever_changed_or_lost() -> None:
    there = {
        path.relative_to(GOLDEN).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.rglob("*")
        if path.is_file() and path.name != golden.MANIFEST
    }
    assert there == golden.manifest()


def test_this_version_writes_every_example_as_the_corpus_has_it() -> None:
    written = golden.corpus()
    differing = [path for path, content in written.items() if content != (GOLDEN / path).read_bytes()]
    assert not differing, "a published byte changed: make a new version of the type instead"


def test_every_type_and_every_kind_has_an_example() -> None:
    events = {path.name.removesuffix(".json") for path in (GOLDEN / "events").iterdir()}
    kinds = {path.name.removesuffix(".json") for path in (GOLDEN / "decisions").iterdir()}
    assert not EVENT_TYPES.keys() - events, "python -m tests.contract.golden"
    assert not DECISION_KINDS.keys() - kinds, "python -m tests.contract.golden"


def test_every_example_in_the_corpus_is_of_a_type_that_is_still_read() -> None:
    for path in (GOLDEN / "events").iterdir():
        assert json.loads(path.read_bytes())["type"] in EVENT_TYPES
    for path in (GOLDEN / "decisions").iterdir():
        assert json.loads(path.read_bytes())["kind"] in DECISION_KINDS


def test_the_full_examples_give_every_field() -> None:
    added: dict[str, set[str]] = {}
    for example in ADDED.values():
        added.setdefault(name_of(example), set()).update(json.loads(msgspec.json.encode(example))["data"])
    newest = {type(example): example for example in (*FULL, *DECISIONS, *GROWN, *GROWN_DECISIONS, *GROWN_AGAIN)}
    for example in newest.values():
        value = example.data if hasattr(example, "data") else example
        given = json.loads(msgspec.json.encode(value)).keys() | added.get(name_of(example), set())
        # An offer has either one stock or variants.
        left_out = set(value.__struct_encode_fields__) - given - {"stock"}
        assert not left_out, f"{type(value).__name__} lacks {left_out}"


@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_an_event_is_read_as_what_was_meant_and_written_alike(name: str) -> None:
    raw = (GOLDEN / "events" / name).read_bytes()
    event, _ = decode_event(raw)
    assert event == decode_archived(raw) == EVENT_EXAMPLES[name]
    assert msgspec.json.encode(event) == raw


@pytest.mark.parametrize("kind", DECISION_EXAMPLES)
def test_a_decision_is_read_as_what_was_meant_and_written_alike(kind: str) -> None:
    raw = (GOLDEN / "decisions" / f"{kind}.json").read_bytes()
    decision = msgspec.json.decode(raw, type=d.AnyDecision)
    assert decision == DECISION_EXAMPLES[kind]
    assert msgspec.json.encode(decision) == raw
    assert raw.startswith(b'{"kind":"' + kind.removesuffix(".2").encode() + b'"'), "the kind stands first"


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_read_as_what_was_meant_and_written_alike(name: str) -> None:
    raw = (GOLDEN / "entries" / f"{name}.json").read_bytes()
    entry = decode_entry(raw)
    assert encode_entry(entry) == raw
    assert encode_entry(ENTRIES[name]) == raw
    assert entry.decisions == ENTRIES[name].decisions
    assert msgspec.json.encode(decode_entry_bytes(raw)) == raw, "decisions as bytes stay the bytes they are"


@pytest.mark.parametrize("name", ENTRIES)
def test_a_leaf_is_the_one_that_was_published(name: str) -> None:
    raw = (GOLDEN / "entries" / f"{name}.json").read_bytes()
    assert golden.leaf_of(raw).hex() == (GOLDEN / "leaves" / f"{name}.hex").read_text()


def test_a_record_is_read_and_written_alike_and_hashes_as_written_down() -> None:
    raw = (GOLDEN / "record.json").read_bytes()
    record = decode_record(raw)
    assert encode_record(record) == encode_record(RECORD) == raw
    vectors = json.loads((GOLDEN / "vectors.json").read_bytes())
    assert hash_bytes(raw) == vectors["record_hash"]
    entries = [(GOLDEN / "entries" / f"{name}.json").read_bytes() for name in ENTRIES]
    assert [bytes(entry) for entry in record.entries] == entries, "entries stand in a record byte for byte"


def test_an_entry_is_named_by_its_position() -> None:
    for entry in ENTRIES.values():
        position = (entry.seq, entry.index, entry.part)
        assert parse_entry_id(entry_id(*position)) == position
