"""Matching quality: the share of members who get their group, by way of matching, beside the clairvoyant optimum.

On simulated arrivals (Poisson and bursty, groups of 2 to 100, scarce to ample demand) and on real launches. Nothing
here depends on this machine's speed.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.cli.beibei import BASE_NS, BASE_TIME, PUBLISHER, SOURCE, Record, market_for, plan_batches, read_records
from deploy.cli.output import say
from events.decisions import GroupFilled, Refused
from events.market import MarketConfiguredEvent
from events.record import decode_entry
from events.subjects import OPERATOR
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from tests.bench.matching import online
from tests.bench.matching.arrivals import PATTERNS, TTL_S, Party, Pattern, parties
from tests.bench.matching.optimum import SOLVER_S, Optimum, optimum
from tests.bench.matching.policies import POLICIES, Outcome, play_out

SIZES: Final = (2, 5, 10, 30, 100)
SIZES_QUICK: Final = (5, 10)
DEMANDS: Final = {"scarce": 1.5, "moderate": 4.0, "ample": 12.0}
"""Seats wanted within one group's time to live, in groups."""
PARTIES: Final = 300
PARTIES_QUICK: Final = 150
SEEDS: Final = (1, 2, 3)
SOLVER_QUICK_S: Final = 1.0
RECORDS: Final = Path("../shared/data/beibei/failed-100k.txt.xz")
RECORDS_LIMIT: Final = 20_000
RECORDS_TTL_S: Final = 5_000
MERGING: Final = "earliest_deadline_merging"
ALONE: Final = "earliest_deadline"


def run(quick: bool = False) -> dict[str, Any]:
    """Return every cell, and the two figures that are to be reached."""
    cells = []
    for size in SIZES_QUICK if quick else SIZES:
        say(f"matching: groups of {size}")
        cells += [_cell(size, demand, pattern, quick=quick) for demand in DEMANDS for pattern in PATTERNS]
    return {**headline(cells), "cells": cells, "real": real_launches()}


def headline(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what merging adds where demand is scarce and groups have five seats and more, and how near it comes.

    The share of the optimum is that of the best way that an offer can choose; beside it stands what the best of the
    ways could do that the rules do not know.
    """
    scarce = [cell for cell in cells if cell["demand"] == "scarce" and cell["size"] >= 5]
    filled = {way: sum(cell["filled_share"][way] for cell in scarce) for way in POLICIES}
    other = {way: sum(cell["other_ways"][way]["filled_share"] for cell in scarce) for way in online.WAYS}
    best = sum(cell["optimum_share"] for cell in scarce)
    way, other_way = max(filled, key=filled.__getitem__), max(other, key=other.__getitem__)
    return {
        "merging_gain": round(filled[MERGING] / filled[ALONE] - 1, 4),
        "merging_share_of_optimum": round(filled[way] / best, 4),
        "best_way": way,
        "best_other_way": other_way,
        "best_other_way_share_of_optimum": round(other[other_way] / best, 4),
    }


def _cell(size: int, demand: str, pattern: Pattern, *, quick: bool = False) -> dict[str, Any]:
    count, seeds = (PARTIES_QUICK, SEEDS[:1]) if quick else (PARTIES, SEEDS)
    histories = [parties(size=size, demand=DEMANDS[demand], pattern=pattern, count=count, seed=seed) for seed in seeds]
    outcomes = {way: [play_out(one, size, TTL_S, way) for one in histories] for way in POLICIES}
    best = [optimum(one, size, TTL_S, SOLVER_QUICK_S if quick else SOLVER_S) for one in histories]
    members = sum(party.size for one in histories for party in one)
    return {
        "size": size,
        "demand": demand,
        "arrivals": pattern,
        "members": members,
        "filled_share": {way: round(_share(found), 4) for way, found in outcomes.items()},
        "wait_h": {way: round(_wait_s(found) / 3_600, 2) for way, found in outcomes.items()},
        "optimum_share": round(sum(one.members for one in best) / members, 4),
        "optimum_is": _kind(best),
        "other_ways": {name: _other(histories, size, way, members) for name, way in online.WAYS.items()},
    }


def _other(histories: list[list[Party]], size: int, way: online.Way, members: int) -> dict[str, float]:
    """Return what a way of matching that the rules do not know could do."""
    came = [online.play_out(one, size, TTL_S, way) for one in histories]
    filled = sum(one.filled for one in came)
    wait_s = sum(one.wait_s for one in came) / max(1, filled)
    return {"filled_share": round(filled / members, 4), "wait_h": round(wait_s / 3_600, 2)}


def _share(outcomes: list[Outcome]) -> float:
    return sum(one.filled for one in outcomes) / sum(one.members for one in outcomes)


def _wait_s(outcomes: list[Outcome]) -> float:
    waits = [one.wait_s_mean for one in outcomes if one.filled]
    return statistics.fmean(waits) if waits else 0.0


def _kind(best: list[Optimum]) -> str:
    return "exact" if all(one.exact for one in best) else "bound"


def real_launches() -> dict[str, Any] | None:
    """Return the shares on real launches that nobody joined; None where the records are not there.

    Groups of two for an item. Their optimum needs no program: pairing each launch with the next one still
    waiting is the best that anybody can do. The order of lines is taken as order in time, one a second.
    """
    if not RECORDS.exists():
        return None
    records = list(read_records(RECORDS, RECORDS_LIMIT))
    return {
        "records": len(records),
        "ttl_s": RECORDS_TTL_S,
        "filled_share": {"no_strangers": 0.0, ALONE: round(_filled_launches(records) / len(records), 4)},
        "optimum_share": round(2 * _best_pairs(records, RECORDS_TTL_S) / len(records), 4),
    }


def _filled_launches(records: list[Record]) -> int:
    """Return how many launches the rules fill; `groupbuy import beibei` counts the same through the whole service."""
    engine = Engine("bench", Facts(b"k" * 32))
    configured = MarketConfiguredEvent(
        id="market", source=SOURCE, time=BASE_TIME, specversion="1.0", data=market_for(RECORDS_TTL_S)
    )
    entries = engine.process(Message(1, BASE_NS, OPERATOR, "market", msgspec.json.encode(configured)))
    for batch in plan_batches(records, 2):
        entries += engine.process(Message(batch.seq, BASE_NS, PUBLISHER, batch.family, batch.body))
    decisions = [decision for raw in entries for decision in decode_entry(raw).decisions]
    assert not any(isinstance(one, Refused) for one in decisions), "no record is refused"
    return sum(len(one.seats) for one in decisions if isinstance(one, GroupFilled))


def _best_pairs(records: list[Record], ttl_s: int) -> int:
    """Return the most pairs possible when members are ignored: neighbours in time, greedily from the first."""
    return sum(_pairs_of(lines, ttl_s) for lines in _by_offer(records))


def _by_offer(records: list[Record]) -> Iterator[list[int]]:
    lines: dict[str, list[int]] = {}
    for record in records:
        lines.setdefault(record.offer, []).append(record.line)
    yield from lines.values()


def _pairs_of(lines: list[int], ttl_s: int) -> int:
    pairs, waiting = 0, None
    for line in lines:
        if waiting is not None and line < waiting + ttl_s:
            pairs, waiting = pairs + 1, None
        else:
            waiting = line
    return pairs
