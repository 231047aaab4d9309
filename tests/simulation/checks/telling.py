"""Checks on what is told: each outcome and each result once, to whom it belongs."""

import json
from collections import Counter

from events import subjects
from events.outcomes import news_of, outcome_of, results_of
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
    _same(_told(stream(history.world, subjects.outcomes_stream(MARKET)), "outcomes"), outcomes)
    _same(_told(stream(history.world, subjects.results_stream(MARKET)), "results"), results)


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
        must(was == should, f"{subject}: not told in the order in which it was decided")
