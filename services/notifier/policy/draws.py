"""Who holds tickets of a play, and when its draw is over: pure.

The journal names the winners of a play's draw and nobody else, since a decision cannot hold a million names. Whoever
has not won is known from the tickets that were given before: kept here line by line, as the journal tells of them.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events import play_decisions as p
from events.outcomes import CLOSING
from events.record import Entry, entry_id

SEATS_LINE: Final = 0
"""The line of all tickets that a member got for seats; those of assists have the assist's position, from 1."""
LOTTERY: Final = "lottery"
_TELLING: Final = frozenset((p.PlayTicketed, p.PlayCorrected, p.PlayClosed, p.PlayWon))


class Ticketed(msgspec.Struct, frozen=True):
    """A member got tickets of a play, in a line of its own or one that grows."""

    play: str
    member: str
    line: int
    tickets: int


class TakenBack(msgspec.Struct, frozen=True):
    """The tickets of an assist are no more."""

    play: str
    line: int


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """A draw over a play's tickets: the decision that closed the play, its record, when, and how many are drawn."""

    play: str
    decision: str
    record: int
    at_ns: int
    draws: int
    publisher: str


class Won(msgspec.Struct, frozen=True):
    """A member was drawn; the last one ends the draw."""

    play: str
    member: str
    is_last: bool


class NotDrawn(msgspec.Struct, frozen=True):
    """A play ended without a draw: its tickets are worth nothing."""

    play: str


TicketChange = Ticketed | TakenBack | Draw | Won | NotDrawn


def ticket_changes(entry: Entry, record: int) -> Iterator[TicketChange]:
    """Yield what an entry of a record changes in who holds tickets, in order."""
    if _TELLING.isdisjoint(map(type, entry.decisions)):
        return
    page = None
    for index, decision in enumerate(entry.decisions):
        if isinstance(decision, CLOSING):
            page = decision
        elif isinstance(decision, p.PlayTicketed):
            if decision.member is not None and decision.position is not None:
                yield Ticketed(decision.play, decision.member, decision.position, decision.tickets)
            elif page is not None:
                yield from (Ticketed(decision.play, seat.member, SEATS_LINE, decision.tickets) for seat in page.seats)
        elif isinstance(decision, p.PlayCorrected) and decision.form == LOTTERY:
            yield TakenBack(decision.play, decision.position)
        elif isinstance(decision, p.PlayClosed) and decision.form == LOTTERY:
            yield _closed(entry, index, record, decision)
        elif isinstance(decision, p.PlayWon) and decision.draw is not None:
            assert decision.member is not None, "who is drawn has a name"
            yield Won(decision.play, decision.member, decision.draw == decision.draws)


def _closed(entry: Entry, index: int, record: int, decision: p.PlayClosed) -> Draw | NotDrawn:
    if not decision.winners:
        return NotDrawn(decision.play)
    return Draw(
        play=decision.play,
        decision=f"{entry_id(entry.seq, entry.index, entry.part)}/{index}",
        record=record,
        at_ns=entry.at,
        draws=decision.winners,
        publisher=decision.publisher,
    )
