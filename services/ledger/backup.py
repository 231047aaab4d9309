"""A copy of a market's ledger at one instant, made while the ledger goes on writing, and read before it counts."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from services.bus.sqlite_errors import SQLITE_ERRORS, told_by_sqlite
from services.ledger.acts import acts_file
from services.ledger.faults import LedgerError
from services.ledger.store import LedgerStore, ledger_file

PAGES_A_STEP: Final = 4_096
"""Pages copied before the writer may go on and progress is told."""


class Backup(msgspec.Struct, kw_only=True):
    """What a copy holds: up to which record and entry, and where it is."""

    market: str
    directory: str
    records: int
    entries: int
    last_record: int
    last_hash: str
    size_bytes: int
    acts: int
    verified: bool = False
    fault: str | None = None


def back_up(data_dir: Path, market: str, out: Path, progress: Callable[[int, int], None]) -> Backup:
    """Copy the SQLite ledger of `market` and its acts from `data_dir` to `out`, which must not exist, and read it.

    The copy has the layout of a data directory. `progress` is told (pages copied, pages in all). Raises LedgerError
    when there is no ledger, `out` exists or cannot be written; then nothing is left at `out`.
    """
    source = ledger_file(data_dir, market)
    if not source.exists():
        raise LedgerError(f"market {market} has no SQLite ledger in {source.parent}: there is nothing to copy")
    target = ledger_file(out, market)
    try:
        out.mkdir(mode=0o700, parents=True)
        target.parent.mkdir(mode=0o700)
    except FileExistsError:
        raise LedgerError(f"{out} exists: a copy is never written over another; choose a new directory") from None
    except OSError as error:
        raise LedgerError(f"{out} cannot be made: {error.strerror}") from None
    try:
        _copy_database(source, target, progress)
        acts = _copy_acts(acts_file(data_dir, market), acts_file(out, market))
        return _read(out, market, target, acts)
    except (OSError, *SQLITE_ERRORS) as error:
        shutil.rmtree(out, ignore_errors=True)
        raise LedgerError(
            f"the ledger of {market} was not copied: {told_by_sqlite(error)}; nothing is left at {out}"
        ) from None
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def _copy_database(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy by SQLite's own online backup: a consistent state, whatever is written meanwhile."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        # One reading transaction, so that a busy writer does not make the copy begin anew at each step.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=PAGES_A_STEP, progress=lambda _, left, total: progress(total - left, total))
        writing.execute("PRAGMA journal_mode = DELETE")
    target.chmod(0o600)


def _copy_acts(source: Path, target: Path) -> int:
    """Copy the acts up to the last whole line, and return how many."""
    if not source.exists():
        return 0
    whole = source.read_bytes().rpartition(b"\n")
    target.write_bytes(whole[0] + whole[1])
    target.chmod(0o600)
    return whole[0].count(b"\n") + 1 if whole[1] else 0


def _read(out: Path, market: str, file: Path, acts: int) -> Backup:
    """Open the copy as every command would, and say what it holds."""
    with LedgerStore.open("sqlite:", market, data_dir=out, read_only=True) as store:
        tip = store.tip
        (records,) = store.query("SELECT count(*) FROM @records")[0]
        return Backup(
            market=market,
            directory=str(out),
            records=records,
            entries=store.entries_archived(),
            last_record=tip.seq if tip is not None else 0,
            last_hash=tip.hash if tip is not None else "",
            size_bytes=file.stat().st_size,
            acts=acts,
        )
