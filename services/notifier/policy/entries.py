"""What can be told of an entry at a glance, so that the many that say nothing here are not read: pure."""

from typing import Final

import msgspec

from events import dispute_decisions as dd
from events import member_decisions as m
from events.record import Entry

_KIND: Final = b'"kind":"'
_KIND_OF_SEATS: Final = b'"kind":"seat.'
_BEYOND_RESULTS: Final = frozenset((m.InvitationAllowed, m.MemberReminded, dd.DisputeOverdue))
"""Decisions that are told where no channel takes results."""


def only_seats(raw: msgspec.Raw) -> bool:
    """Tell from the bytes of an entry whether it decides of single seats alone, which says nothing here.

    Nearly all entries are such, and decoding them would cost most of what reading the journal costs. Decisions are
    written without spaces, and a quote within a text is escaped: a kind that is none of a seat cannot be overlooked.
    """
    written = bytes(raw)
    return written.count(_KIND) == written.count(_KIND_OF_SEATS)


def tells_beyond_results(entry: Entry) -> bool:
    """Tell whether an entry may say anything but results."""
    return not _BEYOND_RESULTS.isdisjoint(map(type, entry.decisions))
