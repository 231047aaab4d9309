"""From the bytes of an intake message to events, each read on its own, or to the fault that it has.

One bad event spoils only itself. Here is the quick path that nearly every event takes; whatever is unusual about
one is looked at in `events.scrutiny`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET

from events.assist import AssistGivenEvent
from events.faults import NamesAPerson, Unreadable
from events.ids import ID_LINES, NUMBER_MIN_CHARS, is_currency, is_source, names_a_person, text_names_a_person
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES, SOURCE_MAX_CHARS
from events.market import MarketConfiguredEvent
from events.member import MemberPreferredEvent
from events.nesting import split_array
from events.order import OrderJoinedEvent, OrderPostedEvent
from events.raw import Unread
from events.reasons import Fault
from events.registry import AnyEvent
from events.scrutiny import check_utf8, explain, find_bad_id, find_value, look_closely
from events.times import parse_time_ns

__all__ = [
    "NamesAPerson",
    "Unreadable",
    "decode_archived",
    "decode_batch",
    "decode_event",
    "finish_decoding",
    "split_message",
    "split_unread",
]

_SOURCES_REMEMBERED: Final = 4096
_CURRENCIES_SEEN: Final[set[str]] = set()
"""Only codes of three capital letters, so that it cannot grow without end."""
_GOOD_SOURCE: Final = (True, False)
_QUICKLY_READ: Final = frozenset({OrderPostedEvent, OrderJoinedEvent, AssistGivenEvent})
Decoded = tuple[AnyEvent, int]
"""(event, claimed time in ns or NOT_LOOKED_AT)."""
NOT_LOOKED_AT: Final = -1
"""Stands for the time of an event that is read, of which `finish_decoding` has to ask the rest."""
# As a number: looking for bytes in bytes costs 0.2 µs in CPython 3.11.
_BACKSLASH: Final = ord("\\")
_BRACE: Final = ord("{")
_CLOSING_BRACE: Final = ord("}")
_WITH_A_FREE_TEXT: Final = frozenset({MarketConfiguredEvent, MemberPreferredEvent})
"""Always looked at closely: a name of a time zone may be anything until the rules look it up."""
_batch_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_event_decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
_events_decoder: Final[msgspec.json.Decoder[list[AnyEvent]]] = msgspec.json.Decoder(list[AnyEvent])
_encode_into: Final = msgspec.json.Encoder().encode_into
_encoded: Final = bytearray()
"""Where an event is encoded again, only to compare lengths; one buffer for all costs a third less than new bytes."""


def split_message(body: bytes) -> list[bytes]:
    """Return the raw events of an intake message: itself, or each element of a batch, no whitespace around them.

    Raises Unreadable when the message as a whole cannot be taken apart or passes a limit of batches.
    """
    return list(map(bytes, split_unread(body)))


def split_unread(body: bytes) -> list[Unread]:
    """Return the same without a copy of each: 0.2 µs an event less for what needs none. Raises as `split_message`."""
    if body and body[0] == _BRACE and body[-1] == _CLOSING_BRACE:
        return [body]
    body = body.strip(b" \t\r\n")
    if body[:1] != b"[":
        return [body]
    if len(body) > BATCH_MAX_BYTES:
        raise Unreadable(Fault.BATCH_TOO_LARGE, f"{len(body)} bytes")
    try:
        elements: list[Unread] = list(_batch_decoder.decode(body))
    except RecursionError:
        elements = list(_split_deep(body))
    except msgspec.DecodeError as error:
        check_utf8(body)
        raise Unreadable(Fault.NOT_JSON, str(error)) from None
    if not elements:
        raise Unreadable(Fault.EMPTY, "an empty batch")
    if len(elements) > BATCH_MAX_EVENTS:
        raise Unreadable(Fault.TOO_MANY_EVENTS, f"more than {BATCH_MAX_EVENTS} events")
    return elements


def _split_deep(body: bytes) -> list[bytes]:
    elements = split_array(body, BATCH_MAX_EVENTS)
    if elements is None:
        raise Unreadable(Fault.NOT_JSON, "the brackets of the batch do not match")
    return elements


def decode_event(raw: bytes) -> tuple[AnyEvent, int]:
    """Return the event in `raw` and its claimed time in ns.

    Raises Unreadable with the precise fault, or, when it is readable but must not be kept, NamesAPerson.
    """
    if len(raw) > EVENT_MAX_BYTES:
        raise Unreadable(Fault.EVENT_TOO_LARGE, f"{len(raw)} bytes")
    if not raw.isascii():
        check_utf8(raw)
    try:
        event = _event_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise explain(raw, error) from None
    # Every element of compact JSON without defaults, escapes or unknown fields is re-encoded at the same length and
    # none at a greater one, so equal lengths mean that nothing was skipped and no key came twice: 0.2 µs for most
    # events instead of 3 to 10 µs for a second parse.
    _encode_into(event, _encoded)
    if type(event) is OrderPostedEvent or type(event) is OrderJoinedEvent:
        payment = event.data.payment
        if payment is not None and payment.currency not in _CURRENCIES_SEEN:
            _look_at_currency(raw, payment.currency)
        if len(_encoded) == len(raw) and _is_plain(raw, event):
            return event, _parse_time(event, event.time)
    elif type(event) is AssistGivenEvent and len(_encoded) == len(raw) and _is_plain_assist(raw, event):
        return event, _parse_time(event, event.time)
    return event, _look_at(raw, event, has_length_of_its_own=len(_encoded) != len(raw))


def decode_batch(raws: Sequence[Unread], batch: bytes | None = None) -> list[Decoded | None]:
    """Return for each event what `decode_event` returns; None where that has to be asked.

    What it asks of a plain order or assist is asked of all events together, in a few calls for a hundred.
    As soon as anything is unusual about the bytes of one, nothing is said of any. `batch` is where they were cut out,
    if they were.
    """
    nothing: list[Decoded | None] = [None] * len(raws)
    body = b"[%b]" % b",".join(raws) if batch is None else batch
    if not body.isascii() or _BACKSLASH in body:
        return nothing
    try:
        events = _events_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return nothing
    _encode_into(events, _encoded)
    # As in `decode_event`: no event is encoded at a greater length, so equal sums mean equal lengths.
    if len(_encoded) != len(body):
        # There may be space between them.
        return nothing if batch is None else decode_batch(raws)
    if not _WITH_A_FREE_TEXT.isdisjoint(map(type, events)):
        return nothing
    decoded, lines, source, time, at_ns = nothing, [""], "", "", 0
    for place, event in enumerate(events):
        if type(event) not in _QUICKLY_READ:
            # Its lengths are equal: a publisher of other types, payments above all, need not have them read twice.
            if len(bytes(raws[place])) <= EVENT_MAX_BYTES:
                decoded[place] = event, NOT_LOOKED_AT
            continue
        if event.source != source:
            if _look_at_source(event.source) != _GOOD_SOURCE:
                continue
            source = event.source
        if event.time != time:
            try:
                at_ns = parse_time_ns(event.time)
            except ValueError:
                continue
            time = event.time
        # Every field of a plain one has a limit, and there is nothing else: it cannot be too large.
        if _names_plainly(event):
            lines.append(_ids_of(event))
            decoded[place] = event, at_ns
    if "\n".join(lines).encode().translate(None, ID_LINES):
        return [None] * len(raws)
    return decoded


def _names_plainly(event: AnyEvent) -> bool:
    """Tell of an order or assist that nothing but the characters of its ids has to be looked at."""
    if event.publisher is not UNSET or event.subject is not UNSET or event.dataschema is not UNSET:
        return False
    if type(event) is OrderPostedEvent or type(event) is OrderJoinedEvent:
        data = event.data
        payment, member = data.payment, data.member
        if data.via is not None:
            return False
        if payment is not None and (payment.paid_at is not None or payment.currency not in _CURRENCIES_SEEN):
            return False
    elif type(event) is AssistGivenEvent:
        via = event.data.via
        if via is not None and ("." in via or (len(via) >= NUMBER_MIN_CHARS and names_a_person(via))):
            return False
        member = event.data.member
    else:
        raise AssertionError("of other types nothing is asked here")
    return "." not in member and (len(member) < NUMBER_MIN_CHARS or not names_a_person(member))


def finish_decoding(raw: bytes, decoded: Decoded | None) -> Decoded:
    """Return the event in `raw`, of which `decode_batch` said `decoded`. Raises as `decode_event` does."""
    if decoded is None:
        return decode_event(raw)
    event, at_ns = decoded
    return decoded if at_ns != NOT_LOOKED_AT else (event, _look_at(raw, event, has_length_of_its_own=False))


def _look_at_currency(raw: bytes, currency: str) -> None:
    """Raise Unreadable where the currency of an order's payment is none; remember it where it is."""
    if not is_currency(currency):
        raise explain(raw, msgspec.ValidationError())
    _CURRENCIES_SEEN.add(currency)


