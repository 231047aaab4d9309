"""The documents of `events.outcomes` as bytes, spliced from encoded decisions where that is the same.

Most entries seat one member, and perhaps fill the group. For them no document is built, neither in the gateway nor in
the notifier. Whatever has another form takes the long way, and a test compares the two.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events import decisions as d
from events.outcomes import _seat_fields, news_of, outcome_of, results_of
from events.record import Entry, entry_id

_encode: Final = msgspec.json.Encoder().encode
_SEATED: Final = (d.SeatConfirmed, d.SeatHeld)
_NO_SEATS: Final[list[d.SeatRef]] = []
_SEATS: Final = b',"seats":[]'


class _Identified(msgspec.Struct, gc=False):
    id: str = ""
    source: str = ""


_id_decoder: Final = msgspec.json.Decoder(_Identified)


def outcome_bytes(entry: Entry, event_id: str | None = None) -> bytes:
    """Return the bytes of `outcome_of(entry, event_id)`."""
    if entry.event is None or not _is_plain(entry):
        return _encode(outcome_of(entry, event_id))
    identified = _id_decoder.decode(entry.event)
    answer, also = b"", []
    for decision in entry.decisions:
        if not answer and type(decision) in _SEATED:
            answer = _encode(decision)
        else:
            also.append(_shared(decision))
    tail = b',"also":[%b]}' % b",".join(also) if also else b"}"
    head = b'{"id":%b,"source":%b,%b,' % (_encode(identified.id), _encode(identified.source), _place(entry))
    return b"%b%b%b" % (head, answer[1:-1], tail)


def news_bytes(entry: Entry) -> Iterator[tuple[str, bytes]]:
    """Yield (publisher, bytes) of `news_of(entry)`."""
    if not _is_plain(entry):
        for publisher, document in news_of(entry):
            yield publisher, _encode(document)
        return
    for decision in entry.decisions:
        if type(decision) is d.GroupFilled:
            yield from ((seat.publisher, told) for seat, told in _told_seats(entry, decision))


def result_bytes(entry: Entry) -> Iterator[tuple[str, bytes]]:
    """Yield (member, bytes) of `results_of(entry)`."""
    if not _is_plain(entry):
        for member, document in results_of(entry):
            yield member, _encode(document)
        return
    for decision in entry.decisions:
        if type(decision) is d.GroupFilled:
            yield from ((seat.member, told) for seat, told in _told_seats(entry, decision))
        elif isinstance(decision, _SEATED):
            # Unescaped quotes stand around names only: these bytes are that field, wherever they are.
            own = _encode(decision).replace(b',"publisher":%b' % _encode(decision.publisher), b"", 1)
            yield decision.member, b"{%b,%b" % (_place(entry), own[1:])


def _is_plain(entry: Entry) -> bool:
    """Tell whether an entry seats a member for the publisher that asked, and at most opens or fills a group."""
    seated = 0
    for decision in entry.decisions:
        if isinstance(decision, _SEATED):
            seated += 1
            if decision.publisher != entry.publisher:
                return False
        elif type(decision) is d.GroupFilled:
            if decision.pages != 1 or decision.actor is not None or not seated:
                return False
        elif type(decision) is not d.GroupOpened:
            return False
    return seated == 1


def _told_seats(entry: Entry, filled: d.GroupFilled) -> Iterator[tuple[d.SeatRef, bytes]]:
    shared = b"{%b,%b," % (_place(entry), _shared(filled)[1:-1])
    for seat in filled.seats:
        yield seat, shared + _encode(_seat_fields(seat))[1:]


def _shared(decision: d.AnyDecision) -> bytes:
    """Return a decision as everybody may see it: without the seats of others."""
    if type(decision) is d.GroupFilled:
        return _encode(msgspec.structs.replace(decision, seats=_NO_SEATS)).replace(_SEATS, b"", 1)
    return _encode(decision)


def _place(entry: Entry) -> bytes:
    return b'"entry":"%b","at":%d' % (entry_id(entry.seq, entry.index, entry.part).encode(), entry.at)
