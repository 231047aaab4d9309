"""The AsyncAPI 3.0 document: every channel, what passes on it, who sends it, and within which limits."""

from typing import Any, Final

import msgspec

from events import limits, subjects
from events.registry import EVENT_TYPES
from events.schemas import DIALECT, Schema

EVENT_CONTENT: Final = "application/cloudevents+json"
BATCH_CONTENT: Final = "application/cloudevents-batch+json"
JSON_CONTENT: Final = "application/json"

_SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
_PUBLISHED: Final = sorted({name.split(".")[1] for name in EVENT_TYPES})
"""Families that have events."""

_LIMITS: Final = {
    "event_max_bytes": limits.EVENT_MAX_BYTES,
    "batch_max_bytes": limits.BATCH_MAX_BYTES,
    "batch_max_events": limits.BATCH_MAX_EVENTS,
    "record_max_bytes": limits.RECORD_MAX_BYTES,
    "payload_max_bytes": limits.PAYLOAD_MAX_BYTES,
    "leaf_max_bytes": limits.LEAF_MAX_BYTES,
    "id_max_chars": limits.ID_MAX_CHARS,
    "source_max_chars": limits.SOURCE_MAX_CHARS,
    "json_max_depth": limits.JSON_MAX_DEPTH,
    "group_min_seats": limits.GROUP_MIN_SEATS,
    "group_max_seats": limits.GROUP_MAX_SEATS,
}
_NAME: Final = "1 to 64 of A-Z a-z 0-9 _ -"
_PARAMETERS: Final[dict[str, Schema]] = {
    "market": {"description": f"A market, the unit of order: {_NAME}.", "examples": ["main"]},
    "publisher": {"description": f"The authenticated publisher: {_NAME}.", "examples": ["shop-a"]},
    "member": {"description": f"A member's random pseudonym: {_NAME}.", "examples": ["m-3f2a9c0d"]},
}
_INTAKE_TEXT: Final = (
    "Publish to JetStream and be sure: the broker's acknowledgement means durable, and every event gets exactly one "
    "outcome. One event of at most 32 KiB, or a batch of at most 1,000 events and 768 KiB. Send no Nats-Msg-Id: a "
    "repeated event is answered, with its original outcome, not swallowed."
)
_SUBMIT_TEXT: Final = (
    "Request, answered with the outcomes of the events sent, in their order. Repeat it with the same ids when no "
    "answer comes. One event of at most 32 KiB, or a batch of at most 1,000 events and 768 KiB."
)


def document(examples: dict[str, Any]) -> Schema:
    """Return the document. `examples` holds an example of an event by its type."""
    channels = {**_intake_channels(), **_submit_channels(), **_output_channels()}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:groupbuy:market",
        "info": _info(),
        "defaultContentType": JSON_CONTENT,
        "servers": _servers(),
        "channels": channels,
        "operations": _operations(),
        "components": {"messages": {**_event_messages(examples), **_batch_messages(), **_told_messages()}},
        "x-limits": _LIMITS,
    }


def _info() -> Schema:
    return {
        "title": "Group-buy market",
        "version": "1.0.0",
        "description": (
            "Backends publish CloudEvents 1.0 (structured JSON, single or batch) and get a definite outcome for every "
            "event; members get results. Operations are described from the market's side: what it receives and what "
            "it sends. Schemas of events are for writers and forbid unknown fields in `data`; the market accepts and "
            "keeps such fields. Schemas of what the market sends leave room: ignore what you do not know."
        ),
    }


def _servers() -> Schema:
    return {
        "nats": {
            "host": "{host}:{port}",
            "protocol": "nats",
            "description": "A NATS server with JetStream; max_payload 8 MiB. Users sign in with an nkey each.",
            "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "4222"}},
        }
    }


def _intake_channels() -> Schema:
    channels = {
        f"intake.{family}": _channel(
            subjects.intake("{market}", "{publisher}", family),
            f"Events of the family `{family}`. {_INTAKE_TEXT}",
            [*_types_of(family), f"batch.{family}"],
        )
        for family in _PUBLISHED
    }
    channels["intake.mixed"] = _channel(
        subjects.intake("{market}", subjects.GATEWAY, subjects.MIXED),
        "What the gateway gathered: events of any family and publisher in one message, each with the extension "
        "attribute `publisher` as the gateway authenticated it. Only the gateway may publish here; on any other "
        "subject that attribute is ignored.",
        ["batch.mixed"],
    )
    return channels


def _submit_channels() -> Schema:
    channels = {
        f"submit.{family}": _channel(
            subjects.submit("{market}", "{publisher}", family),
            f"Events of the family `{family}`. {_SUBMIT_TEXT}",
            [*_types_of(family), f"batch.{family}"],
        )
        for family in _PUBLISHED
    }
    channels["submit.reply"] = {
        "address": None,
        "description": "The requester's own inbox, `_INBOX.<publisher>.` and more; the gateway answers nowhere else.",
        "messages": _message_refs(["outcomes", "error"]),
    }
    return channels