def _is_plain(raw: bytes, event: OrderPostedEvent | OrderJoinedEvent) -> bool:
    """Tell of an order as compact as can be that `_look_at` would find nothing in it but, perhaps, a bad time.

    It asks the same in one go: nearly every event is such an order, and for it this is 1 µs less.
    """
    data = event.data
    member = data.member
    return not (
        _ids_of(event).encode().translate(None, ID_LINES)
        or _BACKSLASH in raw
        or "." in member
        or (len(member) >= NUMBER_MIN_CHARS and names_a_person(member))
        or data.via is not None
        or (data.payment is not None and data.payment.paid_at is not None)
        or event.publisher is not UNSET
        or event.subject is not UNSET
        or event.dataschema is not UNSET
        or _look_at_source(event.source) != _GOOD_SOURCE
    )


def _ids_of(event: AnyEvent) -> str:
    """Return every identifier of an event, one a line; of most orders without a call of their own method."""
    if type(event) is OrderPostedEvent:
        data = event.data
        payment = data.payment
        has_more = data.sku is not None or data.pool is not None or data.via is not None or data.signals is not None
        if payment is not None and not has_more:
            return f"{event.id}\n{data.order}\n{data.member}\n{data.offer}\n{payment.payment}"
    return f"{event.id}\n{event.data.ids()}"


