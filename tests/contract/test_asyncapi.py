"""The AsyncAPI document has the structure that version 3.0 of the specification asks for, and nothing dangles in it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from events import subjects
from events.generate import GENERATED
from events.registry import EVENT_TYPES

DOCUMENT: dict[str, Any] = json.loads((GENERATED / "asyncapi.json").read_bytes())
CHANNELS: dict[str, Any] = DOCUMENT["channels"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]

ROOT_FIELDS = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
CHANNEL_FIELDS = {
    "address",
    "messages",
    "title",
    "summary",
    "description",
    "servers",
    "parameters",
    "tags",
    "externalDocs",
    "bindings",
}
OPERATION_FIELDS = {
    "action",
    "channel",
    "title",
    "summary",
    "description",
    "security",
    "tags",
    "externalDocs",
    "bindings",
    "traits",
    "messages",
    "reply",
}
MESSAGE_FIELDS = {
    "headers",
    "payload",
    "correlationId",
    "contentType",
    "name",
    "title",
    "summary",
    "description",
    "tags",
    "externalDocs",
    "bindings",
    "examples",
    "traits",
}
PARAMETER_FIELDS = {"enum", "default", "description", "examples", "location"}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolve(pointer: str) -> Any:
    found: Any = DOCUMENT
    for token in pointer.removeprefix("#/").split("/"):
        found = found[token.replace("~1", "/").replace("~0", "~")]
    return found


def channel_of(operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    pointer = operation["channel"]["$ref"]
    return pointer.removeprefix("#/channels/"), resolve(pointer)


def test_the_root_has_what_the_specification_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    assert not {name for name in DOCUMENT if not name.startswith("x-")} - ROOT_FIELDS
    for server in DOCUMENT["servers"].values():
        assert {"host", "protocol"} <= server.keys()
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == server["variables"].keys()


def test_no_reference_dangles() -> None:
    for reference in references(DOCUMENT):
        if reference.startswith("#/"):
            assert resolve(reference) is not None
        else:
            assert (GENERATED / reference).is_file(), reference


def test_every_channel_declares_the_parameters_of_its_address_and_no_others() -> None:
    for name, channel in CHANNELS.items():
        assert not channel.keys() - CHANNEL_FIELDS, name
        assert channel["messages"], name
        assert channel["description"], name
        if channel["address"] is not None:
            assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel["parameters"].keys(), name
        for parameter in channel.get("parameters", {}).values():
            assert not parameter.keys() - PARAMETER_FIELDS
        for message in channel["messages"].values():
            assert message.keys() == {"$ref"}
            assert message["$ref"].startswith("#/components/messages/")


def test_no_two_channels_have_one_address() -> None:
    addresses = [channel["address"] for channel in CHANNELS.values()]
    assert len(set(addresses)) == len(addresses)


def test_every_operation_acts_on_a_channel_with_messages_of_that_channel() -> None:
    for name, operation in OPERATIONS.items():
        assert not operation.keys() - OPERATION_FIELDS, name
        assert operation["action"] in ("send", "receive"), name
        channel_name, channel = channel_of(operation)
        assert channel in CHANNELS.values(), name
        for message in operation.get("messages", []):
            assert message["$ref"].startswith(f"#/channels/{channel_name}/messages/")


def test_every_channel_is_used_by_an_operation() -> None:
    used = {channel_of(operation)[0] for operation in OPERATIONS.values()}
    used |= {channel_of(operation["reply"])[0] for operation in OPERATIONS.values() if "reply" in operation}
    assert used == CHANNELS.keys()


def test_a_request_is_answered_with_outcomes_or_an_error() -> None:
    answered = [operation for operation in OPERATIONS.values() if "reply" in operation]
    assert len(answered) == sum(name.startswith("submit.") for name in CHANNELS) - 1
    for operation in answered:
        assert operation["action"] == "receive"
        assert operation["reply"]["address"]["location"].startswith("$message.")
        name, channel = channel_of(operation["reply"])
        assert channel["address"] is None
        pointers = [message["$ref"] for message in operation["reply"]["messages"]]
        assert pointers == [f"#/channels/{name}/messages/outcomes", f"#/channels/{name}/messages/error"]


def test_every_message_says_what_it_is_and_how_its_payload_is_described() -> None:
    for name, message in MESSAGES.items():
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
        assert not message.keys() - MESSAGE_FIELDS, name
        assert {"name", "title", "summary", "contentType", "payload"} <= message.keys(), name
        assert message["payload"].keys() == {"schemaFormat", "schema"}, name
        assert message["payload"]["schemaFormat"] == "application/schema+json;version=draft-2020-12"
        if "$ref" not in message["payload"]["schema"]:
            Draft202012Validator.check_schema(message["payload"]["schema"])


def test_every_message_passes_on_some_channel() -> None:
    carried = {reference for channel in CHANNELS.values() for reference in references(channel["messages"])}
    assert carried == {f"#/components/messages/{name}" for name in MESSAGES}


def test_every_event_type_can_be_published_and_submitted_on_its_family() -> None:
    for name in EVENT_TYPES:
        family = name.split(".")[1]
        assert name in CHANNELS[f"intake.{family}"]["messages"]
        assert name in CHANNELS[f"submit.{family}"]["messages"]
        assert f"batch.{family}" in CHANNELS[f"intake.{family}"]["messages"]


def test_the_addresses_are_the_subjects_that_the_services_use() -> None:
    market, publisher, member = "{market}", "{publisher}", "{member}"
    expected = {
        "intake.order": subjects.intake(market, publisher, "order"),
        "intake.mixed": subjects.intake(market, subjects.GATEWAY, subjects.MIXED),
        "submit.order": subjects.submit(market, publisher, "order"),
        "journal": subjects.journal(market),
        "outcome": subjects.outcome(market, publisher),
        "result": subjects.result(market, member),
        "notices": subjects.notices(market),
        "checkpoint": subjects.checkpoint(market),
    }
    assert {name: CHANNELS[name]["address"] for name in expected} == expected


def test_the_examples_fit_the_payloads() -> None:
    resources = {
        f"./schemas/{path.name}": Resource.from_contents(json.loads(path.read_bytes()))
        for path in (GENERATED / "schemas").iterdir()
    }
    registry: Registry[Any] = Registry().with_resources(resources.items())
    for name in EVENT_TYPES:
        payload = MESSAGES[name]["payload"]["schema"]
        batch = MESSAGES["batch.mixed"]["payload"]["schema"]
        for example in MESSAGES[name]["examples"]:
            Draft202012Validator(payload, registry=registry).validate(example["payload"])
            Draft202012Validator(batch, registry=registry).validate([example["payload"]])
