"""What archiving records brings about: the new tip, summaries, pages of the index, leaves; nothing is written here."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.ledger.archive import Archive
from services.ledger.chain import Tip, place_of_record, tip_after
from services.ledger.faults import LedgerBroken
from services.ledger.postings import absorbed_by, cut_pages, pairs_of, split_page
from services.ledger.recorders import IndexChange, Summary
from services.ledger.runs import Run
from services.ledger.tree import GrowingTree, Growth


class Arrival(Protocol):
    """A record as it is followed: sequence in the journal, the broker's timestamp in ns, hash, exact bytes."""

    @property
    def seq(self) -> int:
        """Its sequence in the journal."""

    @property
    def at_ns(self) -> int:
        """The broker's timestamp of the journal message."""

    @property
    def hash(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""

    @property
    def body(self) -> bytes:
        """Its exact bytes."""


class Prepared(NamedTuple):
    """What is to be written, and what the writer goes on from when it has been."""

    tip: Tip
    change: IndexChange
    growth: Growth | None


def prepare(
    archive: Archive, tip: Tip | None, runs: list[Run], tree: GrowingTree | None, arrivals: Sequence[Arrival]
) -> Prepared:
    """Return what archiving `arrivals` after `tip` brings about; `runs` are those of the index as it is.

    Raises LedgerBroken when one does not follow the one before it.
    """
    summaries: list[Summary] = []
    pairs: list[bytes] = []
    for arrival in arrivals:
        own_hash = hashlib.sha256(arrival.body).digest()
        if own_hash.hex() != arrival.hash:
            raise LedgerBroken(place_of_record(arrival.seq), "its bytes are not those of the hash it came with")
        first_leaf = tip.entries if tip is not None else 0
        tip, record = tip_after(tip, archive.market, arrival.seq, arrival.hash, arrival.body)
        size_bytes = len(arrival.body)
        count = len(record.entries)
        place = record.entries[0].position
        summaries.append(Summary(arrival.seq, own_hash, size_bytes, first_leaf, count, *place, tip.at_ns))
        pairs += pairs_of(arrival.seq, record.entries)
    assert tip is not None, "there is at least one record"
    growth = None if tree is None else tree.growth([(each.seq, each.body) for each in arrivals])
    return Prepared(tip, _index(archive, runs, summaries, pairs, growth), growth)


def _index(
    archive: Archive, runs: list[Run], summaries: list[Summary], pairs: list[bytes], growth: Growth | None
) -> IndexChange:
    """Return the change of the index: the new pairs as a run, merged with those before that have become many."""
    count = absorbed_by(runs, len(pairs))
    absorbed = runs[len(runs) - count :]
    for run in absorbed:
        for body in archive.pages_of(run):
            pairs += split_page(body)
    pairs.sort()
    first_record = absorbed[0].first_record if absorbed else summaries[0].record
    number = runs[-1].run + 1 if runs else 1
    return IndexChange(
        summaries,
        Run(number, first_record, summaries[-1].record, len(pairs)),
        list(cut_pages(pairs)),
        [run.run for run in absorbed],
        growth.tiles if growth is not None else {},
    )
