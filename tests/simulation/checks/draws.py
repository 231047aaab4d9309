"""Who held tickets in a draw and was not drawn, found from the whole history: two checks ask for it."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from events import play_decisions as p
from events.decisions import AnyDecision
from events.outcomes import CLOSING
from events.record import Entry, entry_id
from services.notifier.policy.draws import Draw
from tests.simulation.checks.history import History


class LostDraw(NamedTuple):
    """A member who has not won, with all tickets that it held."""

    draw: Draw
    form: str
    member: str
    tickets: int


def lost_draws(history: History) -> Iterator[LostDraw]:
    """Yield everybody who has not won, play by play, in the order of their names."""
    tickets: dict[str, dict[int | str, tuple[str, int]]] = {}
    closings: dict[str, tuple[Draw, str]] = {}
    drawn: dict[str, set[str]] = {}
    seats: list[str] = []
    for record, entry, name, decision in _decisions(history):
        if isinstance(decision, CLOSING):
            seats = [seat.member for seat in decision.seats]
        elif isinstance(decision, p.PlayTicketed):
            lines = tickets.setdefault(decision.play, {})
            if decision.position is not None and decision.member is not None:
                lines[decision.position] = (decision.member, decision.tickets)
            for seat, member in enumerate(seats if decision.position is None else ()):
                lines[f"{name}/{seat}"] = (member, decision.tickets)
        elif isinstance(decision, p.PlayCorrected):
            tickets.get(decision.play, {}).pop(decision.position, None)
        elif isinstance(decision, p.PlayClosed) and decision.winners:
            draw = Draw(
                play=decision.play,
                decision=name,
                record=record,
                at_ns=entry.at,
                draws=decision.winners,
                publisher=decision.publisher,
            )
            closings[decision.play] = (draw, decision.form)
        elif isinstance(decision, p.PlayWon) and decision.draw is not None and decision.member is not None:
            drawn.setdefault(decision.play, set()).add(decision.member)
    for play, (draw, form) in closings.items():
        held: Counter[str] = Counter()
        for member, count in tickets.get(play, {}).values():
            held[member] += count
        for member in sorted(set(held) - drawn.get(play, set())):
            yield LostDraw(draw, form, member, held[member])


def _decisions(history: History) -> Iterator[tuple[int, Entry, str, AnyDecision]]:
    """Yield every decision with the sequence of its record, its entry and its own name, in order."""
    for message, record in zip(history.messages, history.decoded, strict=True):
        for entry in record:
            name = entry_id(entry.seq, entry.index, entry.part)
            for place, decision in enumerate(entry.decisions):
                yield message.seq, entry, f"{name}/{place}", decision
