"""The published schemas: as the code says, strict for writers, true of what we write."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from events import generate, schemas
from events.decode import Unreadable, decode_event
from events.limits import ID_MAX_CHARS
from events.notice import (
    DEFERRED,
    DELIVERED,
    FAILED,
    SENT,
    SUPPRESSED,
    NoticeData,
    NoticeFact,
    ToldData,
    ToldFact,
    ToldOfRecord,
    decode_fact,
    decode_told,
    encode_fact,
    is_told,
)
from events.outcomes import news_of, outcome_of, results_of
from events.record import Entry, decode_entry
from events.registry import EVENT_TYPES
from events.schemas import DECISION_KINDS
from services.matcher.gateway.answers import busy, encode_outcomes, pending
from tests.contract.example_records import AT_NS, DECISIONS, ENTRIES, kind_of
from tests.contract.golden import GOLDEN

SCHEMAS = generate.GENERATED / "schemas"
EVENT_FILES = sorted(path.name for path in (GOLDEN / "events").iterdir())


@cache
def validator(name: str, *, strict: bool = False) -> Draft202012Validator:
    """Return a validator of a published schema, of its variant without room for unknown fields where `strict`."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_bytes())
    return Draft202012Validator(schemas.forbid_unknown(schema) if strict else schema, format_checker=FormatChecker())


