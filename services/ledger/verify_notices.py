"""What `ledger verify` says of archived notices: each against its MAC and the one before, the end against its note."""

from typing import Final

import msgspec

from events.counted import counted
from services.ledger.archive import as_bytes
from services.ledger.checkpoint import CheckpointError, read_unverified
from services.ledger.faults import LedgerBroken, LedgerUnavailable
from services.ledger.notice_chain import NOTICES_META, NoticeHead, mac_after, noted_head, signed_head
from services.ledger.recorders import NOTICE_COLUMNS, Row
from services.ledger.store import LedgerStore

_PAGE: Final = 512
_BEFORE_ALL: Final = -(2**62)
_NUMBERED: Final = f"SELECT no, mac, {', '.join(NOTICE_COLUMNS)} FROM @notices WHERE no > ? ORDER BY no LIMIT ?"  # noqa: S608
_NOT_NUMBERED: Final = "SELECT stream, seq FROM @notices WHERE no IS NULL ORDER BY stream, seq LIMIT 1"


class NoticeReport(msgspec.Struct, kw_only=True, frozen=True):
    """The notices as they were found.

    `unchecked` of them stand in no chain, since an older program archived them and the ledger was not started since;
    `adopted` are in the chain as they were found when it began.
    """

    archived: int
    adopted: int = 0
    unchecked: int = 0


def check_notices(store: LedgerStore, market_key: bytes) -> NoticeReport:
    """Walk the chain and return what was found. Raises LedgerBroken with the place of the first fault."""
    if store.meta(NOTICES_META) is None:
        return _without_chain(store)
    check = _ChainCheck(store, market_key)
    while True:
        # While the ledger is running the chain grows.
        check.walk()
        head = check.noted()
        if head.count == check.end.count:
            break
    rows = store.query(_NOT_NUMBERED) if head.count >= head.adopted else []
    if rows:
        raise LedgerBroken(_place(rows[0]), "it stands in no chain: the ledger has not put it there")
    return NoticeReport(archived=head.count, adopted=head.adopted, unchecked=max(0, head.adopted - head.count))


class _ChainCheck:
    """The chain as it is walked, a page at a time."""

    def __init__(self, store: LedgerStore, market_key: bytes) -> None:
        self._store = store
        self._market_key = market_key
        self.end = NoticeHead()

    def walk(self) -> None:
        """Go on to the last notice that has a number."""
        after = self.end.count or _BEFORE_ALL
        while rows := self._store.query(_NUMBERED, (after, _PAGE)):
            for number, mac, *columns in rows:
                self._add(number, mac, tuple(columns))
            after = self.end.count

    def noted(self) -> NoticeHead:
        """Return the end that is noted. Raises LedgerBroken when the chain was cut off before or goes on after it."""
        note = self._store.meta(NOTICES_META) or ""
        count = note.partition(" ")[0]
        if count.isascii() and count.isdigit() and int(count) > self.end.count:
            # A ledger at work may have added it just now.
            self.walk()
            if int(count) > self.end.count:
                notices = counted(int(count), "notice was", "notices were")
                raise LedgerBroken(
                    f"notice {self.end.count + 1}",
                    f"it is missing: {notices} archived, the last one here is {self.end.count or 'none'}",
                )
        head = noted_head(self._store, self._market_key)
        if head is None:
            raise LedgerBroken(f"the note {NOTICES_META!r}", "it is missing")
        if head.count < self.end.count:
            raise LedgerBroken(
                f"notice {head.count + 1}", f"the ledger has not put it there: it notes {counted(head.count, 'notice')}"
            )
        return head

    def _add(self, number: object, mac: object, columns: Row) -> None:
        expected = self.end.count + 1
        if number != expected:
            raise LedgerBroken(
                f"notice {expected}", f"it is missing: the next one there is {str(number)[:20]}, {_place(columns)}"
            )
        right = mac_after(self._market_key, self.end.mac, expected, columns)
        if not isinstance(mac, bytes | memoryview) or as_bytes(mac) != right:
            raise LedgerBroken(
                f"notice {expected} ({_place(columns)})",
                "it is not what was archived there: it was changed or put in, or one before it was taken out or moved",
            )
        self.end = NoticeHead(expected, right)


def _without_chain(store: LedgerStore) -> NoticeReport:
    note = store.checkpoint()
    try:
        signed = signed_head(read_unverified(note.encode())) if note is not None else None
    except CheckpointError as error:
        raise LedgerBroken("the checkpoint", str(error)) from None
    if signed is not None:
        raise LedgerBroken(
            f"the note {NOTICES_META!r}",
            f"it is missing, although {counted(signed.count, 'notice was', 'notices were')} signed",
        )
    try:
        count = int(store.query("SELECT count(*) FROM @notices")[0][0])
    except LedgerUnavailable:
        # An older program made no table for notices.
        count = 0
    return NoticeReport(archived=count, unchecked=count)


def _place(columns: Row) -> str:
    return f"message {str(columns[1])[:20]} of the notices stream {str(columns[0])[:16]}"
