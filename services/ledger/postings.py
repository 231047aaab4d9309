"""Which records name an entity: sorted runs of (key, record) pairs, merged as they grow.

A B-tree with one row a pair writes to a random page for every pair: 57,000 pairs/s once it holds six million, and
falling. Runs are only ever written in order. A run covers consecutive records and holds its pairs, 12 bytes
each, in pages; eight runs of one size class become one of the next, up to RUN_MAX_PAIRS, so that a pair is written
about six times in all and a search looks into a few dozen small runs and one large run for every 100,000 entries.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final, get_args

from services.ledger.lean import EntityKind, LeanEntry
from services.ledger.names import names_of
from services.ledger.runs import Page, Run

KEY_BYTES: Final = 6
RECORD_BYTES: Final = 6
PAIR_BYTES: Final = KEY_BYTES + RECORD_BYTES
RECORD_MAX: Final = 2 ** (8 * RECORD_BYTES) - 1
# Together with its row one page of pairs fits one 4 KiB page of SQLite without overflow.
PAGE_MAX_PAIRS: Final = 324
FAN_OUT: Final = 8
RUN_MAX_PAIRS: Final = 2**18
# A run of this size is merged no more: together eight of them would be too large.
SEALED_PAIRS: Final = RUN_MAX_PAIRS // FAN_OUT
_LEVELS: Final = range(1, 6)

# To copy a hash that has begun takes half of what it takes to begin one, and an entry names three entities.
_begun: Final = {kind: blake2b(f"{kind}:".encode(), digest_size=KEY_BYTES) for kind in get_args(EntityKind)}


def entity_key(kind: EntityKind, name: str) -> bytes:
    """Return the key of an entity. Keys may collide, rarely: what is found is looked at before it is believed."""
    key = _begun[kind].copy()
    key.update(name.encode())
    return key.digest()


def pair_of(key: bytes, record: int) -> bytes:
    """Return the pair of a key and a record's sequence; pairs sort by key, then by record."""
    assert 0 <= record <= RECORD_MAX, "a journal's sequence fits 48 bits"
    return key + record.to_bytes(RECORD_BYTES, "big")


def pairs_of(record: int, entries: Sequence[LeanEntry]) -> list[bytes]:
    """Return the pairs of one record, in no order, each once."""
    tail = record.to_bytes(RECORD_BYTES, "big")
    return list({entity_key(kind, name) + tail for kind, names in names_of(entries).items() for name in names})


def cut_pages(pairs: list[bytes]) -> Iterator[Page]:
    """Yield the pages of sorted pairs."""
    for start in range(0, len(pairs), PAGE_MAX_PAIRS):
        yield Page(pairs[start], b"".join(pairs[start : start + PAGE_MAX_PAIRS]))


def split_page(body: bytes) -> list[bytes]:
    """Return the pairs of a page."""
    return [body[at : at + PAIR_BYTES] for at in range(0, len(body), PAIR_BYTES)]


def records_in_page(body: bytes, key: bytes, after: int) -> list[int]:
    """Return the records, above `after`, that a page names for a key, ascending."""
    pairs = split_page(body)
    start = bisect_left(pairs, pair_of(key, after + 1))
    end = bisect_left(pairs, pair_of(key, RECORD_MAX), lo=start)
    return [int.from_bytes(pair[KEY_BYTES:], "big") for pair in pairs[start:end]]


def absorbed_by(runs: list[Run], newest_pairs: int) -> int:
    """Return how many of the last of `runs` are merged with a newest run of `newest_pairs` pairs."""
    absorbed, pairs = 0, newest_pairs
    while pairs < SEALED_PAIRS:
        count = _merge_count(runs[: len(runs) - absorbed], pairs)
        if count == 0:
            return absorbed
        pairs += sum(run.pairs for run in runs[len(runs) - absorbed - count : len(runs) - absorbed])
        absorbed += count
    return absorbed


def _merge_count(runs: list[Run], newest_pairs: int) -> int:
    """Return how many of the last runs make up, with the newest, a full set of one size class; 0 when none does."""
    for level in _LEVELS:
        if _size_class(newest_pairs) > level:
            continue
        count, pairs = 0, newest_pairs
        for run in reversed(runs):
            pairs += run.pairs
            if pairs > RUN_MAX_PAIRS or run.pairs >= SEALED_PAIRS or _size_class(run.pairs) > level:
                break
            count += 1
        if count + 1 >= FAN_OUT:
            return count
    return 0


def _size_class(pairs: int) -> int:
    """Return the power of the fan-out that `pairs` reaches: 1 for up to seven, 2 for up to 63, and so on."""
    return (pairs.bit_length() + 2) // 3
