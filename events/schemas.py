"""JSON Schemas (2020-12) of everything that is published or told, made from the structs themselves.

Readers tolerate, writers are strict: the schema of an event, which others write, forbids fields that are not known;
the schemas of what we write say what is there and leave room for what later versions add.
"""

import inspect
from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec

from events import decisions as d
from events import outcomes
from events.notice import NoticeFact, ToldFact
from events.record import Entry, Record
from events.registry import EVENT_TYPES

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DECISION_KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(d.AnyDecision)
}
"""Decision struct by kind."""

_POINTER: Final = "#/$defs/{name}"
# https://github.com/cloudevents/spec: names of extension attributes, and the types of theirs that JSON has.
_EXTENSIONS: Final[Schema] = {
    "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
    "additionalProperties": {"type": ["boolean", "integer", "string"]},
}

_ENTRY_NAME: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9]{1,20}\\.[0-9]{1,10}\\.[0-9]{1,10}$",
    "description": "The entry's position in the market's log: sequence, index in the batch, part.",
}
_AT: Final[Schema] = {"type": "integer", "minimum": 0, "description": "Accepted time, nanoseconds since 1970."}
_ASKED: Final[Schema] = {
    "id": {"type": "string", "description": "The event's id; empty where the entry kept no event."},
    "source": {"type": "string", "description": "The event's source."},
}
_SEAT: Final[Schema] = {
    "order": {"type": "string"},
    "member": {"type": "string"},
    "quantity": {"type": "integer"},
    "price_minor": {"type": "integer", "description": "What the member pays in all for this seat."},
}
_WON: Final[Schema] = {"won": {"type": "boolean", "description": "There where winners are drawn: whether it won."}}


def event_schemas() -> dict[str, Schema]:
    """Return the schema of every event type, for writers, by type."""
    return {name: _titled(name, forbid_unknown(_of(kind))) for name, kind in EVENT_TYPES.items()}


def decision_schemas() -> dict[str, Schema]:
    """Return the schema of every decision, by kind."""
    return {kind: _titled(f"decision.{kind}", _of(struct)) for kind, struct in DECISION_KINDS.items()}


def document_schemas() -> dict[str, Schema]:
    """Return the schemas of entry, record, outcome, result and notice, and of the messages that carry them."""
    outcome, result = _outcome(), _result()
    return {
        "decision": _titled("decision", _any_decision()),
        "entry": _titled("entry", _entry()),
        "record": _titled("record", _record()),
        "outcome": _titled("outcome", outcome),
        "outcomes": _titled("outcomes", _listing("outcomes", outcome, "Outcomes, in the order of the log.")),
        "result": _titled("result", result),
        "results": _titled("results", _listing("results", result, "A member's results, in the order of the log.")),
        "error": _titled("error", _error()),
        "notice": _titled("notice", _of(NoticeFact)),
        "notice.told": _titled("notice.told", _of(ToldFact)),
    }


def forbid_unknown(schema: Schema) -> Schema:
    """Return the schema with no object open to fields that it does not name: for checks of what we write."""
    strict: Schema = _strict(schema)
    return strict


def _of(kind: object) -> Schema:
    """Return the schema of a type with the structs that it needs under `$defs`."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template=_POINTER)
    tidy: Schema = _tidy({**schema, "$defs": components})
    return tidy


def _tidy(schema: Any) -> Any:
    """Unfold descriptions, which are docstrings, to one line a paragraph."""
    if isinstance(schema, dict):
        return {
            key: _one_line(value) if key == "description" and isinstance(value, str) else _tidy(value)
            for key, value in schema.items()
        }
    return [_tidy(item) for item in schema] if isinstance(schema, list) else schema


def _one_line(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _titled(name: str, schema: Schema) -> Schema:
    """Return the schema as a document of its own, its root in place of the reference to it."""
    definitions = dict(schema.get("$defs", {}))
    root = {key: value for key, value in schema.items() if key != "$defs"}
    if "$ref" in root:
        root = definitions.pop(root["$ref"].rpartition("/")[2])
    head = {"$schema": DIALECT, "$id": f"urn:groupbuy:schema:{name}", "title": name}
    tail = {"$defs": definitions} if definitions else {}
    return {**head, **{key: value for key, value in root.items() if key != "title"}, **tail}


def _strict(schema: Any) -> Any:
    """Forbid unknown fields in every object that names its own; an event's envelope takes extension attributes."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if found.get("type") == "object" and isinstance(found.get("properties"), dict):
        if "specversion" in found["properties"]:
            found |= _EXTENSIONS
        else:
            found["additionalProperties"] = False
    return found


