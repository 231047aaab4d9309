"""Where a ledger ends: by its records, by its index, and by what was tracked; all three are written together."""

from events.subjects import journal_stream
from services.ledger.archive import Archive
from services.ledger.chain import place_of_record
from services.ledger.faults import LedgerBroken


def tracking_name(market: str, identity: str) -> str:
    """Return the name under which the position in one journal stream is tracked."""
    return f"{journal_stream(market)}:{identity}"


def check_tracking(archive: Archive) -> int:
    """Return the sequence of the last record archived, 0 for none.

    Raises LedgerBroken when it is not the last that was tracked: both are written in one transaction.
    """
    archived, newest, tracked = archive.query(
        "SELECT (SELECT max(record) FROM @records), "
        "(SELECT max(originator_version) FROM @events WHERE originator_id = ?), "
        "(SELECT max(notification_id) FROM @tracking WHERE application_name = ?)",
        (archive.originator_key, tracking_name(archive.market, archive.identity)),
    )[0]
    if newest != archived:
        raise LedgerBroken(
            place_of_record(max(newest or 0, archived or 0)),
            f"the last record in the archive is {newest or 'none'}, in the index {archived or 'none'}",
        )
    if archived != tracked:
        raise LedgerBroken(
            place_of_record(max(tracked or 0, archived or 0)),
            f"records up to {tracked or 'none'} were archived, but the last one here is {archived or 'none'}: "
            "the end of the ledger was cut off or the database restored from an older copy",
        )
    return int(archived or 0)


def cut_off(archive: Archive, last: int) -> LedgerBroken:
    """Return what is wrong when the last record of the index is not in the archive: where that ends."""
    newest = archive.query(
        "SELECT max(originator_version) FROM @events WHERE originator_id = ?", (archive.originator_key,)
    )
    end = min(int(newest[0][0] or 0), last - 1)
    first, count = archive.query("SELECT min(record), count(*) FROM @records WHERE record > ?", (end,))[0]
    others = f", nor are the {count - 1} after it up to record {last}" if count > 1 else ""
    return LedgerBroken(
        place_of_record(first),
        f"the index knows it, but it is not in the archive{others}: the end of the stored records was cut off; the "
        f"last one there is {place_of_record(end) if end else 'none'}",
    )
