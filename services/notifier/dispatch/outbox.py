"""The outbox: notices on their way, on disk, from the record that caused them to the fact that ends them."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from events import notice as facts
from events.notice import NoticeData, ToldData
from services.bus.journal import JournalPosition
from services.notifier.dispatch.claiming import Claiming
from services.notifier.dispatch.database import note
from services.notifier.dispatch.draws import ChannelsOf, note_tickets
from services.notifier.dispatch.rows import DeadLetter, Ended, EndKind, Held, Waiting
from services.notifier.dispatch.tables import delete_waiting, insert_waiting, select_waiting, write_choices
from services.notifier.policy.choices import Choices, after_use
from services.notifier.policy.draws import TicketChange
from services.notifier.policy.facts import under
from services.notifier.policy.known import Change
from services.notifier.policy.purposes import Reason

_encode: Final = msgspec.json.Encoder().encode


class Outbox(Claiming):
    """One market's notices on their way. Every call blocks; one thread at a time."""

    # What comes in from the journal.

    def begun_at_ns(self, now_ns: int) -> int:
        """Return when this store was first used; what was decided before is nobody's news any more."""
        known = self.database.meta("begun_at_ns")
        if known is not None:
            return int(known)
        with self.database.transaction() as connection:
            note(connection, "begun_at_ns", str(now_ns))
        return now_ns

    def known_rows(self) -> Iterable[tuple[str, str, bytes]]:
        """Return what is remembered of the market: (kind, name, body) each."""
        return self.database.connection.execute("SELECT kind, name, body FROM known")

    def take_in(
        self,
        position: JournalPosition,
        rows: Sequence[Waiting],
        known: Sequence[Change] = (),
        choices: dict[str, Choices] | None = None,
        tickets: Sequence[TicketChange] = (),
        channels_of: ChannelsOf = lambda _: (),
    ) -> None:
        """Store what the records up to `position` say, and the position, all or nothing."""
        with self.database.transaction() as connection:
            for row in rows:
                insert_waiting(connection, row)
            connection.executemany(
                "INSERT INTO known VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
                [(change.kind, change.name, change.body) for change in known if change.body is not None],
            )
            connection.executemany(
                "DELETE FROM known WHERE kind = ? AND name = ?",
                [(change.kind, change.name) for change in known if change.body is None],
            )
            for member, chosen in (choices or {}).items():
                write_choices(connection, member, chosen)
            note_tickets(connection, tickets, channels_of)
            note(connection, "seq", str(position.seq))
            note(connection, "hash", position.hash)
        self.position = position

    # What was told on the members' own subjects.

    def told_position(self) -> JournalPosition | None:
        """Return the record whose results have their facts, None before the first was written down."""
        seq, own_hash = self.database.meta("told_seq"), self.database.meta("told_hash")
        return None if seq is None or own_hash is None else JournalPosition(int(seq), own_hash)

    def tell(self, facts: Sequence[ToldData], position: JournalPosition) -> None:
        """Write down who was told through `position`, and the position, all or nothing."""
        with self.database.transaction() as connection:
            for data in facts:
                self.say_told(connection, data)
            note(connection, "told_seq", str(position.seq))
            note(connection, "told_hash", position.hash)

    def waiting(self) -> dict[str, int]:
        """Return how many notices wait, by channel."""
        rows = self.database.connection.execute("SELECT channel, count(*) FROM notices GROUP BY channel")
        return {str(channel): int(count) for channel, count in rows}

    # What became of it.

    def bury_strangers(self, channels: Sequence[str], now_ns: int) -> int:
        """Put notices of channels that there are no longer among the dead letters, and return how many there were."""
        known = ", ".join("?" * len(channels))
        with self.database.transaction() as connection:
            rows = select_waiting(connection, f"channel NOT IN ({known})", tuple(channels))
            for row in rows:
                data = self.data_of(row)
                data.why = f"the channel {row.channel} is not in the configuration any more"
                self._bury(connection, row, data, now_ns)
                delete_waiting(connection, row)
        return len(rows)

    def finish(self, ended: Sequence[Ended]) -> None:
        """Write down what became of messages, with a fact for each of their notices, all or nothing."""
        with self.database.transaction() as connection:
            for each in ended:
                for held in each.parcel.held:
                    self._end(connection, each, held)
                if each.used is not None:
                    member = each.parcel.member
                    write_choices(connection, member, after_use(self.choices_of(member), each.used))

    def _end(self, connection: sqlite3.Connection, ended: Ended, held: Held) -> None:
        row, at_ns = held.row, ended.at_ns
        data = under(self.data_of(row), held.verdict)
        data.as_of, data.judged_at_ns = held.as_of, held.judged_at_ns
        data.attempts, data.why = row.attempts + 1, ended.why
        data.digest = row.digest
        match ended.kind:
            case EndKind.RETRY:
                assert ended.due_at_ns is not None, "a retry has its time"
                data.reason, data.until_ns = Reason.TRY_AGAIN.value, ended.due_at_ns
                self.say(connection, row, facts.DEFERRED, data, at_ns)
                connection.execute(
                    "UPDATE notices SET due_at = ?, attempts = attempts + 1, facts = facts + 1 WHERE id = ?",
                    (ended.due_at_ns, row.id),
                )
                return
            case EndKind.DEAD:
                self._bury(connection, row, data, at_ns)
            case EndKind.SUPPRESSED:
                data.reason = ended.reason.value if ended.reason is not None else None
                self.say(connection, row, facts.SUPPRESSED, data, at_ns)
            case EndKind.DELIVERED:
                self.say(connection, row, facts.DELIVERED, data, at_ns)
            case EndKind.SENT:
                self.say(connection, row, facts.SENT, data, at_ns)
        delete_waiting(connection, row)

    def _bury(self, connection: sqlite3.Connection, row: Waiting, data: NoticeData, at_ns: int) -> None:
        said = self.say(connection, row, facts.FAILED, data, at_ns)
        letter = DeadLetter(
            id=row.id,
            channel=row.channel,
            member=row.notice.member,
            kind=row.notice.kind.value,
            why=data.why or "",
            at_ns=at_ns,
            attempts=data.attempts,
            fact=said,
            row=msgspec.structs.replace(row, facts=row.facts + 1),
        )
        connection.execute("INSERT INTO dead VALUES (?, ?, ?, ?)", (row.id, at_ns, row.channel, _encode(letter)))
