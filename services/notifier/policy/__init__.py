"""Who is told what of an entry: pure, and the same for ever for the same entry of the same rules.

The order in which things are told is part of the promise: a record that was told by half is continued after
the letters that are out already.
"""

from collections.abc import Iterator

from events import subjects
from events.outcome_bytes import news_bytes, outcome_bytes, result_bytes
from events.record import Entry


def member_results(entry: Entry) -> Iterator[tuple[str, bytes]]:
    """Yield (member, encoded result) for everything that members get from an entry through their own subject.

    That subject is read by whoever serves the member, never shown by itself, so quiet hours and preferences
    do not apply to it: every result is there.
    """
    return result_bytes(entry)


def publisher_outcomes(entry: Entry) -> Iterator[tuple[str, bytes]]:
    """Yield (publisher, encoded outcome): the answer to its own event first, then news of orders that others caused.

    The clock's knocks are the matcher's own and nobody's news.
    """
    if entry.publisher is not None and entry.publisher != subjects.MATCHER:
        yield entry.publisher, outcome_bytes(entry)
    yield from news_bytes(entry)