def event_of(file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((GOLDEN / "events" / file).read_bytes())
    return document


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a document that is a struct: dictionaries by variant, publisher or term are not."""
    if isinstance(value, dict):
        yield value
        for key, inner in value.items():
            if key not in ("publishers", "skus", "stock", "terms"):
                yield from objects(inner)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def test_the_generated_files_are_as_the_code_says() -> None:
    assert not generate.differences(generate.files(), generate.GENERATED), "run `python -m events.generate`"


def test_the_command_checks_without_writing() -> None:
    assert generate.main(["--check"]) == 0


def test_a_difference_is_found_and_named(tmp_path: Any) -> None:
    wanted = {"a.json": b"1", "b/c.json": b"2"}
    generate.write(wanted, tmp_path)
    assert not generate.differences(wanted, tmp_path)
    (tmp_path / "a.json").write_bytes(b"3")
    (tmp_path / "b" / "c.json").rename(tmp_path / "d.json")
    found = generate.differences(wanted, tmp_path)
    assert found == ["b/c.json is missing", "d.json is left over", "a.json differs"]
    generate.write(wanted, tmp_path)
    assert not generate.differences(wanted, tmp_path)


def test_every_type_kind_and_document_has_a_schema_that_is_one() -> None:
    names = {path.stem for path in SCHEMAS.iterdir()}
    assert EVENT_TYPES.keys() <= names
    assert {f"decision.{kind}" for kind in DECISION_KINDS} <= names
    assert {"decision", "entry", "record", "outcome", "outcomes", "result", "results", "error"} <= names
    for name in sorted(names):
        schema = json.loads((SCHEMAS / f"{name}.json").read_bytes())
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == schemas.DIALECT
        assert schema["description"]


@pytest.mark.parametrize("file", EVENT_FILES)
def test_an_example_of_an_event_fits_its_schema(file: str) -> None:
    document = event_of(file)
    validator(document["type"]).validate(document)


@pytest.mark.parametrize("file", EVENT_FILES)
def test_a_writer_may_not_add_a_field_to_data_and_a_reader_takes_it(file: str) -> None:
    document = event_of(file)
    for place, _ in enumerate(objects(document["data"])):
        changed = copy.deepcopy(document)
        list(objects(changed["data"]))[place]["colour"] = "green"
        assert not validator(document["type"]).is_valid(changed), f"object {place} of data is open"
        decode_event(msgspec.json.encode(changed))


def test_a_writer_may_add_extension_attributes_to_the_envelope() -> None:
    document = event_of("groupbuy.order.joined.v1.json")
    traced = {**document, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    validator(document["type"]).validate(traced)
    decode_event(msgspec.json.encode(traced))
    assert not validator(document["type"]).is_valid({**document, "trace-parent": "1"})
    assert not validator(document["type"]).is_valid({**document, "nested": {}})


def _spoil(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield documents each with one field that no schema allows."""
    for name in document:
        yield f"without {name}", {key: value for key, value in document.items() if key != name}
    for name in document["data"]:
        yield f"data.{name} a list", {**document, "data": {**document["data"], name: [[]]}}
    for name, value in (
        ("id", "an id"),
        ("id", "x" * (ID_MAX_CHARS + 1)),
        ("source", "with space"),
        ("time", "2026-11-23 10:00:00"),
        ("time", "2026-11-23T10:00:00"),
        ("specversion", "0.3"),
        ("publisher", "shop.a"),
        ("datacontenttype", "text/xml"),
        ("data", None),
    ):
        yield f"{name} {value!r}", {**document, name: value}


@pytest.mark.parametrize("file", EVENT_FILES)
def test_what_the_decoder_refuses_the_schema_refuses(file: str) -> None:
    document = event_of(file)
    for what, spoiled in _spoil(document):
        try:
            decode_event(msgspec.json.encode(spoiled))
        except Unreadable:
            assert not validator(document["type"]).is_valid(spoiled), what


@pytest.mark.parametrize("kind", DECISION_KINDS)
def test_an_example_of_a_decision_fits_its_schema(kind: str) -> None:
    document = json.loads((GOLDEN / "decisions" / f"{kind}.json").read_bytes())
    validator(f"decision.{kind}", strict=True).validate(document)
    validator("decision", strict=True).validate(document)
    validator(f"decision.{kind}").validate({**document, "a_later_field": 1})


@pytest.mark.parametrize("name", ENTRIES)
def test_an_example_of_an_entry_fits_its_schema(name: str) -> None:
    validator("entry").validate(json.loads((GOLDEN / "entries" / f"{name}.json").read_bytes()))


def test_the_example_of_a_record_fits_its_schema() -> None:
    validator("record").validate(json.loads((GOLDEN / "record.json").read_bytes()))


def _all_entries() -> list[Entry]:
    """Return the entries of the corpus, and one for each decision alone, as an answer and as timer work."""
    entries = [decode_entry((GOLDEN / "entries" / f"{name}.json").read_bytes()) for name in ENTRIES]
    for decision in DECISIONS:
        head: Any = {"seq": 7, "index": 0, "part": 0, "at": AT_NS, "decisions": [decision]}
        entries += [Entry(**head, publisher="shop-a"), Entry(**head, publisher="pay"), Entry(**head)]
    return entries


def test_everything_that_publishers_are_told_fits_the_schema() -> None:
    told = [outcome_of(entry, "e-1") for entry in _all_entries() if entry.publisher is not None]
    told += [document for entry in _all_entries() for _, document in news_of(entry)]
    for document in told:
        validator("outcome", strict=True).validate(document)
    assert {document["kind"] for document in told} == DECISION_KINDS.keys()
    validator("outcomes", strict=True).validate({"outcomes": told})
    validator("outcomes").validate(json.loads(encode_outcomes([msgspec.json.encode(told[0])])))


def test_everything_that_members_are_told_fits_the_schema() -> None:
    told = [document for entry in _all_entries() for _, document in results_of(entry)]
    for document in told:
        validator("result", strict=True).validate(document)
    assert {"seat.held", "group.filled", "group.expired", "group.dissolved", "refund.due"} <= {x["kind"] for x in told}
    validator("results", strict=True).validate({"results": told})


def test_the_gateways_refusals_fit_the_schema() -> None:
    for refusal in (busy("too many requests"), pending(4711)):
        validator("error", strict=True).validate(json.loads(refusal.encode()))


def test_the_examples_cover_every_decision() -> None:
    assert [kind_of(decision) for decision in DECISIONS] == list(DECISION_KINDS)


def test_a_notice_is_as_its_schema_says_and_nothing_else() -> None:
    data = NoticeData(
        at_ns=AT_NS,
        notice="a" * 32,
        decision="3.0.0/1",
        record=1,
        as_of=2,
        member="m-1",
        purpose="result",
        kind="filled",
        channel="email",
        reason="quiet_hours",
        until_ns=AT_NS,
    )
    for kind in (SENT, DELIVERED, DEFERRED, SUPPRESSED, FAILED):
        envelope = {"id": "x.1", "source": "/groupbuy/main/notifier", "time": "2026-01-01T00:00:00Z"}
        fact = NoticeFact(type=kind, **envelope, data=data)
        body = encode_fact(fact)
        validator("notice", strict=True).validate(json.loads(body))
        assert decode_fact(body) == fact
    for wrong in (b"{}", b"[", b'{"type":"groupbuy.notice.lost.v1"}', encode_fact(_told())):
        with pytest.raises(ValueError, match="not a notice"):
            decode_fact(wrong)


def _told() -> ToldFact:
    told = [ToldOfRecord(record=2, members=["m-1", "m-2"])]
    data = ToldData(at_ns=AT_NS, as_of=2, told=told, decision="3.0.0/0", kind="draw", play="p-1")
    return ToldFact(id="a.7", source="/groupbuy/main/notifier", time="2026-01-01T00:00:00Z", data=data)


def test_a_notice_about_many_is_as_its_schema_says_and_known_from_one_about_a_single_member() -> None:
    body = encode_fact(_told())
    validator("notice.told", strict=True).validate(json.loads(body))
    assert decode_told(body) == _told()
    assert is_told(body)
    for wrong in (b"{}", b"[", body.replace(b'"told":[', b'"told":[],"more":[')):
        with pytest.raises(ValueError, match="not a notice about many"):
            decode_told(wrong)
