"""A file of events, one JSON object a line: read, completed and checked whole before anything is sent."""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import Any, Final

import msgspec

from deploy.cli.output import CommandError
from deploy.permissions import OPERATOR, OPERATOR_FAMILIES, PUBLISHER_FAMILIES
from events.decode import NamesAPerson, Unreadable, decode_event
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES
from events.reason_sentences import sentence
from events.registry import EVENT_TYPES, AnyEvent

SOURCE: Final = "/groupbuy/publish"
EXPECTED: Final = "one CloudEvent a line, a JSON object with at least `type` and `data`"
_EXAMPLE_TYPE: Final = "groupbuy.order.posted.v1"
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class CheckedEvent:
    """An event ready to be sent, how long it is, and who publishes it under which family."""

    line: int
    publisher: str
    family: str
    document: dict[str, Any]
    size_bytes: int

    @property
    def id(self) -> str:
        """The event's id."""
        return str(self.document["id"])

    @property
    def kind(self) -> str:
        """What happened, e.g. `order.posted`."""
        return str(self.document["type"]).removeprefix("groupbuy.").removesuffix(".v1")


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Consecutive events of one publisher and family, within the limits of a batch."""

    publisher: str
    family: str
    events: tuple[CheckedEvent, ...]


def check_lines(lines: Iterable[bytes], now: str, publisher: str | None = None) -> list[CheckedEvent]:
    """Return every event in `lines`; blank lines are left out.

    `now` is the time of events that carry none; `publisher` publishes all of them, or the one that suits each family.
    Raises CommandError naming the first line that cannot be sent and what was expected.
    """
    checked = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            checked.append(_check_line(number, line, now, publisher))
    if not checked:
        raise CommandError(f"there is no event in it; expected {EXPECTED}")
    return checked


def batches_of(events: Iterable[CheckedEvent]) -> Iterator[EventBatch]:
    """Yield the events in their order, as many in a batch as one subject and the limits allow."""
    for (publisher, family), run in groupby(events, key=lambda event: (event.publisher, event.family)):
        batch: list[CheckedEvent] = []
        size_bytes = 2
        for event in run:
            if len(batch) == BATCH_MAX_EVENTS or size_bytes + event.size_bytes + 1 > BATCH_MAX_BYTES:
                yield EventBatch(publisher, family, tuple(batch))
                batch, size_bytes = [], 2
            batch.append(event)
            size_bytes += event.size_bytes + 1
        yield EventBatch(publisher, family, tuple(batch))


def _check_line(number: int, line: bytes, now: str, publisher: str | None) -> CheckedEvent:
    document = _parse(number, line)
    completed = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": SOURCE, "time": now, **document}
    try:
        body = _encode(completed)
    except (UnicodeEncodeError, OverflowError) as error:
        raise CommandError(f"line {number} holds text or a number that JSON cannot carry: {error}") from None
    try:
        event, _ = decode_event(body)
    except Unreadable as fault:
        raise CommandError(_explain(number, fault, document)) from None
    except NamesAPerson as person:
        raise CommandError(
            f"line {number}: {person.field} looks like a phone number, identity number or e-mail address; "
            "expected a pseudonym"
        ) from None
    _refuse_unknown_fields(number, event, completed["data"])
    family = str(completed["type"]).split(".")[1]
    return CheckedEvent(number, _publisher_for(number, family, publisher), family, completed, len(body))


def _parse(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > 2 * EVENT_MAX_BYTES:
        raise CommandError(f"line {number} has {len(line)} bytes; expected at most {EVENT_MAX_BYTES}")
    try:
        document = json.loads(line, object_pairs_hook=_unique_keys)
    except UnicodeDecodeError as error:
        raise CommandError(f"line {number} is not UTF-8 at byte {error.start}; expected {EXPECTED}") from None
    except RecursionError:
        raise CommandError(f"line {number} is nested too deeply; expected {EXPECTED}") from None
    except json.JSONDecodeError as error:
        raise CommandError(
            f"line {number} is not JSON: {error.msg} at column {error.colno}; expected {EXPECTED}"
        ) from None
    except ValueError as error:
        raise CommandError(f"line {number}: {error}") from None
    if not isinstance(document, dict):
        raise CommandError(f"line {number} is {_name_of(document)}; expected {EXPECTED}")
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in an object; expected each key once")
    return fields


def _name_of(document: Any) -> str:
    kinds = {list: "a JSON array", str: "a JSON string", bool: "a JSON boolean", int: "a number", float: "a number"}
    return kinds.get(type(document), "null")


def _explain(number: int, fault: Unreadable, document: dict[str, Any]) -> str:
    kind = document.get("type")
    if "type" not in document:
        return f"line {number} has no `type`; expected for example {_EXAMPLE_TYPE}"
    if not isinstance(kind, str) or kind not in EVENT_TYPES:
        near = get_close_matches(str(kind), EVENT_TYPES, 1, 0.5)
        return f"line {number}: no event type {kind!r} is known; expected for example {(near or [_EXAMPLE_TYPE])[0]}"
    detail = f" ({fault.detail})" if fault.detail else ""
    return f"line {number}: {sentence(fault.fault)}{detail}"


def _refuse_unknown_fields(number: int, event: AnyEvent, data: dict[str, Any]) -> None:
    """Refuse what readers would tolerate: in what is written here, an unknown field is a spelling mistake."""
    known = event.data.__struct_fields__
    for name in data:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(known)}"
            raise CommandError(f"line {number}: {event.__struct_config__.tag} has no field {name!r} in `data`; {hint}")


def _publisher_for(number: int, family: str, publisher: str | None) -> str:
    """Return who publishes a family: the operator what is the operator's, `local` the rest."""
    chosen = publisher or (OPERATOR if family in OPERATOR_FAMILIES else "local")
    allowed = OPERATOR_FAMILIES if chosen == OPERATOR else PUBLISHER_FAMILIES
    if family not in allowed:
        raise CommandError(
            f"line {number}: {chosen} may not publish the family {family!r}; expected one of {', '.join(allowed)}"
        )
    return chosen
