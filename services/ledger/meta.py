"""What a ledger notes of itself: whose it is, which journal it archives, in which format."""

from collections.abc import Mapping
from typing import Final

from eventsourcing.persistence import PersistenceError

from events.counted import counted
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.recorders import LedgerRecorder

FORMAT: Final = "1"
PLACE: Final = "the ledger's notes (table ledger_meta)"
_ALWAYS: Final = ("market", "journal", "format")
# What is noted as soon as something else is stored, and how to see that it is.
_WITH: Final = {
    "market_key": "SELECT 1 FROM @tiles LIMIT 1",
    "checkpoint": "SELECT 1 FROM @tiles LIMIT 1",
    "notices": "SELECT 1 FROM @notices WHERE no IS NOT NULL LIMIT 1",
}


def check_meta(recorder: LedgerRecorder, market: str, identity: str | None, *, read_only: bool) -> str:
    """Return the identity of the journal that the ledger archives, writing it when the ledger is new."""
    meta: dict[str, str] = {row[0]: row[1] for row in recorder.query("SELECT name, value FROM @meta")}
    if not all(name in meta for name in _ALWAYS):
        _check_nothing_is_missing(recorder, meta)
        if read_only or identity is None:
            raise LedgerError(f"the ledger of market {market} is empty: nothing has been archived yet")
        recorder.execute(
            "INSERT INTO @meta (name, value) VALUES ('market', ?), ('journal', ?), ('format', ?)",
            (market, identity, FORMAT),
        )
        return identity
    if meta.get("format") != FORMAT:
        raise LedgerError(f"the ledger has format {meta.get('format')!r}, this program knows only {FORMAT}")
    if meta.get("market") != market:
        raise LedgerBroken("the note 'market'", f"this is the ledger of market {meta.get('market')!r}, not of {market}")
    known = meta.get("journal", "")
    if identity is not None and identity != known:
        raise LedgerBroken(
            f"the journal of market {market}",
            f"it was recreated: its stream is {identity[:16]}, the ledger archives {known[:16]}; the ledger holds "
            "what the old stream had and takes nothing from the new one",
        )
    return known


def _check_nothing_is_missing(recorder: LedgerRecorder, meta: Mapping[str, str]) -> None:
    """Raise LedgerBroken when notes are missing from a ledger in which something is stored: only a new one has none."""
    (count, last), *_ = recorder.query("SELECT count(*), max(originator_version) FROM @events")
    if not count and not meta:
        return
    wanted = [*_ALWAYS, *(name for name, question in _WITH.items() if _holds(recorder, question))]
    missing = ", ".join(repr(name) for name in wanted if name not in meta)
    records = counted(count, "record is", "records are")
    raise LedgerBroken(
        PLACE,
        f"{missing} missing, although {records} archived{f', the last is record {last}' if count else ''}: "
        "the notes were deleted behind the ledger's back; put that table back from a copy, the records are still there",
    )


def _holds(recorder: LedgerRecorder, question: str) -> bool:
    try:
        return bool(recorder.query(question))
    except PersistenceError:
        # An older program made no such table.
        return False
