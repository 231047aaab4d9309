"""`ledger diff`: what changed in a market between two entries or times."""

from collections import Counter
from typing import NamedTuple

import msgspec

from events.record import decode_entry
from services.ledger.differences import Differences, picture
from services.ledger.evolving import Evolving
from services.ledger.faults import BadQuestion
from services.ledger.history import Until, check_until
from services.ledger.lean import name_of
from services.ledger.store import LedgerStore
from services.ledger.verify import Progress
from services.matcher.domain.facts import Zones


class DiffHead(msgspec.Struct, kw_only=True):
    """Between which entries, how many lie between, and how often each kind was decided in them."""

    first_entry: str | None
    last_entry: str | None
    entries: int
    decided: dict[str, int]


class Diff(NamedTuple):
    """What lies between two states of a market, and how they differ."""

    head: DiffHead
    changes: Differences


def diff(store: LedgerStore, begin: Until, end: Until, zones: Zones, progress: Progress | None = None) -> Diff:
    """Return what changed after `begin` up to and including `end`.

    Raises NotFound for a position past the end, BadQuestion when `end` comes before `begin`.
    """
    for until in (begin, end):
        check_until(store, until)
    evolving = Evolving(store, zones, progress)
    reached = (0, 0, 0)
    for entry in evolving.to(begin):
        reached = entry.position
    _check_order(begin, end, reached)
    before, first, last = picture(evolving.engine.state), None, None
    decided: Counter[str] = Counter()
    count = evolving.applied
    for entry in evolving.to(end):
        first, last = first or entry.position, entry.position
        decided.update(str(each.__struct_config__.tag) for each in decode_entry(entry.raw).decisions)
    head = DiffHead(
        first_entry=None if first is None else name_of(first),
        last_entry=None if last is None else name_of(last),
        entries=evolving.applied - count,
        decided=dict(sorted(decided.items())),
    )
    return Diff(head, Differences(before, picture(evolving.engine.state)))


def _check_order(begin: Until, end: Until, reached: tuple[int, int, int]) -> None:
    """Raise BadQuestion when what should come last comes first."""
    is_backwards = end.position is not None and end.position < reached
    if begin.at_ns is not None and end.at_ns is not None:
        is_backwards = is_backwards or end.at_ns < begin.at_ns
    if is_backwards:
        raise BadQuestion(f"{end.describe()} comes before {begin.describe()}: name the earlier one first")
