"""What is owed back, and whether the payment backends have said that it went."""

import sqlite3
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from events import decisions as d
from events.record import Entry
from services.ledger.history import FoundEntry, scan
from services.ledger.scratch import scratch_database
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

_PAGE: Final = 1_000
_NEEDLE: Final = b'"refund.'


class RefundState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One refund: what is due and why, and how it was answered so far."""

    refund: str
    order: str
    payment: str
    amount_minor: int
    currency: str
    cause: str
    publisher: str
    due_entry: str
    due_at_ns: int
    member: str | None = None
    group: str | None = None
    status: Literal["due", "failed", "settled"] = "due"
    failures: int = 0
    answered_entry: str | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(RefundState).decode


def refunds(store: LedgerStore, *, unsettled: bool = True, progress: Progress | None = None) -> Iterator[RefundState]:
    """Yield the refunds in the order in which they became due, only the unsettled ones unless told otherwise.

    The whole archive is read once, a few MiB at a time; what is open meanwhile lies in a scratch database.
    """
    scratch = scratch_database()
    scratch.execute("CREATE TABLE refunds (place INTEGER PRIMARY KEY, refund TEXT UNIQUE, state BLOB)")
    try:
        for found in _entries_with_refunds(store, progress):
            for decision in found.entry.decisions:
                _note(scratch, found, decision, unsettled=unsettled)
        yield from _all(scratch)
    finally:
        scratch.close()


def refund_due(entry: Entry, name: str, decision: d.RefundDue) -> RefundState:
    """Return the state of a refund that has just become due."""
    return RefundState(
        refund=decision.refund,
        order=decision.order,
        payment=decision.payment,
        amount_minor=decision.amount_minor,
        currency=decision.currency,
        cause=decision.cause,
        publisher=decision.publisher,
        due_entry=name,
        due_at_ns=entry.at,
        member=decision.member,
        group=decision.group,
    )


def answer_refund(state: RefundState, name: str, decision: d.RefundClosed) -> None:
    """Note how the payment backend answered."""
    state.status = decision.status
    state.failures += decision.status == "failed"
    state.answered_entry = name


def _entries_with_refunds(store: LedgerStore, progress: Progress | None) -> Iterator[FoundEntry]:
    total = store.tip.entries if store.tip is not None else 0
    for done, found in enumerate(scan(store), start=1):
        if progress is not None and done % _PAGE == 0:
            progress(done, max(done, total))
        if _NEEDLE in found.raw:
            yield found


def _note(scratch: sqlite3.Connection, found: FoundEntry, decision: d.AnyDecision, *, unsettled: bool) -> None:
    if isinstance(decision, d.RefundDue):
        state = refund_due(found.entry, found.name, decision)
        scratch.execute("INSERT OR IGNORE INTO refunds (refund, state) VALUES (?, ?)", (state.refund, _encode(state)))
    elif isinstance(decision, d.RefundClosed):
        row = scratch.execute("SELECT state FROM refunds WHERE refund = ?", (decision.refund,)).fetchone()
        if row is None:
            return
        if unsettled and decision.status == "settled":
            scratch.execute("DELETE FROM refunds WHERE refund = ?", (decision.refund,))
            return
        state = _decode(row[0])
        answer_refund(state, found.name, decision)
        scratch.execute("UPDATE refunds SET state = ? WHERE refund = ?", (_encode(state), decision.refund))


def _all(scratch: sqlite3.Connection) -> Iterator[RefundState]:
    after = 0
    while True:
        rows = scratch.execute(
            "SELECT place, state FROM refunds WHERE place > ? ORDER BY place LIMIT ?", (after, _PAGE)
        ).fetchall()
        if not rows:
            return
        yield from (_decode(state) for _, state in rows)
        after = rows[-1][0]
