"""The ladder: what is held against a member, and what follows from it. Each market sets its own rungs."""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from events.limits import DURATION_MAX_S
from events.market import MarketConfigured
from events.member_standing import Rung, StandingTerms
from events.standing_decisions import Ground
from events.times import NS_PER_S
from services.matcher.domain.fifo import Fifo

NOTHING: Final = 0
WARNED: Final = 1
LIMITED: Final = 2
BANNED: Final = 3

RUNGS: Final[dict[Rung, int]] = {"warned": WARNED, "limited": LIMITED, "banned": BANNED}
WORDS: Final[dict[int, Rung]] = {rung: word for word, rung in RUNGS.items()}
SANCTION_ENDS: Final = "sanction_ends"
RUNG_REACHED: Final = "rung_reached"
DOUBTS: Final = "doubts"
"""Kinds of alarms: a sanction is over, a member reached a higher rung, doubts are to be told."""

POINTS: Final[dict[Ground, int]] = {
    "assists_held": 1,
    "assists_refused": 2,
    "assists_voided": 5,
    "seats_unpaid": 2,
    "group_filled_alone": 2,
}
STRIKES_KEPT: Final = 48
"""Of each member, the latest: more than any ladder needs."""
REPORTS_KEPT: Final = 64
RECORDS_MAX: Final = 2_000_000
"""Members of whom anything is kept; beyond, what speaks against another is not noted until something is forgotten."""
EVIDENCE_SHOWN: Final = 16
_DAY_S: Final = 86_400


class Ladder(NamedTuple):
    """The rungs that are in force."""

    warn_at: int = 6
    limit_at: int = 20
    ban_at: int = 60
    warn_s: int = 30 * _DAY_S
    limit_s: int = 7 * _DAY_S
    ban_s: int = 90 * _DAY_S
    memory_s: int = 30 * _DAY_S
    hold_points: int = 100
    refuse_points: int = 300


class Strike(msgspec.Struct, gc=False, array_like=True):
    """One thing that speaks against a member: when, in points, for what, and the entry that says so."""

    at_ns: int
    points: int
    ground: Ground
    entry: int


class Report(msgspec.Struct, gc=False, array_like=True):
    """Who complained of a member, and when."""

    at_ns: int
    reporter: str


class Record(msgspec.Struct, kw_only=True, gc=False):
    """What is kept of a member, of whom anything is."""

    strikes: list[Strike] = []
    reports: list[Report] = []
    rung: int = NOTHING
    until_ns: int = 0
    no: int = 0
    """Numbers the alarm of the sanction's end."""
    suspect_no: int = 0
    """Numbers the alarm of a higher rung that is reached; 0 where none is."""
    suspect_ns: int = 0


class Ledge(msgspec.Struct, kw_only=True):
    """The standing of members: only those of whom something is kept."""

    records: dict[str, Record] = {}
    sanctioned: dict[str, int] = {}
    """Member -> LIMITED or BANNED: empty in most markets at most times, so that asking costs nothing."""
    aging: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    """(when something kept of a member is to be forgotten, member)."""


def ladder_of(market: MarketConfigured | None) -> Ladder:
    """Return the rungs of a market: those that it sets, and the defaults for the rest."""
    return DEFAULTS if market is None or market.standing is None else _ladder(market.standing)


@lru_cache(maxsize=64)
def _ladder(terms: StandingTerms) -> Ladder:
    named = {name: getattr(terms, name) for name in Ladder._fields}
    return DEFAULTS._replace(**{name: value for name, value in named.items() if value is not None})


DEFAULTS: Final = Ladder()


def total(record: Record, ladder: Ladder, now_ns: int) -> int:
    """Return what speaks against a member at `now_ns`, in points.

    What is only suspected, help that is held, leads to a warning at most, unless something else speaks as loud.
    Reports count one each, but together no more than everything else: they never decide alone.
    """
    since_ns = now_ns - ladder.memory_s * NS_PER_S
    held = known = 0
    for strike in record.strikes:
        if strike.at_ns > since_ns:
            if strike.ground == "assists_held":
                held += strike.points
            else:
                known += strike.points
    seen = known + min(held, max(known, ladder.warn_at))
    return seen + min(known, sum([1 for report in record.reports if report.at_ns > since_ns]))


def rung_for(points: int, ladder: Ladder) -> int:
    """Return the rung that so many points lead to."""
    if points >= ladder.ban_at:
        return BANNED
    if points >= ladder.limit_at:
        return LIMITED
    return WARNED if points >= ladder.warn_at else NOTHING


def duration_s(rung: int, ladder: Ladder) -> int:
    """Return how long a rung lasts."""
    lasts_s = {WARNED: ladder.warn_s, LIMITED: ladder.limit_s, BANNED: ladder.ban_s}[rung]
    return min(lasts_s, DURATION_MAX_S)


def leading_ground(record: Record) -> Ground:
    """Return what most of a member's points are for; of equals the latest."""
    sums: dict[Ground, int] = {}
    for strike in reversed(record.strikes):
        sums[strike.ground] = sums.get(strike.ground, 0) + strike.points
    return max(sums, key=lambda ground: sums[ground])


def note_strike(ledge: Ledge, ladder: Ladder, member: str, strike: Strike) -> Record | None:
    """Keep a strike against a member, and return their record; None where there is no room for another member."""
    record = record_of(ledge, member)
    if record is None:
        return None
    record.strikes = [*record.strikes[1 - STRIKES_KEPT :], strike]
    ledge.aging.push((strike.at_ns + ladder.memory_s * NS_PER_S, member))
    return record


def record_of(ledge: Ledge, member: str) -> Record | None:
    """Return the record of a member, a new one where nothing is kept; None where there is no room."""
    record = ledge.records.get(member)
    if record is None and len(ledge.records) < RECORDS_MAX:
        record = ledge.records[member] = Record()
    return record


def forget(ledge: Ledge, ladder: Ladder, now_ns: int) -> None:
    """Forget what is too old of at most two members: more than one strike adds."""
    for _ in range(2):
        first = ledge.aging.peek()
        if first is None or first[0] > now_ns:
            return
        ledge.aging.drop()
        record = ledge.records.get(first[1])
        if record is None:
            continue
        since_ns = now_ns - ladder.memory_s * NS_PER_S
        record.strikes = [strike for strike in record.strikes if strike.at_ns > since_ns]
        record.reports = [report for report in record.reports if report.at_ns > since_ns]
        drop_if_empty(ledge, first[1])


def drop_if_empty(ledge: Ledge, member: str) -> None:
    """Keep nothing of a member of whom nothing is left to keep."""
    record = ledge.records[member]
    if not (record.strikes or record.reports or record.rung or record.suspect_no):
        del ledge.records[member]
