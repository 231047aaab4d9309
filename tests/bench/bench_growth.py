"""Growth: what an event, a start and a byte cost as open groups become many.

Each size has a process of its own, without a broker. A market is grown as a journal is read from nothing: its entries
are applied, one after another; then orders are decided, and it is saved and started from what was saved. All
times are processor time of that process, which other work on the machine spoils less.
"""

import gc
import random
import time
from pathlib import Path
from typing import Any, Final

from services.matcher.domain.engine import Engine
from services.matcher.domain.identity_log import CONTENT_BYTES, KEY_BYTES, Identities
from services.matcher.domain.identity_rows import IdentityRows
from services.matcher.domain.message import Message
from tests.bench import traffic
from tests.bench.bench_rules import FACTS, MILLION, Market, bytes_per_group, in_a_process, orders_us, resident_bytes

SIZES: Final = (1_000, 100_000, 1_000_000)
QUICK_SIZES: Final = (1_000, 100_000)
FULL_SIZES: Final = (*SIZES, 10_000_000)
START_BYTES: Final = 2_500
"""Of memory for each group, to start from a snapshot beside the market that made it; left out where there is less."""
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
        "bytes_per_group": bytes_per_group(min(sizes[-1], MILLION)),
        "bytes_per_seat": in_a_process(f"bytes_per_seat({seats})", module=__name__),
        "bytes_per_identity": in_a_process(f"bytes_per_identity({sizes[-1]})", module=__name__),
        "restart_s": next(size["snapshot_start_s"] for size in reversed(found) if size["snapshot_start_s"] is not None),
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
    return {
        "open_groups": groups,
        "bytes_per_group_from_journal": grown_bytes // groups,
        "journal_start_s": round(replay_s, 2),
        **(_saved_and_started(market) if _available_bytes() > groups * START_BYTES else {"snapshot_start_s": None}),
        "us_per_event": round(orders_us(market), 2),
    }


def _saved_and_started(market: Market) -> dict[str, Any]:
    begun_s = time.process_time()
    snapshot = market.engine.snapshot()
    saved_s = time.process_time()
    restored = Engine.restore("main", FACTS, snapshot)
    started_s = time.process_time()
    groups = len(market.engine.state.groups)
    assert len(restored.state.groups) == groups
    return {
        "snapshot_s": round(saved_s - begun_s, 2),
        "snapshot_start_s": round(started_s - saved_s, 2),
        "snapshot_bytes_per_group": len(snapshot) // groups,
    }


def _available_bytes() -> int:
    """Return how much memory the machine could still give."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1_024


def _replayed(groups: int) -> tuple[Market, float]:
    """Return a market that has read so many groups from a journal, and the processor seconds that it took to apply.

    The entries are decided as they are needed, each ten thousand by a market of their own: what opens a group does
    not depend on the others.
    """
    market = Market()
    spent_s = 0.0
    for first in range(0, groups, CHUNK):
        count = min(CHUNK, groups - first)
        made = _opening(first, count)
        maker = Market()
        entries: list[bytes] = []
        for body in traffic.batches(made, OPENING_BATCH):
            market.seq += 1
            message = Message(market.seq, time.time_ns(), traffic.PUBLISHER, "order", body)
            entries += maker.engine.process(message)
        # It is a cycle, which would stay while the collector is off.
        maker.engine._rules.clear()
        begun_s = time.process_time()
        for entry in entries:
            market.engine.evolve(entry)
        spent_s += time.process_time() - begun_s
    assert len(market.engine.state.groups) == groups
    return market, spent_s


def _opening(first: int, count: int) -> list[bytes]:
    """Return orders that each open a group: one made by `traffic`, and the others after its pattern.

    Ten million are made in a fifth of the time so.
    """
    pattern = traffic.orders(1, lead="always", prefix="PREFIX")[0].decode()
    member = pattern.split('"member":"')[1][:9]
    offer = pattern.split('"offer":"')[1].split('"')[0]
    pattern = pattern.replace("PREFIX-000000000000", "%(order)s").replace("PREFIX-000000000", "%(order)s")
    pattern = pattern.replace(member, "m-%(member)07d").replace(offer, "tea-%(offer)d")
    chance = random.Random(first)
    return [
        (
            pattern
            % {
                "order": f"g{first // CHUNK}-{place:09d}",
                "member": chance.randrange(10**6),
                "offer": place % traffic.OFFERS,
            }
        ).encode()
        for place in range(count)
    ]


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
        known.add(key, bytes(CONTENT_BYTES), number, number, 0, 0)
    assert known.count == identities
    return (resident_bytes() - before) // identities
