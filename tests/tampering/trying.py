"""Trying manipulations, and what became of each: found, with the place, or missed."""

import random
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
import psycopg

from services.ledger.faults import LedgerError
from services.ledger.store import LedgerStore
from services.ledger.verify import verify
from tests.bench.bench_ledger import MARKET
from tests.ledger_records import BuiltRecord
from tests.tampering.ledgers import Copy, PostgresLedgers, SqliteLedgers, content_hash, keys
from tests.tampering.manipulations import MANIPULATIONS, Manipulation

MISSED_SHOWN_MAX: Final = 20
_NUMBERS: Final = re.compile(r"'.*'|[0-9/]+")
DATABASES: Final = ("sqlite", "postgresql")


class Ledgers(Protocol):
    """A ledger that can be copied."""

    records: list[BuiltRecord]
    kept: bytes

    def copy(self) -> "contextmanager[Copy]":  # type: ignore[type-arg]
        """Give a copy to spoil."""


class Tried(msgspec.Struct, kw_only=True):
    """One manipulation: what was done, and the place and sentence with which it was found."""

    seed: int
    manipulation: str
    what: str
    place: str | None = None
    sentence: str | None = None


class Outcome(msgspec.Struct, kw_only=True):
    """What became of all of them; `by_place` counts where faults were found."""

    database: str
    entries: int
    seeds: int
    found: int
    untouched_faults: int
    by_manipulation: dict[str, int]
    by_place: dict[str, int]
    missed: list[Tried]
    missed_count: int


@contextmanager
def ledgers(database: str, folder: Path, entries: int) -> Iterator[Ledgers]:
    """Make the ledger to be copied."""
    if database == "sqlite":
        yield SqliteLedgers(folder, entries)
        return
    from tests.ledger_postgres import postgres_server

    # Not under pytest's folder: where the server is another user's, a second session of pytest would shut it out.
    with (
        tempfile.TemporaryDirectory(prefix="tampering-server-") as server,
        postgres_server(Path(server) / "data") as url,
    ):
        yield PostgresLedgers(folder, entries, url)


def fault_of(copy: Copy, kept: bytes) -> tuple[str, str] | None:
    """Return place and sentence of what `ledger verify` finds, None when it finds nothing."""
    try:
        with LedgerStore.open(copy.url, MARKET, data_dir=copy.folder, read_only=True) as store:
            fault = verify(store, keys=keys(kept)).fault
    except LedgerError as error:
        return getattr(error, "place", "the ledger"), str(error)
    return None if fault is None else (fault.place, fault.sentence)


def try_one(made: Ledgers, seed: int) -> Tried:
    """Copy the ledger, manipulate it, and verify it."""
    chance = random.Random(seed)
    weights = [weight for weight, _ in MANIPULATIONS]
    manipulate = chance.choices([each for _, each in MANIPULATIONS], weights)[0]
    with made.copy() as copy:
        with copy.hands() as hands:
            before = content_hash(hands)
        what = done_with(manipulate, copy, chance, made.records)
        with copy.hands() as hands:
            assert content_hash(hands) != before, f"seed {seed}: {manipulate.__name__} ({what}) changed nothing"
        found = fault_of(copy, made.kept)
    place, sentence = found if found is not None else (None, None)
    return Tried(seed=seed, manipulation=manipulate.__name__, what=what, place=place, sentence=sentence)


def done_with(manipulate: Manipulation, copy: Copy, chance: random.Random, records: list[BuiltRecord]) -> str:
    """Manipulate; where the database itself forbids what chance came up with, it comes up with something else."""
    while True:
        try:
            return manipulate(copy, chance, records)
        except (sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.errors.NumericValueOutOfRange):
            continue


def try_all(
    database: str,
    folder: Path,
    seeds: range,
    entries: int,
    progress: Callable[[Tried], None] = lambda _: None,
) -> Outcome:
    """Try every seed, and the untouched ledger before and after."""
    kinds: Counter[str] = Counter()
    places: Counter[str] = Counter()
    missed: list[Tried] = []
    with ledgers(database, folder, entries) as made:
        untouched = _untouched(made)
        for seed in seeds:
            tried = try_one(made, seed)
            kinds[tried.manipulation] += 1
            if tried.place is None:
                missed.append(tried)
            else:
                places[_NUMBERS.sub("N", tried.place)] += 1
            progress(tried)
        untouched += _untouched(made)
    return Outcome(
        database=database,
        entries=entries,
        seeds=len(seeds),
        found=len(seeds) - len(missed),
        untouched_faults=untouched,
        by_manipulation=dict(sorted(kinds.items())),
        by_place=dict(places.most_common()),
        missed=missed[:MISSED_SHOWN_MAX],
        missed_count=len(missed),
    )


def _untouched(made: Ledgers) -> int:
    with made.copy() as copy:
        return int(fault_of(copy, made.kept) is not None)
