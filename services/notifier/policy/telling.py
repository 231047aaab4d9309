"""Who is told what of an entry: pure, and the same for ever for the same entry of the same rules.

The order in which things are told is part of the promise: a record that was told by half is continued after
the letters that are out already.
"""

from events import subjects
from events.outcome_bytes import Addressed, told_of
from events.record import Entry


def told_in(entry: Entry) -> tuple[list[Addressed], list[Addressed]]:
    """Return what an entry says to members, and what to publishers, each as (addressee, document).

    A member's own subject is read by whoever serves the member, never shown by itself, so quiet hours and preferences
    do not apply to it: every result is there. A publisher hears the answer to its own event first, then news of orders
    that others moved. The clock's knocks are the matcher's own and nobody's news.
    """
    outcome, news, results = told_of(entry)
    if outcome is None or entry.publisher is None or entry.publisher == subjects.MATCHER:
        return results, news
    return results, [(entry.publisher, outcome), *news]
