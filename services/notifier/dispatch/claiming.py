"""What a channel may send now: taken from what is due, judged at that moment, and gathered into digests."""

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from events import notice as facts
from services.notifier.dispatch.fact_log import FactLog
from services.notifier.dispatch.rows import Busy, Claim, Held, Parcel, Waiting
from services.notifier.dispatch.tables import delete_waiting, select_waiting
from services.notifier.policy.choices import Choices
from services.notifier.policy.judge import Defer, Suppress, Verdict
from services.notifier.policy.purposes import Purpose, Reason, digest_id

DIGEST_MAX_NOTICES: Final = 50
CLAIM_LOOKED_AT_MAX: Final = 512

Judge = Callable[[Waiting, Choices], Verdict]
AddressOf = Callable[[str], str | None]


class Claiming(FactLog):
    """The outbox as the workers of the channels see it."""

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
        rows = select_waiting(
            self.database.connection,
            f"channel = ? AND due_at <= ? {others}ORDER BY due_at LIMIT ?",
            (channel, now_ns, *members, limit + len(seen)),
        )
        return [row for row in rows if row.id not in seen][:limit]

    def _together(self, row: Waiting, seen: set[str]) -> list[Waiting]:
        """Return the notices that go out with this one: those of its digest, or what may be gathered into one."""
        if row.digest is not None:
            return select_waiting(self.database.connection, "digest = ? ORDER BY id", (row.digest,))
        wanted = self.choices_of(row.notice.member).chosen.purposes
        if row.digest_key is None or row.attempts or (wanted is not None and Purpose.DIGEST not in wanted):
            return [row]
        gathered = select_waiting(
            self.database.connection,
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
        data = self.data_of(row)
        data.reason = reason.value
        self.say(connection, row, facts.SUPPRESSED, data, now_ns)
        delete_waiting(connection, row)

    def _defer(self, connection: sqlite3.Connection, row: Waiting, verdict: Defer, now_ns: int) -> None:
        data = self.data_of(row)
        data.reason, data.until_ns = verdict.reason.value, verdict.until_ns
        self.say(connection, row, facts.DEFERRED, data, now_ns)
        connection.execute(
            # Out of its digest, whose other notices may go out now: their message would not hold it.
            "UPDATE notices SET due_at = ?, facts = facts + 1, digest = NULL WHERE id = ?",
            (verdict.until_ns, row.id),
        )


def _sealed(connection: sqlite3.Connection, row: Waiting, digest: str) -> Waiting:
    connection.execute("UPDATE notices SET digest = ? WHERE id = ?", (digest, row.id))
    return msgspec.structs.replace(row, digest=digest)
