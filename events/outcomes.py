"""What outsiders are told of an entry: outcomes to publishers, results to members; pure functions.

Nobody is told of what is not theirs: a publisher sees its own orders and the one that its event names, a member
sees its own seat. The seats of a closing group are told one by one.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events import decisions as d
from events import dispute_decisions as dd
from events.outcome_parts import Identified, decode_identified
from events.play_decisions import ASSIST_DECISIONS, PLAY_DECISIONS, PlayTicketed
from events.record import Entry, entry_id
from events.standing_decisions import STANDING_DECISIONS

_to_builtins: Final = msgspec.to_builtins
_NO_SEATS: Final[list[d.SeatRef]] = []


# Tuples: isinstance with a union builds and walks it each time.
CLOSING: Final = (d.GroupFilled, d.GroupExpired, d.GroupDissolved)
DISPUTED: Final = (
    dd.DisputeOpened,
    dd.DisputeAnswered,
    dd.DisputeEvidenced,
    dd.DisputeResolved,
    dd.DisputeAppealed,
    dd.DisputeOverdue,
    dd.DisputeClosed,
)
"""What is told of a dispute; who proposed what stays with the operators until it is decided."""
ABOUT_ORDERS: Final = (d.SeatHeld, d.SeatConfirmed, d.SeatReleased, d.RefundDue, d.RefundClosed)
PERSONAL: Final = (*ABOUT_ORDERS, *PLAY_DECISIONS, *ASSIST_DECISIONS, *STANDING_DECISIONS, *DISPUTED)
# `promoted` is another member's order, and whose is not known here. `seats` goes where it is the list of them, and
# `choices` are what a member told others too. What a sanction was counted from would teach whoever fakes help how
# much goes unnoticed.
NOT_FOR_PUBLISHERS: Final = ("promoted", "choices", "strikes", "evidence_entries")
NOT_FOR_MEMBERS: Final = (
    *NOT_FOR_PUBLISHERS,
    *("publisher", "actor", "second", "ticket", "page", "pages", "score", "reasons"),
)


class PlayLost(msgspec.Struct, kw_only=True, tag_field="kind", tag="play.lost", gc=False):
    """Result of a member who held `tickets` in a play of which `draws` were drawn, and won nothing.

    No decision names those who have not won, who may be a million: `entry` is the one that closed the play, and
    the tickets that earlier entries gave say who was in the draw.
    """

    entry: str
    at: int
    play: str
    form: str
    member: str
    won: bool
    tickets: int
    draws: int


def outcome_of(entry: Entry, event_id: str | None = None) -> dict[str, Any]:
    """Return the outcome of an entry that answers an event, as its publisher sees it.

    `kind` and its fields are those of the decision that answers: a seat rather than the group that was opened
    for it. The others stand under `also`, without the seats of other members and without decisions about orders
    of other publishers, who hear of them by `news_of`; whoever resolves a dispute sees all that it brings about.
    `event_id` is used where the entry keeps no event (malformed, personal data).
    """
    assert entry.decisions, "an entry has a decision"
    assert entry.publisher is not None, "timer work answers nobody"
    answering = _answering(entry.decisions)
    identified = Identified(event_id or "") if entry.event is None else decode_identified(entry.event)
    head = {"id": identified.id, "source": identified.source, "entry": _name(entry), "at": entry.at}
    own_order = getattr(answering, "order", None)
    also = [
        _for_publisher(decision)
        for decision in entry.decisions
        if decision is not answering
        and (isinstance(answering, dd.DisputeResolved) or _may_see(entry.publisher, own_order, decision))
    ]
    return {**head, **_for_publisher(answering), **({"also": also} if also else {})}


def news_of(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (publisher, document) for each decision about an order that the entry's own outcome does not reach."""
    head = {"entry": _name(entry), "at": entry.at}
    for decision in entry.decisions:
        if isinstance(decision, CLOSING):
            shared = _for_publisher(decision)
            for seat in decision.seats:
                yield seat.publisher, {**head, **shared, **_seat_fields(seat)}
        elif isinstance(decision, PERSONAL):
            publisher = decision.publisher
            if publisher is not None and publisher != entry.publisher:
                yield publisher, {**head, **_for_publisher(decision)}


def results_of(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (member, document) for each result that a member gets from an entry.

    Tickets for a filled group stand once behind the page that names its seats, and are told to each of them.
    """
    head = {"entry": _name(entry), "at": entry.at}
    told: d.Closing | None = None
    for decision in entry.decisions:
        if isinstance(decision, CLOSING):
            shared = _fields(decision, NOT_FOR_MEMBERS)
            for seat in decision.seats:
                yield seat.member, {**head, **shared, **_seat_fields(seat)}
            told = decision
        elif isinstance(decision, PERSONAL) and decision.member is not None:
            yield decision.member, {**head, **_fields(decision, NOT_FOR_MEMBERS)}
        elif isinstance(decision, PlayTicketed) and told is not None:
            for seat in told.seats:
                yield seat.member, {**head, **_fields(decision, NOT_FOR_MEMBERS)}


def _answering(decisions: list[d.AnyDecision]) -> d.AnyDecision:
    """Return the decision that answers the event: not the group opened for it, nor a hold that ended on the way."""
    for decision in decisions:
        if isinstance(decision, d.GroupOpened):
            continue
        if isinstance(decision, d.SeatReleased) and decision.cause == "hold_ended":
            continue
        return decision
    return decisions[0]


def _may_see(publisher: str, own_order: str | None, decision: d.AnyDecision) -> bool:
    """Tell whether a decision is nobody's own, or the publisher's, or about the order that its event names."""
    if not isinstance(decision, PERSONAL) or decision.publisher in (None, publisher):
        return True
    return isinstance(decision, ABOUT_ORDERS) and decision.order == own_order


def _name(entry: Entry) -> str:
    return entry_id(entry.seq, entry.index, entry.part)


def _for_publisher(decision: d.AnyDecision) -> dict[str, Any]:
    return _fields(decision, NOT_FOR_PUBLISHERS)


def _fields(decision: d.AnyDecision, left_out: tuple[str, ...]) -> dict[str, Any]:
    fields: dict[str, Any]
    if isinstance(decision, CLOSING):
        # The list is not converted only to be dropped. A merge's `seats` is how many it moved, and may be told.
        fields = _to_builtins(msgspec.structs.replace(decision, seats=_NO_SEATS))
        del fields["seats"]
    else:
        fields = _to_builtins(decision)
    for name in left_out:
        fields.pop(name, None)
    return fields


def _seat_fields(seat: d.SeatRef) -> dict[str, Any]:
    return {
        "order": seat.order,
        "member": seat.member,
        "quantity": seat.quantity,
        "price_minor": seat.price_minor,
        **({} if seat.won is None else {"won": seat.won}),
    }
