"""The rules alone: from the bytes of an intake message to the bytes of its entries, without broker and journal.

Everything is processor time of one process, so that other work on the machine spoils less. Each figure that depends on
what a process allocated before is measured in a process of its own.
"""

import gc
import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from deploy.permissions import OPERATOR
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from tests.bench import traffic

FACTS: Final = Facts(b"k" * 32)
BATCH: Final = 100
EVENTS: Final = 50_000
ROUNDS: Final = 6
MILLION: Final = 1_000_000
FEW_GROUPS: Final = 1_000
GROWTH_EVENTS: Final = 2_000
GROWTH_ROUNDS: Final = 12


def run(groups: int = MILLION) -> dict[str, Any]:
    """Measure and return the figures under the names that the project's issues use."""
    few, many = in_a_process(f"growth({FEW_GROUPS})"), in_a_process(f"growth({groups})")
    return {
        "rules_us_per_event": round(in_a_process("rules_us_per_event()"), 2),
        "rules_singles_us_per_event": round(in_a_process("rules_us_per_event(batch=1)"), 2),
        "growth_ratio": round(many / few, 2),
        "open_groups": groups,
        "bytes_per_group": bytes_per_group(groups),
        **in_a_process(f"restart({groups})"),
    }


def bytes_per_group(groups: int = MILLION) -> int:
    """Return what one open group with one seat adds to the matcher's memory, identity included."""
    return int(in_a_process(f"grown_bytes({groups}) // {groups}"))


def in_a_process(expression: str, module: str = __name__) -> Any:
    """Return the value of an expression over a module's names, from a process of its own."""
    code = f"import json; from {module} import *; print(json.dumps({expression}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


class Market:
    """An engine and the sequence of its intake."""

    def __init__(self, size: int = traffic.GROUP_SIZE) -> None:
        self.engine = Engine("main", FACTS)
        self.seq = 0
        self.decide(OPERATOR, "market", traffic.configuration())
        self.decide(traffic.PUBLISHER, "offer", traffic.batches(traffic.offers(size=size), traffic.OFFERS)[0])

    def decide(self, publisher: str, family: str, body: bytes) -> None:
        """Decide one intake message that arrives now."""
        self.seq += 1
        self.engine.decide(Message(self.seq, time.time_ns(), publisher, family, body))

    def decide_orders(self, bodies: list[bytes]) -> float:
        """Decide orders; return the processor seconds."""
        begun_s = time.process_time()
        for body in bodies:
            self.decide(traffic.PUBLISHER, "order", body)
        return time.process_time() - begun_s

    def open_groups(self, groups: int) -> None:
        """Open so many groups with one seat each."""
        for first in range(0, groups, 10_000):
            count = min(10_000, groups - first)
            made = traffic.orders(count, lead="always", seed=first, prefix=f"g{first // 10_000}")
            self.decide_orders(traffic.batches(made, 500))
        assert len(self.engine.state.groups) == groups


def rules_us_per_event(batch: int = BATCH) -> float:
    """Return the least processor time for a paid join in a limited offer, in µs, over a few rounds."""
    market = Market()
    rounds = [traffic.batches(traffic.orders(EVENTS, seed=r, prefix=f"o{r}"), batch) for r in range(ROUNDS)]
    gc.freeze()
    return min(market.decide_orders(bodies) for bodies in rounds) / EVENTS * 1e6


def growth(groups: int) -> float:
    """Return the least processor time for an order, in µs, while about so many groups are open."""
    market = Market()
    market.open_groups(groups)
    gc.freeze()
    return orders_us(market)


def orders_us(market: Market) -> float:
    """Return the least processor time for an order, in µs, in a market with the groups that it has.

    Of two orders one opens a group and one takes a seat, so that their number hardly changes.
    """
    spent_s = []
    for number in range(GROWTH_ROUNDS):
        half = GROWTH_EVENTS // 2
        opening = traffic.orders(half, lead="always", seed=number, prefix=f"u{number}")
        joining = traffic.orders(half, seed=number, prefix=f"v{number}")
        events = list(itertools.chain.from_iterable(zip(opening, joining, strict=True)))
        spent_s.append(market.decide_orders(traffic.batches(events, BATCH)))
    return min(spent_s) / GROWTH_EVENTS * 1e6


def grown_bytes(groups: int) -> int:
    """Return what so many open groups with one seat each add to the process's memory."""
    market = Market()
    gc.collect()
    gc.disable()
    before = resident_bytes()
    market.open_groups(groups)
    gc.collect()
    return resident_bytes() - before


def restart(groups: int) -> dict[str, float]:
    """Return how long a snapshot of so many open groups takes to make and to start from, in s, and its size."""
    market = Market()
    market.open_groups(groups)
    gc.freeze()
    begun_s = time.process_time()
    snapshot = market.engine.snapshot()
    made_s = time.process_time()
    restored = Engine.restore("main", FACTS, snapshot)
    restart_s = time.process_time() - made_s
    assert len(restored.state.groups) == groups
    return {
        "snapshot_s": round(made_s - begun_s, 2),
        "snapshot_bytes_per_group": len(snapshot) // groups,
        "restart_s": round(restart_s, 2),
    }


def resident_bytes() -> int:
    """Return how much memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
