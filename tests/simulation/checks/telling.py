"""Checks on what is told: each outcome and each result once, to whom it belongs."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from events import subjects
from events.outcomes import news_of, outcome_of, results_of
from tests.simulation.checks.draws import lost_draws
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
    for member, document in _not_won(history):
        results.setdefault(subjects.result(MARKET, member), []).append(key(document))
    _same(_told(stream(history.world, subjects.outcomes_stream(MARKET)), "outcomes"), outcomes)
    _same(_told(stream(history.world, subjects.results_stream(MARKET)), "results"), results)


def _not_won(history: History) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what each member is told who held tickets in a draw and was not drawn."""
    for lost in lost_draws(history):
        yield (
            lost.member,
            {
                "kind": "play.lost",
                "entry": lost.draw.decision.partition("/")[0],
                "at": lost.draw.at_ns,
                "play": lost.draw.play,
                "form": lost.form,
                "won": False,
                "draws": lost.draw.draws,
                "member": lost.member,
                "tickets": lost.tickets,
            },
        )


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