def _any_decision() -> Schema:
    definitions: Schema = {}
    for struct in DECISION_KINDS.values():
        definitions |= _of(struct)["$defs"]
    return {
        "description": "What the matcher decided.",
        "oneOf": [{"$ref": _POINTER.format(name=struct.__name__)} for struct in DECISION_KINDS.values()],
        "$defs": definitions,
    }


def _entry() -> Schema:
    schema = _of(Entry)
    event = {"type": "object", "description": "The event, exactly as it came; absent where it may not be kept."}
    schema["$defs"]["Entry"]["properties"]["event"] = event
    return schema


def _record() -> Schema:
    schema, entry = _of(Record), _entry()
    schema["$defs"]["Record"]["properties"]["entries"]["items"] = {"$ref": _POINTER.format(name="Entry")}
    return {**schema, "$defs": {**schema["$defs"], **entry["$defs"]}}


def _outcome() -> Schema:
    definitions = {}
    also = {}
    for kind, struct in DECISION_KINDS.items():
        plain = _told(struct, outcomes.NOT_FOR_PUBLISHERS)
        also[f"also.{kind}"] = plain
        seat = {**_SEAT, **_WON} if struct in outcomes.CLOSING else {}
        properties = {**_ASKED, "entry": _ENTRY_NAME, "at": _AT, **plain["properties"], **seat}
        properties["also"] = {"type": "array", "items": {"$ref": _POINTER.format(name="also")}}
        definitions[kind] = {**plain, "properties": properties, "required": ["entry", "at", *plain["required"]]}
    return {
        "description": "The outcome of an event (with id and source), or news of an order or play that came otherwise.",
        "oneOf": _references(definitions),
        "$defs": {**definitions, "also": {"oneOf": _references(also)}, **also, **_shared_definitions()},
    }


def _result() -> Schema:
    definitions = {}
    for kind, struct in DECISION_KINDS.items():
        if struct not in (*outcomes.PERSONAL, *outcomes.CLOSING):
            continue
        plain = _told(struct, outcomes.NOT_FOR_MEMBERS)
        seat = _SEAT if struct in outcomes.CLOSING else {}
        drawn = _WON if struct in outcomes.CLOSING else {}
        properties = {"entry": _ENTRY_NAME, "at": _AT, **plain["properties"], **seat, **drawn}
        definitions[kind] = {**plain, "properties": properties, "required": ["entry", "at", *plain["required"], *seat]}
    lost: Schema = _of(outcomes.PlayLost)["$defs"][outcomes.PlayLost.__name__]
    properties = {**lost["properties"], "entry": _ENTRY_NAME, "at": _AT}
    return {
        "description": "What a member is told of an own order, play or assist.",
        "oneOf": _references([*definitions, "play.lost"]),
        "$defs": {**definitions, "play.lost": {**lost, "properties": properties}, **_shared_definitions()},
    }


def _told(struct: type[msgspec.Struct], left_out: Iterable[str]) -> Schema:
    """Return the schema of a decision as outsiders see it."""
    schema: Schema = _of(struct)["$defs"][struct.__name__]
    hidden = {*left_out, *(("seats",) if struct in outcomes.CLOSING else ())}
    properties = {name: value for name, value in schema["properties"].items() if name not in hidden}
    return {**schema, "properties": properties, "required": [x for x in schema["required"] if x not in hidden]}


def _shared_definitions() -> Schema:
    return {name: _of(d.AnyDecision)["$defs"][name] for name in ("Reason", "Fault", "Remedy")}


def _references(definitions: Iterable[str]) -> list[Schema]:
    return [{"$ref": _POINTER.format(name=name)} for name in definitions]


def _listing(field: str, item: Schema, description: str) -> Schema:
    root = {key: value for key, value in item.items() if key != "$defs"}
    return {
        "description": description,
        "type": "object",
        "properties": {field: {"type": "array", "items": root, "minItems": 1}},
        "required": [field],
        "$defs": item["$defs"],
    }


def _error() -> Schema:
    properties = {
        "code": {"type": "string", "description": "Why there are no outcomes; spellings never change."},
        "message": {"type": "string", "description": "What was wrong, what was expected, what to do."},
        "retry_after_s": {"type": "integer", "description": "There where trying again, with the same ids, helps."},
        "intake": {"type": "integer", "description": "The intake message that holds the request's first event."},
    }
    error = {"type": "object", "properties": properties, "required": ["code", "message"]}
    return {
        "description": "A request that got no outcomes.",
        "type": "object",
        "properties": {"error": error},
        "required": ["error"],
    }
