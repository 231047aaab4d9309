"""What a ledger notes of itself: whose it is, which journal it archives, in which format."""

from typing import Final

from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.recorders import LedgerRecorder

FORMAT: Final = "1"


def check_meta(recorder: LedgerRecorder, market: str, identity: str | None, *, read_only: bool) -> str:
    """Return the identity of the journal that the ledger archives, writing it when the ledger is new."""
    meta: dict[str, str] = {row[0]: row[1] for row in recorder.query("SELECT name, value FROM @meta")}
    if not meta:
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
        raise LedgerError(f"this is the ledger of market {meta.get('market')!r}, not of {market}")
    known = meta.get("journal", "")
    if identity is not None and identity != known:
        raise LedgerBroken(
            f"the journal of market {market}",
            f"it was recreated: its stream is {identity[:16]}, the ledger archives {known[:16]}; the ledger holds "
            "what the old stream had and takes nothing from the new one",
        )
    return known
