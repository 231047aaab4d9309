"""Counted assists against notices sent, per play and day: help that nobody was told of is where to look first.

Where the archive holds what became of messages, the notices are the invitations that were sent, on the day on which
they were; where it holds none that was, those that were allowed.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from events.times import NS_PER_S
from services.ledger.history import FoundEntry, scan
from services.ledger.notices import entry_of, sent_invitations
from services.ledger.scratch import scratch_database
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

_PAGE: Final = 1_000
_NEEDLES: Final = (b'"kind":"assist.', b'"kind":"invitation.allowed"', b'"kind":"market.set"')
_COUNTED: Final = "assist.counted"
_TAKEN_BACK: Final = ("assist.voided", "assist.doubted")
_NOTICE: Final = "invitation.allowed"

NoticesAre = Literal["sent", "allowed"]


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
    """A play: what counts in it, what was sent for it, and by how much the one outruns the other.

    `notices_are`: whether its notices are invitations that were sent, or only that were allowed.
    """

    play: str
    counts: int
    notices: int
    shared: int
    excess: int
    days: list[Day]
    notices_are: NoticesAre = "allowed"


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
        notices_are = _collect_sent(store, scratch)
        for found in _entries(store, progress):
            entry = _decode(found.raw)
            for told in entry.decisions:
                if told.kind == "market.set" and entry.event is not None:
                    zone = _zone(entry.event.data.timezone)
                elif told.kind == _NOTICE and notices_are == "sent":
                    _count_sent(scratch, found.name, told, zone)
                elif told.play is not None:
                    _count(scratch, told, _day(entry.at, zone) if told.day is None else told.day, _is_shared(entry))
        yield from _ranked(scratch, notices_are)
    finally:
        scratch.close()


def _collect_sent(store: LedgerStore, scratch: sqlite3.Connection) -> NoticesAre:
    """Note when the invitation of each entry was first sent; tell whether there is any."""
    scratch.execute("CREATE TABLE sent (entry TEXT PRIMARY KEY, at_ns INT) WITHOUT ROWID")
    scratch.executemany(
        "INSERT INTO sent VALUES (?, ?) ON CONFLICT DO UPDATE SET at_ns = MIN(at_ns, excluded.at_ns)",
        ((entry_of(fact), fact.at_ns) for fact in sent_invitations(store)),
    )
    return "allowed" if scratch.execute("SELECT 1 FROM sent LIMIT 1").fetchone() is None else "sent"


def _count_sent(scratch: sqlite3.Connection, entry: str, told: _Told, zone: tzinfo) -> None:
    sent = scratch.execute("SELECT at_ns FROM sent WHERE entry = ?", (entry,)).fetchone()
    if sent is not None and told.play is not None:
        _count(scratch, told, _day(sent[0], zone), shared=False)


def _day(at_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_S, zone).date().isoformat()


def _is_shared(entry: _Entry) -> bool:
    return entry.event is not None and entry.event.data.via is not None


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


def _count(scratch: sqlite3.Connection, told: _Told, day: str, shared: bool) -> None:
    counted = told.kind == _COUNTED
    taken_back = told.kind in _TAKEN_BACK and told.was != "held" and not told.over
    notice = told.kind == _NOTICE
    if not (counted or taken_back or notice):
        return
    scratch.execute(
        "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET counted = counted + excluded.counted, "
        "taken_back = taken_back + excluded.taken_back, notices = notices + excluded.notices, "
        "shared = shared + excluded.shared",
        (told.play, day, counted, taken_back, notice, counted and shared),
    )


def _ranked(scratch: sqlite3.Connection, notices_are: NoticesAre) -> Iterator[PlayAgainstNotices]:
    sums = scratch.execute(
        "SELECT play, SUM(counted - taken_back), SUM(notices), SUM(shared) FROM days GROUP BY play "
        "ORDER BY SUM(counted - taken_back - notices) DESC, play"
    )
    for play, counts, notices, shared in sums:
        days = scratch.execute(
            "SELECT day, counted, taken_back, notices, shared FROM days WHERE play = ? ORDER BY day", (play,)
        )
        yield PlayAgainstNotices(
            play, counts, notices, shared, counts - notices, [Day(*row) for row in days], notices_are
        )
