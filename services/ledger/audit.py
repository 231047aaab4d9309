"""`ledger audit`: recounts the whole archive with code of its own and says what does not add up."""

from contextlib import closing
from typing import Final

import msgspec

from events.decode import decode_archived
from events.record import decode_record
from events.registry import AnyEvent
from events.undecodable import UNDECODABLE
from services.ledger.audit_accounts import Check, CheckResult, Recount, Totals
from services.ledger.audit_fold import SeatRecount
from services.ledger.audit_inputs import InputRecount
from services.ledger.audit_invitations import InvitationRecount
from services.ledger.audit_money import MoneyRecount
from services.ledger.audit_notices import SentRecount
from services.ledger.audit_plays import PlayRecount
from services.ledger.chain import place_of_record
from services.ledger.faults import LedgerBroken
from services.ledger.history import FoundEntry, entries_in
from services.ledger.lean import name_of
from services.ledger.notices import sent_invitations
from services.ledger.scratch import scratch_database
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress

_REPORT_EVERY: Final = 1_000


class AuditReport(msgspec.Struct, kw_only=True):
    """What was recounted and what does not add up; `clean` when everything does."""

    market: str
    records: int
    entries: int
    inputs: int
    last_entry: str | None
    clean: bool
    totals: Totals
    checks: dict[Check, CheckResult]


def audit(store: LedgerStore, progress: Progress | None = None) -> AuditReport:
    """Recount the archive from its first entry to its last and report every check.

    Memory stays bounded: what must be remembered and is not in use lies in a scratch database. Raises
    LedgerBroken when the archive cannot be read; whether it is intact is for `verify` to say.
    """
    with closing(scratch_database()) as scratch:
        checks = {check: CheckResult() for check in Check}
        recount, inputs = Recount(checks, scratch), InputRecount(checks, scratch)
        sent = SentRecount(checks, scratch, sent_invitations(store))
        walk = _Walk(store, recount, inputs, InvitationRecount(checks, scratch), sent, progress)
        walk.run()
        walk.finish()
        return AuditReport(
            market=store.market,
            records=walk.records,
            entries=walk.entries,
            inputs=inputs.inputs,
            last_entry=walk.last.name if walk.last is not None else None,
            clean=not any(result.faults for result in checks.values()),
            totals=recount.totals,
            checks=checks,
        )


class _Walk:
    """One pass over the archive."""

    def __init__(
        self,
        store: LedgerStore,
        recount: Recount,
        inputs: InputRecount,
        invitations: InvitationRecount,
        sent: SentRecount,
        progress: Progress | None,
    ) -> None:
        self._store = store
        self._recount = recount
        self._inputs = inputs
        self._invitations = invitations
        self._sent = sent
        self._seats = SeatRecount(recount)
        self._money = MoneyRecount(recount)
        self._plays = PlayRecount(recount)
        self._progress = progress
        self._total = store.tip.entries if store.tip is not None else 0
        self.records = 0
        self.entries = 0
        self.last: FoundEntry | None = None

    def run(self) -> None:
        for record in self._store.records():
            self.records += 1
            for found in entries_in(record.seq, record.body):
                self._entry(found)
            self._inputs.record(decode_record(record.body).through)
            self._sent.record(record.seq)

    def _entry(self, found: FoundEntry) -> None:
        self.last, self.entries = found, self.entries + 1
        self._recount.entry = found.name
        event = _event_of(found)
        answered_at_ns = self._inputs.answered_at_ns
        self._inputs.entry(found)
        self._money.entry(found.entry, event)
        self._seats.entry(found.entry, event, answered_at_ns)
        self._plays.entry(found.entry)
        self._invitations.entry(found.name, found.entry, event)
        self._sent.entry(found.name, found.entry, event)
        self._recount.settle()
        if self._progress is not None and self.entries % _REPORT_EVERY == 0:
            self._progress(self.entries, max(self._total, self.entries))

    def finish(self) -> None:
        """Check what can only be said at the end."""
        self._inputs.check_originals(self._store)
        self._money.check_payments()
        self._sent.finish()
        stuck = self._recount.checks[Check.STUCK_GROUPS]
        for name, group in self._recount.groups.items():
            # What was due when the last input got its outcome had been done before; later timers are still due.
            if group.status == "open" and group.deadline <= self._inputs.answered_at_ns:
                stuck.fail(group.opened_entry, f"group {name} is still open, its deadline has passed")


def _event_of(found: FoundEntry) -> AnyEvent | None:
    if found.entry.event is None:
        return None
    try:
        return decode_archived(found.entry.event)
    except UNDECODABLE as error:
        place = f"entry {name_of(found.position)} in {place_of_record(found.record)}"
        raise LedgerBroken(place, f"its event cannot be read: {error}; run `verify`") from None
