"""The outbox: notices on their way, on disk, from the record that caused them to the fact that ends them."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from events import notice as facts
from events.notice import NoticeData, NoticeType, encode_fact
from services.bus.journal import START, JournalPosition
from services.notifier.dispatch.database import Database, note, outbox_file
from services.notifier.dispatch.rows import Busy, Claim, DeadLetter, Ended, EndKind, Held, Parcel, Waiting
from services.notifier.policy.choices import NO_CHOICES, Choices, after_use
from services.notifier.policy.facts import fact, notice_data, under
from services.notifier.policy.judge import Defer, Suppress, Verdict
from services.notifier.policy.known import Change
from services.notifier.policy.purposes import Notice, Purpose, Reason, digest_id

DIGEST_MAX_NOTICES: Final = 50
CLAIM_LOOKED_AT_MAX: Final = 512
_COLUMNS: Final = "id, channel, due_at, body, attempts, facts, round, first, digest_key, digest"
_notice_decoder: Final = msgspec.json.Decoder(Notice)
_dead_decoder: Final = msgspec.json.Decoder(DeadLetter)
_encode: Final = msgspec.json.Encoder().encode

Judge = Callable[[Waiting, Choices], Verdict]
AddressOf = Callable[[str], str | None]


@lru_cache(maxsize=4_096)
def _choices_in(body: bytes) -> Choices:
    return msgspec.json.decode(body, type=Choices)


class Outbox:
    """One market's notices on their way. Every call blocks; one thread at a time."""

    def __init__(self, data_dir: Path, market: str) -> None:
        self.market = market
        self.database = Database(outbox_file(data_dir, market))
        self.store_id = self.database.meta("store") or ""
        self.position = self._position()

    def close(self) -> None:
        """Close the store."""
        self.database.close()

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

    def choices_of(self, member: str) -> Choices:
        """Return what a member has chosen."""
        row = self.database.connection.execute("SELECT body FROM choices WHERE member = ?", (member,)).fetchone()
        return NO_CHOICES if row is None else _choices_in(row[0])

    def take_in(
        self,
        position: JournalPosition,
        rows: Sequence[Waiting],
        known: Sequence[Change] = (),
        choices: dict[str, Choices] | None = None,
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
                _write_choices(connection, member, chosen)
            note(connection, "seq", str(position.seq))
            note(connection, "hash", position.hash)
        self.position = position

    def add(self, rows: Sequence[Waiting]) -> None:
        """Store notices that no record caused."""
        with self.database.transaction() as connection:
            for row in rows:
                insert_waiting(connection, row)

    def waiting(self) -> dict[str, int]:
        """Return how many notices wait, by channel."""
        rows = self.database.connection.execute("SELECT channel, count(*) FROM notices GROUP BY channel")
        return {str(channel): int(count) for channel, count in rows}

    # What a channel may send.

    def claim(self, channel: str, now_ns: int, limit: int, busy: Busy, judge: Judge, address_of: AddressOf) -> Claim:
        """Return up to `limit` messages that may go out now, having ended and put off what may not.

        What is gathered into a digest stays together for good.
        """
        parcels: list[Parcel] = []
        looked_at = 0
        with self.database.transaction() as connection:
            seen, members = set(busy.notices), set(busy.members)
            while rows := self._due(channel, now_ns, limit - len(parcels), seen, members):
                for row in rows:
                    if row.id in seen or row.notice.member in members:
                        continue
                    together = self._together(row, seen)
                    seen.update(each.id for each in together)
                    looked_at += len(together)
                    parcel = self._parcel(connection, together, now_ns, judge, address_of)
                    if parcel is not None:
                        parcels.append(parcel)
                        if busy.one_per_member:
                            members.add(parcel.member)
                if looked_at >= CLAIM_LOOKED_AT_MAX:
                    # Others want the disk too: the rest at the next visit, at once.
                    return Claim(parcels, now_ns)
        found = self.database.connection.execute(
            "SELECT min(due_at) FROM notices WHERE channel = ? AND due_at > ?", (channel, now_ns)
        ).fetchone()
        return Claim(parcels, found[0])

    def _due(self, channel: str, now_ns: int, limit: int, seen: set[str], members: set[str]) -> list[Waiting]:
        """Return the first that are due and not among those seen, nor of these members."""
        if limit <= 0:
            return []
        others = f"AND member NOT IN ({', '.join('?' * len(members))}) " if members else ""
        rows = self._select(
            f"channel = ? AND due_at <= ? {others}ORDER BY due_at LIMIT ?",
            (channel, now_ns, *members, limit + len(seen)),
        )
        return [row for row in rows if row.id not in seen][:limit]

    def _together(self, row: Waiting, seen: set[str]) -> list[Waiting]:
        """Return the notices that go out with this one: those of its digest, or what may be gathered into one."""
        if row.digest is not None:
            return self._select("digest = ? ORDER BY id", (row.digest,))
        wanted = self.choices_of(row.notice.member).chosen.purposes
        if row.digest_key is None or row.attempts or (wanted is not None and Purpose.DIGEST not in wanted):
            return [row]
        gathered = self._select(
            "digest_key = ? AND digest IS NULL AND attempts = 0 ORDER BY due_at LIMIT ?",
            (row.digest_key, DIGEST_MAX_NOTICES),
        )
        return [each for each in gathered if each.id not in seen] or [row]

    def _parcel(
        self,
        connection: sqlite3.Connection,
        rows: list[Waiting],
        now_ns: int,
        judge: Judge,
        address_of: AddressOf,
    ) -> Parcel | None:
        member = rows[0].notice.member
        choices, address = self.choices_of(member), address_of(member)
        held: list[Held] = []
        for row in rows:
            verdict = judge(row, choices) if address is not None else Suppress(Reason.NO_ADDRESS)
            if isinstance(verdict, Suppress):
                self._suppress(connection, row, verdict.reason, now_ns)
            elif isinstance(verdict, Defer):
                self._defer(connection, row, verdict, now_ns)
            else:
                held.append(Held(row, verdict, now_ns, self.position.seq))
        if not held:
            return None
        parcel_id = held[0].row.digest
        if parcel_id is None and len(held) > 1:
            parcel_id = digest_id(rows[0].channel, member, [each.row.id for each in held])
            held = [msgspec.structs.replace(each, row=_sealed(connection, each.row, parcel_id)) for each in held]
        assert address is not None, "without an address nothing is held"
        return Parcel(parcel_id or held[0].row.id, tuple(held), address, choices.chosen.language or "")

    def _suppress(self, connection: sqlite3.Connection, row: Waiting, reason: Reason, now_ns: int) -> None:
        data = self._data(row)
        data.reason = reason.value
        self._say(connection, row, facts.SUPPRESSED, data, now_ns)
        _delete(connection, row)

    def _defer(self, connection: sqlite3.Connection, row: Waiting, verdict: Defer, now_ns: int) -> None:
        data = self._data(row)
        data.reason, data.until_ns = verdict.reason.value, verdict.until_ns
        self._say(connection, row, facts.DEFERRED, data, now_ns)
        connection.execute(
            # Out of its digest, whose other notices may go out now: their message would not hold it.
            "UPDATE notices SET due_at = ?, facts = facts + 1, digest = NULL WHERE id = ?",
            (verdict.until_ns, row.id),
        )

    # What became of it.

    def finish(self, ended: Sequence[Ended]) -> None:
        """Write down what became of messages, with a fact for each of their notices, all or nothing."""
        with self.database.transaction() as connection:
            for each in ended:
                for held in each.parcel.held:
                    self._end(connection, each, held)
                if each.used is not None:
                    member = each.parcel.member
                    _write_choices(connection, member, after_use(self.choices_of(member), each.used))

    def _end(self, connection: sqlite3.Connection, ended: Ended, held: Held) -> None:
        row, at_ns = held.row, ended.at_ns
        data = under(self._data(row), held.verdict)
        data.as_of, data.judged_at_ns = held.as_of, held.judged_at_ns
        data.attempts, data.why = row.attempts + 1, ended.why
        data.digest = row.digest
        match ended.kind:
            case EndKind.RETRY:
                assert ended.due_at_ns is not None, "a retry has its time"
                data.reason, data.until_ns = Reason.TRY_AGAIN.value, ended.due_at_ns
                self._say(connection, row, facts.DEFERRED, data, at_ns)
                connection.execute(
                    "UPDATE notices SET due_at = ?, attempts = attempts + 1, facts = facts + 1 WHERE id = ?",
                    (ended.due_at_ns, row.id),
                )
                return
            case EndKind.DEAD:
                self._bury(connection, row, data, at_ns)
            case EndKind.SUPPRESSED:
                data.reason = ended.reason.value if ended.reason is not None else None
                self._say(connection, row, facts.SUPPRESSED, data, at_ns)
            case EndKind.DELIVERED:
                self._say(connection, row, facts.DELIVERED, data, at_ns)
            case EndKind.SENT:
                self._say(connection, row, facts.SENT, data, at_ns)
        _delete(connection, row)

    def _bury(self, connection: sqlite3.Connection, row: Waiting, data: NoticeData, at_ns: int) -> None:
        said = self._say(connection, row, facts.FAILED, data, at_ns)
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

    def _data(self, row: Waiting) -> NoticeData:
        data = notice_data(row.notice, row.id, row.channel, self.position.seq)
        data.attempts, data.round, data.first = row.attempts, row.round, row.first
        return data

    def _say(self, connection: sqlite3.Connection, row: Waiting, kind: NoticeType, data: NoticeData, at_ns: int) -> str:
        made = fact(self.market, kind, data, row.facts + 1, at_ns)
        connection.execute("INSERT INTO facts (body) VALUES (?)", (encode_fact(made),))
        return made.id

    # Facts on their way to the stream.

    def facts_after(self, n: int, limit: int) -> list[tuple[int, bytes]]:
        """Return up to `limit` facts after number `n` that are not known to be published."""
        rows = self.database.connection.execute("SELECT n, body FROM facts WHERE n > ? ORDER BY n LIMIT ?", (n, limit))
        return [(int(number), bytes(body)) for number, body in rows]

    def forget_facts(self, through: int) -> None:
        """Drop the facts up to number `through`, which the stream holds."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM facts WHERE n <= ?", (through,))

    def facts_waiting(self) -> int:
        """Return how many facts are not published yet."""
        return int(self.database.connection.execute("SELECT count(*) FROM facts").fetchone()[0])

    # Helpers

    def _position(self) -> JournalPosition:
        seq, own_hash = self.database.meta("seq"), self.database.meta("hash")
        return START if seq is None or own_hash is None else JournalPosition(int(seq), own_hash)

    def _select(self, where: str, parameters: tuple[object, ...]) -> list[Waiting]:
        rows = self.database.connection.execute(f"SELECT {_COLUMNS} FROM notices WHERE {where}", parameters)  # noqa: S608
        return [_waiting(row) for row in rows]


def _waiting(row: tuple[object, ...]) -> Waiting:
    own_id, channel, due_at_ns, body, attempts, facts_said, round_, first, digest_key, digest = row
    assert isinstance(body, bytes), "a notice is stored as bytes"
    return Waiting(
        id=own_id,  # type: ignore[arg-type]  # the columns have the types of the schema
        channel=channel,  # type: ignore[arg-type]
        due_at_ns=due_at_ns,  # type: ignore[arg-type]
        notice=_notice_decoder.decode(body),
        attempts=attempts,  # type: ignore[arg-type]
        facts=facts_said,  # type: ignore[arg-type]
        round=round_,  # type: ignore[arg-type]
        first=first,  # type: ignore[arg-type]
        digest_key=digest_key,  # type: ignore[arg-type]
        digest=digest,  # type: ignore[arg-type]
    )


def insert_waiting(connection: sqlite3.Connection, row: Waiting) -> None:
    """Store one waiting notice within a transaction; one that is there already stays as it is."""
    connection.execute(
        "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.channel,
            row.notice.member,
            row.due_at_ns,
            row.attempts,
            row.facts,
            row.round,
            row.first,
            row.digest_key,
            row.digest,
            _encode(row.notice),
        ),
    )


def _sealed(connection: sqlite3.Connection, row: Waiting, digest: str) -> Waiting:
    connection.execute("UPDATE notices SET digest = ? WHERE id = ?", (digest, row.id))
    return msgspec.structs.replace(row, digest=digest)


def _delete(connection: sqlite3.Connection, row: Waiting) -> None:
    connection.execute("DELETE FROM notices WHERE id = ?", (row.id,))


def _write_choices(connection: sqlite3.Connection, member: str, choices: Choices) -> None:
    connection.execute(
        "INSERT INTO choices VALUES (?, ?) ON CONFLICT (member) DO UPDATE SET body = excluded.body",
        (member, _encode(choices)),
    )
