"""Plays: assists and joins decided a second without a broker, and what an assist adds to the matcher's memory.

Decoding, rules, encoding, collector off as in the service. Joins and assists are measured in turns, by processor
time, so that other work on the machine weighs on both alike.
"""

import gc
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from events import fair
from events.subjects import OPERATOR
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from tests.bench import traffic

KEY: Final = b"k" * 32
MARKET: Final = "main"
EVENTS: Final = 40_000
TURNS: Final = 5
BATCH: Final = 100
PLAYS: Final = 4_000
HELPERS_PER_PLAY: Final = 20
GROWN: Final = 1_000_000


def run() -> dict[str, Any]:
    """Measure everything and return it under the names that the project's issues use."""
    joins, with_signals, assists = rates()
    grown, remembered = (_in_child(f"_grow({GROWN}, {plays})") for plays in (GROWN // HELPERS_PER_PLAY, 0))
    return {
        "assists_per_s_offline": round(assists),
        "joins_per_s_offline": round(joins),
        "joins_with_signals_per_s_offline": round(with_signals),
        "assists_to_joins": round(assists / joins, 2),
        "assists_to_joins_with_signals": round(assists / with_signals, 2),
        "bytes_per_assist": grown - remembered,
        "bytes_per_assist_with_identity": grown,
        "gib_for_10m_assists": round((grown - remembered) * 10_000_000 / 2**30, 2),
    }


def rates() -> tuple[float, float, float]:
    """Return joins, joins with signals, and assists decided a second of processor time: medians of some turns each.

    Assists carry signals for detection; so do joins where detection is on for groups as well.
    """
    joins, with_signals, assists = [], [], []
    for turn in range(TURNS):
        joins.append(_rate(_with_offers(), "order", traffic.orders(EVENTS, seed=turn, prefix=f"o{turn}")))
        signalled = list(map(_with_signals, traffic.orders(EVENTS, seed=turn, prefix=f"o{turn}")))
        with_signals.append(_rate(_with_offers(), "order", signalled))
        assists.append(_rate(_with_plays(PLAYS), "assist", given(EVENTS, PLAYS)))
    return statistics.median(joins), statistics.median(with_signals), statistics.median(assists)


class Market:
    """An engine that is fed intake messages."""

    def __init__(self) -> None:
        self.engine = Engine(MARKET, Facts(KEY))
        self._seq = 0

    def feed(self, publisher: str, family: str, body: bytes) -> list[bytes]:
        """Decide one message."""
        self._seq += 1
        return self.engine.process(Message(self._seq, time.time_ns(), publisher, family, body))


def given(count: int, plays: int, *, first: int = 0) -> list[bytes]:
    """Return assists by members of a million to plays in turn, with signals and a sharer; ids never repeat."""
    chance, at = random.Random(first), traffic.now_text()
    return [_assist(i, plays, chance, at) for i in range(first, first + count)]


def _assist(i: int, plays: int, chance: random.Random, at: str) -> bytes:
    data = {
        "play": f"cut-{i % plays:08d}" if plays else "cut-none",
        "assist": f"a-{i:09d}",
        "member": f"m-{i * 7_919 % 10**9:09d}",
        "via": f"s-{chance.randrange(10**6):07d}",
        "signals": _signals(chance),
    }
    return traffic.event("assist.given", f"0193f5e2-7c1a-7cc0-a-{i:012d}", data, at)


def _signals(chance: random.Random) -> dict[str, Any]:
    return {
        "device": f"{chance.getrandbits(256):064x}",
        "network": f"{chance.getrandbits(256):064x}",
        "account_age_days": chance.randrange(1_000),
        "channel": "app",
    }


def _with_signals(order: bytes) -> bytes:
    event = json.loads(order)
    event["data"]["signals"] = _signals(random.Random(event["id"]))
    return json.dumps(event, separators=(",", ":")).encode()


def _opened(i: int) -> bytes:
    terms = {"currency": "CNY", "start_minor": 9_990, "floor_minor": 990, "share_percent": 30}
    data = {"play": f"cut-{i:08d}", "form": "bargain", "member": f"owner-{i:08d}", "helper_limit": 50, "terms": terms}
    return traffic.event("play.opened", f"play-{i:08d}", data)


def _with_offers() -> Market:
    market = Market()
    market.feed(OPERATOR, "market", traffic.configuration())
    market.feed(traffic.PUBLISHER, "offer", b"[" + b",".join(traffic.offers()) + b"]")
    return market


def _with_plays(plays: int) -> Market:
    market = Market()
    configured = json.loads(traffic.configuration())
    configured["data"]["publishers"][traffic.PUBLISHER] += ["play", "assist"]
    configured["data"]["secret_commitment"] = fair.secret_commitment(fair.secret_of(KEY))
    configured["data"]["assist_caps"] = {"per_helper_day": 1_000, "per_pair_week": 1_000}
    market.feed(OPERATOR, "market", json.dumps(configured).encode())
    for body in traffic.batches([_opened(i) for i in range(plays)], 500):
        market.feed(traffic.PUBLISHER, "play", body)
    return market


def _rate(market: Market, family: str, events: list[bytes]) -> float:
    bodies = traffic.batches(events, BATCH)
    gc.collect()
    gc.disable()
    begun = time.process_time()
    entries = [market.feed(traffic.PUBLISHER, family, body) for body in bodies]
    took_s = time.process_time() - begun
    gc.enable()
    kinds = sum(entry.count(b'"kind":"refused"') for found in entries for entry in found)
    assert kinds == 0, f"{kinds} of {len(events)} were refused"
    return len(events) / took_s


def _in_child(call: str) -> int:
    """Return what a call of this module prints in a process of its own."""
    code = f"from tests.bench import bench_plays; print(bench_plays.{call})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1])


def _grow(assists: int, plays: int) -> int:
    """Return the bytes that an assist adds, its share of its play included; without plays, of an identity alone."""
    market = _with_plays(0)
    gc.disable()
    before = _resident_bytes()
    _feed_all(market, "play", map(_opened, range(plays)))
    _feed_all(market, "assist", _lazily(lambda first, count: given(count, plays, first=first), assists))
    gc.collect()
    assert market.engine.state.plays.assists == (assists if plays else 0)
    return (_resident_bytes() - before) // assists


def _lazily(make: Callable[[int, int], list[bytes]], count: int) -> Iterable[bytes]:
    for first in range(0, count, 10_000):
        yield from make(first, 10_000)


def _feed_all(market: Market, family: str, events: Iterable[bytes]) -> None:
    batch: list[bytes] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            market.feed(traffic.PUBLISHER, family, b"[" + b",".join(batch) + b"]")
            batch.clear()
    assert not batch, "whole batches"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
