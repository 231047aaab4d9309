"""Leaves of what the archive holds."""

from services.ledger.archive import Archive
from services.ledger.faults import LedgerBroken
from services.ledger.leaves import LeafMaker


def leaves_between(archive: Archive, maker: LeafMaker, begin: int, end: int) -> list[bytes]:
    """Return the leaves from number `begin` up to, and without, `end`. Raises LedgerBroken when some are missing."""
    first = archive.record_of_leaf(begin)
    if first is None:
        raise LedgerBroken(f"leaf {begin}", "no record of the archive holds it")
    leaves: list[bytes] = []
    wanted, skipped = end - begin, begin - first.first_leaf
    for record in archive.records(first.record - 1):
        leaves += maker.leaves_of(record.seq, record.body)
        if len(leaves) >= skipped + wanted:
            return leaves[skipped : skipped + wanted]
    raise LedgerBroken(f"leaf {first.first_leaf + len(leaves)}", "the archive ends before it")