def _is_plain_assist(raw: bytes, event: AssistGivenEvent) -> bool:
    """Tell the same of an assist."""
    data = event.data
    member, via = data.member, data.via
    return not (
        f"{event.id}\n{data.ids()}".encode().translate(None, ID_LINES)
        or _BACKSLASH in raw
        or "." in member
        or (len(member) >= NUMBER_MIN_CHARS and names_a_person(member))
        or (via is not None and ("." in via or (len(via) >= NUMBER_MIN_CHARS and names_a_person(via))))
        or event.publisher is not UNSET
        or event.subject is not UNSET
        or event.dataschema is not UNSET
        or _look_at_source(event.source) != _GOOD_SOURCE
    )


def _look_at(raw: bytes, event: AnyEvent, *, has_length_of_its_own: bool) -> int:
    """Return the claimed time of an event, in ns, after every check; `has_length_of_its_own`: re-encoded it differs."""
    data, person = event.data, None
    # A market's `offer_defaults` are written even where they were absent: lengths say nothing of it.
    odd = has_length_of_its_own or type(event) in _WITH_A_FREE_TEXT
    if odd or event.subject is not UNSET or event.dataschema is not UNSET:
        person = look_closely(raw, event)
    person = _check_names(raw, event) or person
    for time in data.times():
        if time is not None:
            _parse_time(event, time)
    at_ns = _parse_time(event, event.time)
    if person is not None:
        raise NamesAPerson(event, person, at_ns)
    return at_ns


def decode_archived(raw: Unread) -> AnyEvent:
    """Return an event that was accepted before and is read again from a record."""
    return _event_decoder.decode(raw)


def _check_names(raw: bytes, event: AnyEvent) -> str | None:
    """Return the field of pseudonyms, or the source, that names a person; raise Unreadable for what is no name."""
    data, publisher, members = event.data, event.publisher, event.data.members()
    if publisher is UNSET:
        ids = f"{event.id}\n{data.ids()}"
    else:
        ids, members = f"{event.id}\n{publisher}\n{data.ids()}", (publisher, *members)
    # An escaped line feed in one id would make it look like two: no line feed comes without a backslash.
    if ids.encode().translate(None, ID_LINES) or (_BACKSLASH in raw and find_bad_id(event, ids)):
        raise Unreadable(Fault.BAD_ID, f"{find_bad_id(event, ids)}: ids are 1 to 64 of A-Z a-z 0-9 . _ -")
    person = None
    for name in members:
        if name is None:
            continue
        if "." in name:
            raise Unreadable(Fault.BAD_ID, f"{find_value(event, name)}: names are 1 to 64 of A-Z a-z 0-9 _ -")
        if len(name) >= NUMBER_MIN_CHARS and names_a_person(name):
            person = find_value(event, name)
    source_is_good, source_names_a_person = _look_at_source(event.source)
    if not source_is_good:
        raise Unreadable(Fault.BAD_SOURCE, f"source: 1 to {SOURCE_MAX_CHARS} printable ASCII characters, no space")
    return "source" if source_names_a_person else person


def _parse_time(event: AnyEvent, time: str) -> int:
    try:
        return parse_time_ns(time)
    except ValueError:
        raise Unreadable(Fault.BAD_TIME, f"{find_value(event, time)}: RFC 3339, an offset, 1970 to 2199") from None


@lru_cache(maxsize=_SOURCES_REMEMBERED)
def _look_at_source(source: str) -> tuple[bool, bool]:
    """Tell whether a source is one, and whether it names a person; a publisher has few."""
    return is_source(source), text_names_a_person(source)
