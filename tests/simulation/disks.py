"""Disks that fail: full ones, torn writes, writes that were never there, bits that flip; and what an operator does."""

import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from events import subjects
from services.ledger.faults import LedgerError
from services.ledger.store import LedgerStore, ledger_file
from services.ledger.verify import verify
from tests.simulation.checks.history import KEY, MARKET, is_record, log_keys, must, stream

if TYPE_CHECKING:
    from tests.simulation.world import World

WAYS: Final = ("flip", "flip", "torn", "cut")
"""A bit is another; the last write is there in part; the end of the last writes is missing."""


@contextmanager
def no_room(beyond_bytes: int) -> Iterator[None]:
    """Have the operating system refuse to write any file beyond a size: in the middle of a write, where it falls so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def damage(path: Path, place: int, way: str) -> None:
    """Damage a file at about a place."""
    content = bytearray(path.read_bytes())
    if not content:
        return
    place %= len(content)
    if way == "cut":
        del content[place:]
    elif way == "torn":
        content[place:] = bytes(len(content) - place)
    else:
        content[place] ^= 1 << place % 8
    path.write_bytes(content)


def damage_ledger(world: "World", way: str, place: int) -> None:
    """Damage the database of a ledger that is not running: the main file by a bit, the log of writes in any way."""
    file = ledger_file(world.folder / "ledger", MARKET)
    if not file.exists():
        return
    log = file.with_name(f"{file.name}-wal")
    _take_over(file.parent)
    if way == "flip" and place % 2:
        # As it is after a quiet while: what was written is in the main file, and the log of writes is empty.
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        damage(file, place, way)
    elif log.exists():
        damage(log, place, way)
    world.is_ledger_damaged = True


def _take_over(folder: Path) -> None:
    """Put copies in place of files: the killed process still holds the originals, and SQLite would find it there."""
    copy = folder.with_name(f".{folder.name}-taken")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
    shutil.rmtree(folder)
    copy.rename(folder)


def mend_ledger(world: "World") -> None:
    """Do what an operator does about a damaged ledger: verify it, and have it archive anew what is not sound.

    What is found sound must hold what the journal holds.
    """
    if not world.is_ledger_damaged:
        return
    world.kill("ledger")
    folder = world.folder / "ledger"
    _take_over(folder / "ledger")
    journal = stream(world, subjects.journal_stream(MARKET))
    identity = journal.config["metadata"][subjects.IDENTITY_METADATA]
    try:
        with LedgerStore.open("sqlite:", MARKET, data_dir=folder, identity=identity, market_key=KEY) as store:
            is_sound = verify(store, keys=log_keys(world)).is_sound
            archived = [(record.seq, bytes(record.body)) for record in store.records()] if is_sound else []
    except LedgerError:
        is_sound = False
    if not is_sound:
        shutil.rmtree(folder / "ledger")
        world.faults.counts["noticed_damage"] = world.faults.counts.get("noticed_damage", 0) + 1
        return
    records = [(one.seq, one.body) for one in journal.messages if is_record(one)]
    must(archived == records[: len(archived)], "a damaged ledger is found sound, and is not the journal")
