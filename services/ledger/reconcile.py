"""Counted assists against notices sent, per play and day: help that nobody was told of is where to look first."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from events.times import NS_PER_S
from services.ledger.history import FoundEntry, scan
from services.ledger.scratch import scratch_database
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

_PAGE: Final = 1_000
_NEEDLES: Final = (b'"kind":"assist.', b'"kind":"invitation.allowed"', b'"kind":"market.set"')
_COUNTED: Final = "assist.counted"
_TAKEN_BACK: Final = ("assist.voided", "assist.doubted")
_NOTICE: Final = "invitation.allowed"


class Day(msgspec.Struct, frozen=True):
    """One day of a play, in the market's time zone.

    `counted`: assists that began to count. `taken_back`: those that ceased to, voided or doubted. `notices`: what was
    sent for the play. `shared`: of the counted, those that name who shared the play to the helper.
    """

    day: str
    counted: int
    taken_back: int
    notices: int
    shared: int


class PlayAgainstNotices(msgspec.Struct, frozen=True):
    """A play: what counts in it, what was sent for it, and by how much the one outruns the other."""

    play: str
    counts: int
    notices: int
    shared: int
    excess: int
    days: list[Day]


class _Told(msgspec.Struct):
    """Of a decision, whatever its kind: what is needed here."""

    kind: str
    play: str | None = None
    day: str | None = None
    was: str | None = None
    over: bool | None = None


class _Data(msgspec.Struct):
    via: str | None = None
    timezone: str = "UTC"


class _Event(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)


class _Entry(msgspec.Struct):
    at: int
    decisions: list[_Told]
    event: _Event | None = None


_decode: Final = msgspec.json.Decoder(_Entry).decode


def reconcile(store: LedgerStore, progress: Progress | None = None) -> Iterator[PlayAgainstNotices]:
    """Yield the plays with assists or notices, first those whose counted assists outrun their notices the most.

    The archive is read once; what is counted meanwhile lies in a scratch database.
    """
    scratch = scratch_database()
    scratch.execute(
        "CREATE TABLE days (play TEXT, day TEXT, counted INT, taken_back INT, notices INT, shared INT, "
        "PRIMARY KEY (play, day)) WITHOUT ROWID"
    )
    try:
        zone: tzinfo = UTC
        for found in _entries(store, progress):
            entry = _decode(found.raw)
            for told in entry.decisions:
                if told.kind == "market.set" and entry.event is not None:
                    zone = _zone(entry.event.data.timezone)
                elif told.play is not None:
                    _count(scratch, entry, told, zone)
        yield from _ranked(scratch)
    finally:
        scratch.close()


def _entries(store: LedgerStore, progress: Progress | None) -> Iterator[FoundEntry]:
    total = store.tip.entries if store.tip is not None else 0
    for done, found in enumerate(scan(store), start=1):
        if progress is not None and done % _PAGE == 0:
            progress(done, max(done, total))
        if any(needle in found.raw for needle in _NEEDLES):
            yield found


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _count(scratch: sqlite3.Connection, entry: _Entry, told: _Told, zone: tzinfo) -> None:
    counted = told.kind == _COUNTED
    taken_back = told.kind in _TAKEN_BACK and told.was != "held" and not told.over
    notice = told.kind == _NOTICE
    if not (counted or taken_back or notice):
        return
    shared = counted and entry.event is not None and entry.event.data.via is not None
    day = told.day or datetime.fromtimestamp(entry.at // NS_PER_S, zone).date().isoformat()
    scratch.execute(
        "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET counted = counted + excluded.counted, "
        "taken_back = taken_back + excluded.taken_back, notices = notices + excluded.notices, "
        "shared = shared + excluded.shared",
        (told.play, day, counted, taken_back, notice, shared),
    )


def _ranked(scratch: sqlite3.Connection) -> Iterator[PlayAgainstNotices]:
    sums = scratch.execute(
        "SELECT play, SUM(counted - taken_back), SUM(notices), SUM(shared) FROM days GROUP BY play "
        "ORDER BY SUM(counted - taken_back - notices) DESC, play"
    )
    for play, counts, notices, shared in sums:
        days = scratch.execute(
            "SELECT day, counted, taken_back, notices, shared FROM days WHERE play = ? ORDER BY day", (play,)
        )
        yield PlayAgainstNotices(play, counts, notices, shared, counts - notices, [Day(*row) for row in days])