def _output_channels() -> Schema:
    return {
        "journal": _channel(
            subjects.journal("{market}"),
            "The market's log: one record is one message, at most 4 MiB, chained by SHA-256 and doubly fenced. Only "
            "the matcher may publish here. A message whose Nats-Msg-Id is not the SHA-256 of its body is a stray: "
            "skip it.",
            ["record"],
        ),
        "outcome": _channel(
            subjects.outcome("{market}", "{publisher}"),
            "A publisher's own outcomes again, durably: the answers to its events, and news of its orders that "
            "something else caused.",
            ["outcomes"],
        ),
        "result": _channel(
            subjects.result("{market}", "{member}"), "What a member is told of own orders.", ["results"]
        ),
        "notices": _channel(
            subjects.notices("{market}"),
            "Facts about messages to members that were sent, held back or failed.",
            ["notice", "notice.told"],
        ),
        "checkpoint": _channel(
            subjects.checkpoint("{market}"),
            "The ledger's signed checkpoints of its Merkle tree: a signed note.",
            ["checkpoint"],
        ),
    }


def _operations() -> Schema:
    operations: Schema = {}
    for family in [*_PUBLISHED, subjects.MIXED]:
        operations[f"receive.{family}"] = _operation("receive", f"intake.{family}", f"Take events of {family} in.")
    for family in _PUBLISHED:
        answered = _operation("receive", f"submit.{family}", f"Answer events of {family} with their outcomes.")
        answered["reply"] = {
            "address": {
                "location": "$message.header#/reply-to",
                "description": "The reply subject of the NATS request.",
            },
            "channel": _ref("channels", "submit.reply"),
            "messages": _channel_message_refs("submit.reply", ["outcomes", "error"]),
        }
        operations[f"answer.{family}"] = answered
    for channel, summary in (
        ("journal", "Commit a record."),
        ("outcome", "Tell a publisher its outcomes."),
        ("result", "Tell a member its results."),
        ("notices", "Note what was sent, held back or failed."),
        ("checkpoint", "Sign what the ledger holds."),
    ):
        operations[f"send.{channel}"] = _operation("send", channel, summary)
    return operations


def _event_messages(examples: dict[str, Any]) -> Schema:
    return {
        name: {
            "name": name,
            "title": name.split(".")[1] + " " + name.split(".")[2],
            "summary": _summary(kind),
            "contentType": EVENT_CONTENT,
            "payload": _payload({"$ref": f"./schemas/{name}.json"}),
            "examples": [{"name": "example", "payload": examples[name]}],
        }
        for name, kind in EVENT_TYPES.items()
    }


def _batch_messages() -> Schema:
    messages = {}
    for family in [*_PUBLISHED, subjects.MIXED]:
        types = EVENT_TYPES if family == subjects.MIXED else _types_of(family)
        items = {"anyOf": [{"$ref": f"./schemas/{name}.json"} for name in types]}
        messages[f"batch.{family}"] = {
            "name": f"batch.{family}",
            "title": f"Batch of {family} events",
            "summary": "Events in the JSON batch format of CloudEvents; one bad event spoils only itself.",
            "contentType": BATCH_CONTENT,
            "payload": _payload({"type": "array", "items": items, "minItems": 1, "maxItems": limits.BATCH_MAX_EVENTS}),
        }
    return messages


def _told_messages() -> Schema:
    id_headers = {
        "type": "object",
        "properties": {
            subjects.HEADER_MESSAGE_ID: {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            subjects.HEADER_LAST_SEQUENCE: {"type": "string"},
            subjects.HEADER_LAST_MESSAGE_ID: {"type": "string"},
        },
        "required": [subjects.HEADER_MESSAGE_ID],
    }
    return {
        "record": {
            **_told("record", "Consecutive entries, committed together; see BYTES.md for the exact bytes."),
            "headers": id_headers,
        },
        "outcomes": _told("outcomes", "Outcomes, in the order of the log."),
        "results": _told("results", "A member's results, in the order of the log."),
        "error": _told("error", "Why a request got no outcomes, and what to do."),
        "notice": _told("notice", "What became of a message to a member; a CloudEvent that no intake takes."),
        "notice.told": _told("notice.told", "Who was told on the own subject; a CloudEvent that no intake takes."),
        "checkpoint": {
            "name": "checkpoint",
            "title": "Checkpoint",
            "summary": "Origin, size and root of the tree, and signatures, as text.",
            "contentType": "text/plain; charset=utf-8",
            "payload": _payload({"type": "string"}),
        },
    }


def _told(name: str, summary: str) -> Schema:
    return {
        "name": name,
        "title": name.capitalize(),
        "summary": summary,
        "contentType": JSON_CONTENT,
        "payload": _payload({"$ref": f"./schemas/{name}.json"}),
    }


def _channel(address: str, description: str, messages: list[str]) -> Schema:
    parameters = {name: text for name, text in _PARAMETERS.items() if f"{{{name}}}" in address}
    return {
        "address": address,
        "description": description,
        "servers": [_ref("servers", "nats")],
        "parameters": parameters,
        "messages": _message_refs(messages),
    }


def _operation(action: str, channel: str, summary: str) -> Schema:
    return {"action": action, "channel": _ref("channels", channel), "summary": summary}


def _payload(schema: Schema) -> Schema:
    dialect = {} if "$ref" in schema else {"$schema": DIALECT}
    return {"schemaFormat": _SCHEMA_FORMAT, "schema": {**dialect, **schema}}


def _types_of(family: str) -> list[str]:
    return [name for name in EVENT_TYPES if name.split(".")[1] == family]


def _summary(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").strip()


def _ref(*path: str) -> Schema:
    return {"$ref": "#/" + "/".join(path)}


def _message_refs(names: list[str]) -> Schema:
    return {name: _ref("components", "messages", name) for name in names}


def _channel_message_refs(channel: str, names: list[str]) -> list[Schema]:
    return [_ref("channels", channel, "messages", name) for name in names]
