"""Growth: what an event, a start and a byte cost as open groups become many.

Each size has a process of its own, without a broker. A market is grown as a journal is read from nothing: its entries
are applied, one after another; then orders are decided, and it is saved and started from what was saved. All
times are processor time of that process, which other work on the machine spoils less.
"""

import gc
import time
from typing import Any, Final

from services.matcher.domain.engine import Engine
from services.matcher.domain.identity_log import CONTENT_BYTES, KEY_BYTES, Identities, IdentityRows
from services.matcher.domain.message import Message
from tests.bench import traffic
from tests.bench.bench_rules import FACTS, Market, in_a_process, orders_us, resident_bytes

SIZES: Final = (1_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (1_000, 100_000)
FULL_SIZES: Final = (*SIZES, 10_000_000)
MEASURED_SEATS: Final = 300_000
SEATS_PER_GROUP: Final = 1_000
CHUNK: Final = 10_000
OPENING_BATCH: Final = 500


def run(*, full: bool = False, quick: bool = False) -> dict[str, Any]:
    """Measure at every size; `full` adds ten million groups (12 GiB), `quick` leaves out the million."""
    sizes = FULL_SIZES if full else QUICK_SIZES if quick else SIZES
    found = [in_a_process(f"at_size({size})", module=__name__) for size in sizes]
    seats = MEASURED_SEATS // 10 if quick else MEASURED_SEATS
    return {
        "sizes": found,
        "growth_ratio": round(found[-1]["us_per_event"] / found[0]["us_per_event"], 2),
        "open_groups": sizes[-1],
        "bytes_per_group": found[-1]["bytes_per_group"],
        "bytes_per_seat": in_a_process(f"bytes_per_seat({seats})", module=__name__),
        "bytes_per_identity": in_a_process(f"bytes_per_identity({sizes[-1]})", module=__name__),
        "restart_s": found[-1]["snapshot_start_s"],
    }


def at_size(groups: int) -> dict[str, Any]:
    """Return what it costs to grow to so many open groups of one seat, to decide there, to save and to start again."""
    gc.collect()
    gc.disable()
    before = resident_bytes()
    market, replay_s = _replayed(groups)
    gc.collect()
    grown_bytes = resident_bytes() - before
    gc.enable()
    gc.freeze()
    us_per_event = orders_us(market)
    begun_s = time.process_time()
    snapshot = market.engine.snapshot()
    saved_s = time.process_time()
    open_groups = len(market.engine.state.groups)
    del market
    restored = Engine.restore("main", FACTS, snapshot)
    started_s = time.process_time()
    assert len(restored.state.groups) == open_groups
    return {
        "open_groups": groups,
        "us_per_event": round(us_per_event, 2),
        "bytes_per_group": grown_bytes // groups,
        "journal_start_s": round(replay_s, 2),
        "snapshot_s": round(saved_s - begun_s, 2),
        "snapshot_start_s": round(started_s - saved_s, 2),
        "snapshot_bytes_per_group": len(snapshot) // groups,
    }


def _replayed(groups: int) -> tuple[Market, float]:
    """Return a market that has read so many groups from a journal, and the processor seconds that it took to apply.

    The entries are decided as they are needed, each ten thousand by a market of their own: what opens a group does
    not depend on the others.
    """
    market = Market()
    spent_s = 0.0
    for first in range(0, groups, CHUNK):
        count = min(CHUNK, groups - first)
        made = traffic.orders(count, lead="always", seed=first, prefix=f"g{first // CHUNK}")
        maker = Market()
        entries: list[bytes] = []
        for body in traffic.batches(made, OPENING_BATCH):
            market.seq += 1
            message = Message(market.seq, time.time_ns(), traffic.PUBLISHER, "order", body)
            entries += maker.engine.process(message)
        begun_s = time.process_time()
        for entry in entries:
            market.engine.evolve(entry)
        spent_s += time.process_time() - begun_s
    assert len(market.engine.state.groups) == groups
    return market, spent_s


def bytes_per_seat(seats: int) -> int:
    """Return what a seat in a large group adds to memory: its order, its identity, its share of the group."""
    market = Market(size=SEATS_PER_GROUP)
    gc.collect()
    gc.disable()
    before = resident_bytes()
    for first in range(0, seats, CHUNK):
        made = traffic.orders(min(CHUNK, seats - first), seed=first, prefix=f"s{first // CHUNK}")
        market.decide_orders(traffic.batches(made, OPENING_BATCH))
    gc.collect()
    assert len(market.engine.state.orders) == seats
    return (resident_bytes() - before) // seats


def bytes_per_identity(identities: int) -> int:
    """Return what a remembered event adds to memory, its order aside."""
    before = resident_bytes()
    known = Identities(IdentityRows())
    for number in range(identities):
        # Keys are hashes: spread evenly.
        key = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(KEY_BYTES, "little")
        known.add(key, bytes(CONTENT_BYTES), number, number, 0, 0, 0, 0)
    assert known.count == identities
    return (resident_bytes() - before) // identities
