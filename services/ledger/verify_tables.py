"""What `ledger verify` says of what stands beside the records: nothing may be there that nobody checks."""

from typing import Final

from events.counted import counted
from services.ledger.application import TOPIC
from services.ledger.chain import place_of_record
from services.ledger.ends import tracking_name
from services.ledger.faults import LedgerBroken
from services.ledger.store import LedgerStore

META_NAMES: Final = frozenset({"market", "journal", "format", "market_key", "checkpoint", "cosigned", "notices"})
"""Every name under which a ledger notes something of itself."""
MIGRATION: Final = "__migration__"
"""Under this name the library notes the form of its own table of positions."""
MIGRATION_VERSION: Final = 1


def check_strangers(store: LedgerStore) -> None:
    """Raise LedgerBroken when something else is stored than the records of this journal and what belongs to them."""
    rows = store.query(
        "SELECT count(*), max(originator_version) FROM @events WHERE originator_id <> ? OR topic <> ?",
        (store.originator_key, TOPIC),
    )
    if rows[0][0]:
        raise LedgerBroken(
            place_of_record(rows[0][1]),
            f"{counted(rows[0][0], 'stored event is no record', 'stored events are no records')} of this journal",
        )
    _check_meta(store)
    _check_tracking(store)


def _check_meta(store: LedgerStore) -> None:
    for (name,) in store.query("SELECT name FROM @meta ORDER BY name"):
        if name not in META_NAMES:
            raise LedgerBroken(f"the note {str(name)[:40]!r}", "no ledger notes anything under this name")


def _check_tracking(store: LedgerStore) -> None:
    """Check that only this journal is tracked; how far is compared with the archive when that is opened."""
    own = tracking_name(store.market, store.identity)
    rows = store.query("SELECT application_name, notification_id FROM @tracking")
    for name, position in rows:
        if name != own and (name, position) != (MIGRATION, MIGRATION_VERSION):
            raise LedgerBroken(f"the position tracked for {str(name)[:60]!r}", "this ledger follows no such journal")
    if rows and all(name != MIGRATION for name, _ in rows):
        raise LedgerBroken("the tracked position", f"the row {MIGRATION!r} beside it is missing")


def check_pages(store: LedgerStore) -> None:
    """Raise LedgerBroken unless every page of the index belongs to a run and stands where its first pair belongs."""
    rows = store.query(
        "SELECT p.run, count(*) FROM @pages p LEFT JOIN @runs r ON r.run = p.run WHERE r.run IS NULL "
        "GROUP BY p.run ORDER BY p.run LIMIT 1"
    )
    if rows:
        raise LedgerBroken(
            f"run {rows[0][0]} of the index",
            f"{counted(rows[0][1], 'page belongs', 'pages belong')} to it, but there is no such run",
        )
