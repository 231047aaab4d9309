"""Checks on what is told: each outcome and each result once, to whom it belongs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from events import play_decisions as p
from events import subjects
from events.outcomes import CLOSING, news_of, outcome_of, results_of
from events.record import Entry, entry_id
from tests.simulation.checks.history import MARKET, History, must, stream
from tests.simulation.checks.inputs import key
from tests.simulation.streams import Stream


def everybody_is_told_once(history: History) -> None:
    """The output streams hold each outcome and each result once, in order, and nothing else."""
    outcomes: dict[str, list[bytes]] = {}
    results: dict[str, list[bytes]] = {}
    for entry in history.entries:
        # The matcher's own knocks interest nobody.
        if entry.publisher not in (None, subjects.MATCHER):
            outcomes.setdefault(subjects.outcome(MARKET, entry.publisher), []).append(key(outcome_of(entry)))
        for publisher, document in news_of(entry):
            outcomes.setdefault(subjects.outcome(MARKET, publisher), []).append(key(document))
        for member, document in results_of(entry):
            results.setdefault(subjects.result(MARKET, member), []).append(key(document))
    for member, document in _lost_draws(history.entries):
        results.setdefault(subjects.result(MARKET, member), []).append(key(document))
    _same(_told(stream(history.world, subjects.outcomes_stream(MARKET)), "outcomes"), outcomes)
    _same(_told(stream(history.world, subjects.results_stream(MARKET)), "results"), results)


def _lost_draws(entries: Sequence[Entry]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each member is told who held tickets in a draw and was not drawn."""
    tickets: dict[str, dict[int | str, tuple[str, int]]] = {}
    closings: dict[str, dict[str, Any]] = {}
    drawn: dict[str, set[str]] = {}
    seats: list[str] = []
    for entry in entries:
        for decision in entry.decisions:
            if isinstance(decision, CLOSING):
                seats = [seat.member for seat in decision.seats]
            elif isinstance(decision, p.PlayTicketed):
                lines = tickets.setdefault(decision.play, {})
                if decision.position is not None and decision.member is not None:
                    lines[decision.position] = (decision.member, decision.tickets)
                for place, member in enumerate(seats if decision.position is None else ()):
                    lines[f"{entry_id(entry.seq, entry.index, entry.part)}/{place}"] = (member, decision.tickets)
            elif isinstance(decision, p.PlayCorrected):
                tickets.get(decision.play, {}).pop(decision.position, None)
            elif isinstance(decision, p.PlayClosed) and decision.winners:
                closings[decision.play] = {
                    "kind": "play.lost",
                    "entry": entry_id(entry.seq, entry.index, entry.part),
                    "at": entry.at,
                    "play": decision.play,
                    "form": decision.form,
                    "won": False,
                    "draws": decision.winners,
                }
            elif isinstance(decision, p.PlayWon) and decision.draw is not None and decision.member is not None:
                drawn.setdefault(decision.play, set()).add(decision.member)
    for play, closing in closings.items():
        held: Counter[str] = Counter()
        for member, count in tickets.get(play, {}).values():
            held[member] += count
        for member in sorted(set(held) - drawn.get(play, set())):
            yield member, {**closing, "member": member, "tickets": held[member]}


def _told(output: Stream, field: str) -> dict[str, list[bytes]]:
    told: dict[str, list[bytes]] = {}
    for message in output.messages:
        for document in json.loads(message.body).get(field, ()) if message.body else ():
            told.setdefault(message.subject, []).append(key(document))
    return told


def _same(told: dict[str, list[bytes]], due: dict[str, list[bytes]]) -> None:
    for subject in sorted({*told, *due}):
        was, should = told.get(subject, []), due.get(subject, [])
        lost, twice = Counter(should) - Counter(was), Counter(was) - Counter(should)
        must(not lost, f"{subject}: {lost.total()} never told, the first {next(iter(lost), b'')[:200]!r}")
        must(not twice, f"{subject}: {twice.total()} told too often, the first {next(iter(twice), b'')[:200]!r}")
        must(_decided(was) == _decided(should), f"{subject}: not told in the order in which it was decided")


def _decided(told: list[bytes]) -> list[bytes]:
    """Return what was told, without those who have not won: they are told between what came later."""
    return [document for document in told if b'"kind": "play.lost"' not in document]
