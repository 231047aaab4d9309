"""Tickets and draws on disk: who is still to be told that it has not won, page by page, on each channel.

A play's tickets are kept from the first to the end of its telling. When its last winner is drawn, each channel gets a
job of its own with a cursor, so that a million entrants are told a page at a time and no channel waits for another.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from events.notice import ToldData, ToldOfRecord
from services.notifier.dispatch.fact_log import FactLog
from services.notifier.dispatch.rows import Waiting
from services.notifier.dispatch.tables import insert_waiting
from services.notifier.policy.draws import Draw, NotDrawn, TakenBack, TicketChange, Ticketed, Won

OWN_SUBJECT: Final = "nats"
"""The job of the members' own subjects, which every draw has."""
_DRAWING: Final = ""
"""Stands for a channel while winners are still drawn."""
_FORGETTING: Final = "$forget"
"""Stands for a channel once everybody is told and only the tickets are left; no channel's name holds a `$`."""
JOBS_AT_A_TIME: Final = 100
FORGOTTEN_AT_A_TIME: Final = 5_000
_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Draw)

ChannelsOf = Callable[[Draw], Sequence[str]]
"""Gives the channels beyond the own subject that tell a draw."""


class DrawJob(msgspec.Struct, frozen=True):
    """A draw that a channel is still to tell, to the members whose names come after `through`."""

    channel: str
    through: str
    draw: Draw

    @property
    def only_forgets(self) -> bool:
        """Whether everybody is told."""
        return self.channel == _FORGETTING


class Loser(msgspec.Struct, frozen=True):
    """Who holds tickets and has not won."""

    member: str
    tickets: int


def note_tickets(connection: sqlite3.Connection, changes: Sequence[TicketChange], channels_of: ChannelsOf) -> None:
    """Write down, within a transaction, what records say of tickets and draws."""
    for change in changes:
        match change:
            case Ticketed():
                connection.execute(
                    "INSERT INTO tickets VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (play, member, line) DO UPDATE SET tickets = tickets + excluded.tickets",
                    (change.play, change.member, change.line, change.tickets),
                )
            case TakenBack():
                connection.execute("DELETE FROM tickets WHERE play = ? AND line = ?", (change.play, change.line))
            case Draw():
                _add_job(connection, _DRAWING, change)
            case Won():
                connection.execute("DELETE FROM tickets WHERE play = ? AND member = ?", (change.play, change.member))
                if change.is_last:
                    _begin_telling(connection, change.play, channels_of)
            case NotDrawn():
                nothing = Draw(play=change.play, decision="", record=0, at_ns=0, draws=0, publisher="")
                _add_job(connection, _FORGETTING, nothing)


def _add_job(connection: sqlite3.Connection, channel: str, draw: Draw) -> None:
    connection.execute("INSERT OR IGNORE INTO draws VALUES (?, ?, '', ?)", (draw.play, channel, _encode(draw)))


def _begin_telling(connection: sqlite3.Connection, play: str, channels_of: ChannelsOf) -> None:
    row = connection.execute("SELECT body FROM draws WHERE play = ? AND channel = ?", (play, _DRAWING)).fetchone()
    assert row is not None, "a play is closed before it is drawn"
    draw = _decoder.decode(row[0])
    connection.execute("DELETE FROM draws WHERE play = ? AND channel = ?", (play, _DRAWING))
    for channel in (OWN_SUBJECT, *channels_of(draw)):
        _add_job(connection, channel, draw)


class DrawTable:
    """The jobs of draws in an outbox. Every call blocks; in the thread of the store."""

    def __init__(self, outbox: FactLog) -> None:
        self._outbox = outbox

    def jobs(self) -> list[DrawJob]:
        """Return what is still to be told."""
        rows = self._outbox.database.connection.execute(
            "SELECT channel, through, body FROM draws WHERE channel != ? ORDER BY play, channel LIMIT ?",
            (_DRAWING, JOBS_AT_A_TIME),
        )
        return [DrawJob(channel, through, _decoder.decode(body)) for channel, through, body in rows]

    def losers(self, job: DrawJob, limit: int) -> list[Loser]:
        """Return the next who hold tickets and have not won, in the order of their names."""
        rows = self._outbox.database.connection.execute(
            "SELECT member, sum(tickets) FROM tickets WHERE play = ? AND member > ? GROUP BY member "
            "HAVING sum(tickets) > 0 ORDER BY member LIMIT ?",
            (job.draw.play, job.through, limit),
        )
        return [Loser(member, tickets) for member, tickets in rows]

    def waiting_on(self, channel: str, limit: int) -> int:
        """Return how many notices wait on a channel, at most `limit`."""
        row = self._outbox.database.connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM notices WHERE channel = ? LIMIT ?)", (channel, limit)
        ).fetchone()
        return int(row[0])

    def queued(self, job: DrawJob, rows: Sequence[Waiting], through: str) -> None:
        """Put a page of notices into the outbox and move the cursor, all or nothing."""
        with self._outbox.database.transaction() as connection:
            for row in rows:
                insert_waiting(connection, row)
            _move(connection, job, through)

    def told(self, job: DrawJob, losers: Sequence[Loser], at_ns: int) -> None:
        """Note that a page stands on the members' own subjects: the fact and the cursor, all or nothing."""
        draw, members = job.draw, [loser.member for loser in losers]
        data = ToldData(
            at_ns=at_ns,
            as_of=draw.record,
            told=[ToldOfRecord(record=draw.record, members=members)],
            decision=draw.decision,
            kind="draw",
            play=draw.play,
        )
        with self._outbox.database.transaction() as connection:
            self._outbox.say_told(connection, data)
            _move(connection, job, members[-1])

    def finished(self, job: DrawJob) -> None:
        """Note that a channel has told everybody; after the last, the tickets may go."""
        with self._outbox.database.transaction() as connection:
            connection.execute("DELETE FROM draws WHERE play = ? AND channel = ?", (job.draw.play, job.channel))
            if connection.execute("SELECT 1 FROM draws WHERE play = ?", (job.draw.play,)).fetchone() is None:
                _add_job(connection, _FORGETTING, job.draw)

    def forget(self, job: DrawJob) -> bool:
        """Drop a page of tickets that are of no use any more; tell whether there may be more."""
        play = job.draw.play
        with self._outbox.database.transaction() as connection:
            gone = connection.execute(
                "DELETE FROM tickets WHERE play = ? AND (member, line) IN "
                "(SELECT member, line FROM tickets WHERE play = ? LIMIT ?)",
                (play, play, FORGOTTEN_AT_A_TIME),
            ).rowcount
            if gone < FORGOTTEN_AT_A_TIME:
                connection.execute("DELETE FROM draws WHERE play = ? AND channel = ?", (play, _FORGETTING))
        return gone == FORGOTTEN_AT_A_TIME


def _move(connection: sqlite3.Connection, job: DrawJob, through: str) -> None:
    connection.execute(
        "UPDATE draws SET through = ? WHERE play = ? AND channel = ?", (through, job.draw.play, job.channel)
    )
