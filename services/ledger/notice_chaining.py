"""Keeping the chain over archived notices: each row written with its number and MAC, and with the end as it is then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from events.counted import counted
from services.ledger.archive import Archive
from services.ledger.checkpoint import CheckpointError, read_unverified
from services.ledger.faults import LedgerBroken, LedgerUnavailable
from services.ledger.notice_chain import NOTICES_META, NoticeHead, mac_after, noted_head, signed_head
from services.ledger.recorders import NOTICE_COLUMNS, Row
from services.ledger.tree import CHECKPOINT_META

ROWS_AT_A_TIME: Final = 200
_COLUMNS: Final = ", ".join(NOTICE_COLUMNS)
_PLACES: Final = f"({', '.join('?' * (len(NOTICE_COLUMNS) + 2))})"
_NOT_CHAINED: Final = f"SELECT {_COLUMNS} FROM @notices WHERE no IS NULL ORDER BY stream, seq LIMIT ?"  # noqa: S608
_LINK: Final = "UPDATE @notices SET no = ?, mac = ? WHERE stream = ? AND seq = ?"

Write = Callable[[Sequence[tuple[str, Row]], Mapping[str, str]], None]
"""Runs statements and keeps notes in one transaction. Raises LedgerUnavailable when that does not work."""


def insert_notices(rows: Sequence[Row]) -> tuple[str, Row]:
    """Return the statement that adds rows with number and MAC, and its parameters."""
    statement = f"INSERT INTO @notices ({_COLUMNS}, no, mac) VALUES {', '.join([_PLACES] * len(rows))}"  # noqa: S608
    return statement, tuple(value for row in rows for value in row)


class NoticeChain:
    """The chain of an archive as its writer knows it: only its end, so that adding reads nothing."""

    def __init__(self, archive: Archive, market_key: bytes, write: Write) -> None:
        self._archive = archive
        self._market_key = market_key
        self._write = write
        self._is_known = False
        self.head = NoticeHead()

    def begin(self) -> None:
        """Go on from what is noted, or chain what an older program archived; that is done page by page.

        Raises LedgerBroken when the chain does not end as was noted, or the note of it is gone.
        """
        noted = noted_head(self._archive, self._market_key)
        if noted is None:
            _check_there_was_none(self._archive)
            count = int(self._archive.query("SELECT count(*) FROM @notices")[0][0])
            noted = NoticeHead(adopted=count)
            self._write([], {NOTICES_META: noted.sealed(self._market_key)})
        self.head, self._is_known = noted, True
        while self.head.count < self.head.adopted:
            self._adopt()

    def add(self, rows: Sequence[Row]) -> None:
        """Archive rows of the notices, all or none. Raises LedgerUnavailable when the database does not take them."""
        if not self._is_known:
            self.begin()
        links, head = self._linked(rows)
        self._take([insert_notices([(*row, *link) for row, link in zip(rows, links, strict=True)])], head)

    def _adopt(self) -> None:
        rows = self._archive.query(_NOT_CHAINED, (min(ROWS_AT_A_TIME, self.head.adopted - self.head.count),))
        if not rows:
            raise LedgerBroken(
                f"notice {self.head.count + 1}",
                f"of {counted(self.head.adopted, 'notice')} to be chained only {self.head.count} are here: "
                "the rest is gone",
            )
        links, head = self._linked(rows)
        self._take([(_LINK, (*link, *row[:2])) for row, link in zip(rows, links, strict=True)], head)

    def _linked(self, rows: Sequence[Row]) -> tuple[list[Row], NoticeHead]:
        """Return number and MAC for each row to come, and the end of the chain after them."""
        number, mac = self.head.count, self.head.mac
        links: list[Row] = []
        for row in rows:
            assert len(row) == len(NOTICE_COLUMNS), "a row of the notices"
            number, mac = number + 1, mac_after(self._market_key, mac, number + 1, row)
            links.append((number, mac))
        return links, NoticeHead(number, mac, self.head.adopted)

    def _take(self, statements: Sequence[tuple[str, Row]], head: NoticeHead) -> None:
        try:
            self._write(statements, {NOTICES_META: head.sealed(self._market_key)})
        except LedgerUnavailable:
            # It may have been written all the same: what is stored decides.
            self._is_known = False
            raise
        self.head = head


def _check_there_was_none(archive: Archive) -> None:
    """Raise LedgerBroken when a chain was signed: then its note was taken away, and nothing may be chained anew."""
    note = archive.meta(CHECKPOINT_META)
    try:
        signed = signed_head(read_unverified(note.encode())) if note is not None else None
    except CheckpointError as error:
        raise LedgerBroken("the checkpoint", str(error)) from None
    if signed is not None:
        raise LedgerBroken(
            f"the note {NOTICES_META!r}",
            f"it is missing, although {counted(signed.count, 'chained notice was', 'chained notices were')} signed",
        )
