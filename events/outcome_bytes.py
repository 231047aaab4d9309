"""The documents of `events.outcomes` as bytes, spliced from encoded decisions where that is the same.

Most entries seat one member, and perhaps fill the group. For them no document is built, neither in the gateway nor in
the notifier, and what several are told is encoded once. Whatever has another form takes the long way, and a test
compares the two.
"""

from typing import Final

import msgspec

from events.decisions import AnyDecision, GroupFilled, GroupOpened, SeatConfirmed, SeatHeld, SeatRef
from events.outcome_parts import SeatTold, decode_identified
from events.outcomes import news_of, outcome_of, results_of
from events.raw import Unread
from events.record import Entry

_encode: Final = msgspec.json.Encoder().encode
_Seated = SeatConfirmed | SeatHeld
_NO_SEATS: Final[list[SeatRef]] = []
_SEATS: Final = b',"seats":[]'
_PUBLISHER: Final = b',"publisher":'

Addressed = tuple[str, bytes]
"""(publisher or member, document)."""


Told = tuple[bytes | None, list[Addressed], list[Addressed]]
"""What an entry says to whom, in an order that never changes: `(outcome, news, results)`.

`outcome` is the answer to its event, for who published that, None where the entry answers nobody. `news` is to
publishers, of orders that others' events, or the time, moved. `results` are to members.
"""


def told_of(entry: Entry) -> Told:
    """Return the bytes of `outcome_of(entry)`, `news_of(entry)` and `results_of(entry)`."""
    seated = _plainly_seated(entry)
    if seated is None:
        return (
            None if entry.publisher is None else _encode(outcome_of(entry)),
            [(publisher, _encode(document)) for publisher, document in news_of(entry)],
            [(member, _encode(document)) for member, document in results_of(entry)],
        )
    place, answer = _place(entry), _encode(seated)
    news: list[Addressed] = []
    results: list[Addressed] = []
    also: list[bytes] = []
    for decision in entry.decisions:
        if decision is seated:
            # Unescaped quotes stand around names only: these bytes are that field, wherever they are.
            at = answer.rindex(_PUBLISHER)
            own = answer[1:at] + answer[at + len(_PUBLISHER) + len(_encode(seated.publisher)) :]
            results.append((seated.member, b"{" + place + b"," + own))
        elif type(decision) is GroupFilled:
            shared = _shared(decision)
            also.append(shared)
            filled = b"{" + place + b"," + shared[1:-1] + b","
            for seat in decision.seats:
                told = filled + _seat_bytes(seat)[1:]
                news.append((seat.publisher, told))
                results.append((seat.member, told))
        else:
            also.append(_encode(decision))
    event = entry.event
    outcome = _encode(outcome_of(entry)) if event is None else _spliced_outcome(event, place, answer, also)
    return outcome, news, results


def outcome_bytes(entry: Entry, event_id: str | None = None) -> bytes:
    """Return the bytes of `outcome_of(entry, event_id)`."""
    seated = _plainly_seated(entry)
    if entry.event is None or seated is None:
        return _encode(outcome_of(entry, event_id))
    also = [_shared(decision) for decision in entry.decisions if decision is not seated]
    return _spliced_outcome(entry.event, _place(entry), _encode(seated), also)


def _plainly_seated(entry: Entry) -> _Seated | None:
    """Return whom an entry seats that does so for the publisher that asked, and at most opens or fills a group."""
    seated: _Seated | None = None
    for decision in entry.decisions:
        kind = type(decision)
        if kind is SeatConfirmed or kind is SeatHeld:
            if seated is not None or decision.publisher != entry.publisher:  # type: ignore[union-attr]
                return None
            seated = decision  # type: ignore[assignment]
        elif kind is GroupFilled:
            if seated is None or decision.pages != 1 or decision.actor is not None:  # type: ignore[union-attr]
                return None
        elif kind is not GroupOpened:
            return None
    return seated


def _spliced_outcome(event: Unread, place: bytes, answer: bytes, also: list[bytes]) -> bytes:
    identified = decode_identified(event)
    named = [b'{"id":', _encode(identified.id), b',"source":', _encode(identified.source), b",", place, b","]
    others = [b',"also":[', b",".join(also), b"]}"] if also else [b"}"]
    return b"".join([*named, answer[1:-1], *others])


def _shared(decision: AnyDecision) -> bytes:
    """Return a decision as everybody may see it: without the seats of others."""
    if type(decision) is GroupFilled:
        return _encode(msgspec.structs.replace(decision, seats=_NO_SEATS)).replace(_SEATS, b"", 1)
    return _encode(decision)


def _seat_bytes(seat: SeatRef) -> bytes:
    won = msgspec.UNSET if seat.won is None else seat.won
    return _encode(
        SeatTold(order=seat.order, member=seat.member, quantity=seat.quantity, price_minor=seat.price_minor, won=won)
    )


def _place(entry: Entry) -> bytes:
    return b'"entry":"%d.%d.%d","at":%d' % (entry.seq, entry.index, entry.part, entry.at)
