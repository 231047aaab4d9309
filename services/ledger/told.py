"""Who was told on the own subject: one fact lists many members, and is found again by record, entry by entry.

The facts stay as they came, some bytes a member; rows for each of them would cost the archive more than the results
themselves. What a member was told of an entry follows from the entry, and that it was told from the fact of its record.
"""

from collections.abc import Iterator
from typing import Final

from events.notice import DELIVERED, TOLD, NoticeData, NoticeFact, ToldFact, decode_told
from events.outcomes import results_of
from events.play_decisions import PlayTicketed
from services.ledger.archive import Archive, as_bytes
from services.ledger.faults import LedgerUnavailable
from services.ledger.history import FoundEntry, entries_of
from services.ledger.recorders import Row
from services.ledger.store import LedgerStore

RESULTS_TOLD: Final = f"result/{TOLD}"
DRAWS_TOLD: Final = f"draw/{TOLD}"
PAGE: Final = 50


def told_of_member(store: LedgerStore, member: str) -> Iterator[NoticeFact]:
    """Yield what a member was told on the own subject, entry by entry, then the draws in which it has not won."""
    records = _Records(store)
    has_tickets = False
    for found in entries_of(store, "member", member):
        yield from _results_told(records, found, member)
        has_tickets = has_tickets or any(isinstance(each, PlayTicketed) for each in found.entry.decisions)
    if has_tickets:
        yield from _draws_told(store, member)


def told_of_entry(store: LedgerStore, found: FoundEntry, member: str | None) -> Iterator[NoticeFact]:
    """Yield what a member, or with None everybody, was told of an entry on the own subject.

    Those who have not won a draw may be a million: of them only the one that is asked for, else `not_won` counts them.
    """
    yield from _results_told(_Records(store), found, member)
    if member is not None:
        yield from _draws_told(store, member, found.name)


def not_won(store: Archive, entry: str) -> int:
    """Return how many were told that they have not won the draw that an entry began."""
    return sum(len(told.members) for fact in _draw_facts(store, entry) for told in fact.data.told)


def query_notices(store: Archive, statement: str, parameters: Row) -> list[Row]:
    """Return rows of the archived notices; a ledger last written by an older version has no such table, and none."""
    try:
        return store.query(statement, parameters)
    except LedgerUnavailable:
        if store.query("SELECT count(*) FROM @records", ()):
            return []
        raise


class _Records:
    """The facts of records, of which the last are kept at hand: entries come in the order of the journal."""

    def __init__(self, store: Archive) -> None:
        self._store = store
        self._record = -1
        self._facts: list[tuple[ToldFact, frozenset[str]]] = []

    def told(self, record: int, member: str) -> ToldFact | None:
        """Return the fact that a member was told what a record says, None when there is none."""
        if record != self._record:
            self._record, self._facts = record, list(self._of(record))
        return next((fact for fact, members in self._facts if member in members), None)

    def _of(self, record: int) -> Iterator[tuple[ToldFact, frozenset[str]]]:
        after: Row = (record, "", -1)
        while True:
            rows = query_notices(
                self._store,
                "SELECT as_of, stream, seq, body FROM @notices WHERE kind = ? AND (as_of > ? OR (as_of = ? AND "
                "(stream > ? OR (stream = ? AND seq > ?)))) ORDER BY as_of, stream, seq LIMIT ?",
                (RESULTS_TOLD, after[0], after[0], after[1], after[1], after[2], PAGE if after[2] != -1 else 2),
            )
            for row in rows:
                fact = decode_told(as_bytes(row[3]))
                if fact.data.told[0].record > record:
                    # Facts follow the journal: all after this one begin later still.
                    return
                members = [told.members for told in fact.data.told if told.record == record]
                yield fact, frozenset(name for names in members for name in names)
            if not rows:
                return
            after = rows[-1]


def _results_told(records: _Records, found: FoundEntry, member: str | None) -> Iterator[NoticeFact]:
    for whom, result in results_of(found.entry):
        if member is None or whom == member:
            told = records.told(found.record, whom)
            if told is not None:
                yield _fact(told, whom, found.name, found.record, str(result["kind"]))


def _draws_told(store: Archive, member: str, entry: str | None = None) -> Iterator[NoticeFact]:
    needle = f'"{member}"'.encode()
    for fact in _draw_facts(store, entry, needle):
        for told in fact.data.told:
            if member in told.members:
                assert fact.data.decision is not None, "a draw has its decision"
                yield _fact(fact, member, fact.data.decision, told.record, "draw, not won")


def _draw_facts(store: Archive, entry: str | None, needle: bytes = b"") -> Iterator[ToldFact]:
    after: Row = (-1, "", -1)
    while True:
        rows = query_notices(
            store,
            "SELECT as_of, stream, seq, entry, body FROM @notices WHERE kind = ? AND (as_of > ? OR (as_of = ? AND "
            "(stream > ? OR (stream = ? AND seq > ?)))) ORDER BY as_of, stream, seq LIMIT ?",
            (DRAWS_TOLD, after[0], after[0], after[1], after[1], after[2], PAGE),
        )
        for row in rows:
            body = as_bytes(row[4])
            if (entry is None or row[3] == entry) and needle in body:
                yield decode_told(body)
        if not rows:
            return
        after = rows[-1]


def _fact(told: ToldFact, member: str, decision: str, record: int, kind: str) -> NoticeFact:
    """Return what a fact about many says of one of them."""
    data = NoticeData(
        at_ns=told.data.at_ns,
        notice=f"{told.id}/{decision.partition('/')[0]}/{member}/{kind}",
        decision=decision,
        record=record,
        as_of=told.data.as_of,
        member=member,
        purpose=told.data.purpose,
        kind=kind,
        channel=told.data.channel,
    )
    return NoticeFact(type=DELIVERED, id=told.id, source=told.source, time=told.time, data=data)
