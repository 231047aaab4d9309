"""How often a member has helped: on a day, and the same member in a week, over all plays of the market.

Every assist leaves a row with its helper (`Book.helpings`), so these counts need no memory of their own: the row says
on which day it was given, by a mark, and in which watch, whose beneficiary is whom it helped.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from events.times import NS_PER_S
from services.matcher.domain.plays.calendar import week_of
from services.matcher.domain.plays.giving import Giving
from services.matcher.domain.plays.hashed import key_of, pair_key
from services.matcher.domain.plays.state import Play
from services.matcher.domain.standing.book import KEPT_H, Book
from services.matcher.domain.standing.packed import age_h
from services.matcher.domain.state import State

_DAYS_REMEMBERED: Final = 64
_MARKS: Final = 127
"""Days have marks from 1 to this, over and over: rows are a week old at most. 0 is of what counts for no cap."""
ELSEWHERE: Final = 128
"""Added to the mark where the assist does not help the beneficiary of its watch: `Plays.by_pair` counts it."""
_S_PER_H: Final = 3_600


@lru_cache(maxsize=_DAYS_REMEMBERED)
def mark_of_day(day: str) -> int:
    """Return the mark of a day, YYYY-MM-DD."""
    return date.fromisoformat(day).toordinal() % _MARKS + 1


@lru_cache(maxsize=_DAYS_REMEMBERED)
def marks_of_week(day: str) -> bytes:
    """Return the marks of the days of the ISO week in which a day falls."""
    at = date.fromisoformat(day)
    monday = at.toordinal() - at.weekday()
    return bytes([ordinal % _MARKS + 1 for ordinal in range(monday, monday + 7)])


def is_elsewhere(play: Play, helped: str | None) -> bool:
    """Tell whether an assist helps nobody, or somebody else than whose play it is."""
    return helped is None or (play.member is not None and helped != play.member)


def helped_today(giving: Giving, day: str, now_ns: int) -> int:
    """Return how many assists of a helper count on `day`, held ones included."""
    mark, rows = mark_of_day(day), _kept(giving.past, now_ns)
    return sum([row[2] & _MARKS == mark for row in rows])


def pair_this_week(state: State, giving: Giving, day: str, now_ns: int) -> int:
    """Return how many assists of a helper for whom it now helps count in the week of `day`, held ones included."""
    data, helped = giving.data, giving.helped
    assert helped is not None
    plays, count = state.plays, 0
    if plays.week == week_of(day) and plays.by_pair.count:
        count = max(0, plays.by_pair.get(pair_key(data.member, helped)))
    if giving.past:
        count += _helped_in(state.standing.book, _kept(giving.past, now_ns), marks_of_week(day), key_of(helped))
    return count


def _helped_in(book: Book, rows: list[bytes], marks: bytes, helped: bytes) -> int:
    count = 0
    for row in rows:
        # A mark with ELSEWHERE is none of the week's.
        if row[2] in marks:
            watch = book.watches.get(int.from_bytes(row[3:7]))
            count += watch is not None and watch.beneficiary == helped
    return count


def _kept(rows: Sequence[bytes], now_ns: int) -> list[bytes]:
    """Return the rows that are young enough to be told from older ones by their marks."""
    hour = now_ns // NS_PER_S // _S_PER_H & 0xFFFF
    return [row for row in rows if age_h(hour, int.from_bytes(row[:2])) < KEPT_H]
