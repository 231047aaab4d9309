"""Judging an assist, and what was counted before in the light of what is known now."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from services.matcher.domain.standing import flags as f
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.helping import UNKNOWN_MARK
from services.matcher.domain.standing.observing import (
    BRISK_S,
    OTHERS_KEPT,
    PACE_S,
    S_PER_H,
    Sight,
    busy_from,
    device_within,
    is_paired,
    is_returned,
    other_plays,
    reach_of,
    small_stranger,
)
from services.matcher.domain.standing.weighing import (
    Evidence,
    overlaps,
    pace_around,
    weigh,
)

HOLD_POINTS: Final = 100
REFUSE_POINTS: Final = 300
RECALLS_MAX: Final = 32
"""How many counted assists one held assist may take back."""
_PLAYS_RECALLED: Final = 4
_LOOKED_AT: Final = 64
"""How many of the latest assists of a play are judged again."""
_LOOKED_THROUGH_EVERY: Final = 16

_NO_WATCH: Final = Watch(play="", beneficiary=b"")
"""Of a play that nobody has helped."""

Outcome = Literal["counted", "held", "refused"]


class Verdict(NamedTuple):
    """What becomes of an assist, and why."""

    outcome: Outcome
    score: int
    evidence: list[Evidence]


class Recall(NamedTuple):
    """A counted assist that, in the light of what is known now, would have been held."""

    play: str
    place: int
    row: int
    score: int
    evidence: list[Evidence]


def evidence_of(book: Book, sight: Sight) -> list[Evidence]:
    """Return what speaks against a new assist, by what is remembered; the book stays as it is."""
    return weigh(book, _NO_WATCH if sight.watch is None else sight.watch, sight, is_in=False)


def verdict_of(evidence: list[Evidence], hold_points: int = HOLD_POINTS, refuse_points: int = REFUSE_POINTS) -> Verdict:
    """Return what becomes of an assist against which `evidence` speaks."""
    score = sum([piece.points for piece in evidence])
    outcome: Outcome = "counted"
    if score >= refuse_points:
        outcome = "refused"
    elif score >= hold_points:
        outcome = "held"
    return Verdict(outcome, score, evidence)


def recalls(book: Book, number: int, hold_points: int = HOLD_POINTS) -> list[Recall]:
    """Return counted assists on which the latest one that the watch `number` saw, a held one, casts doubt.

    Those of its own play, and of the plays most like it. To keep the cost of a long attack in proportion, a play is
    looked through each time while it has at most 64 assists, and at every sixteenth then.
    """
    watch = book.watches[number]
    if watch.assists > _LOOKED_AT and watch.assists % _LOOKED_THROUGH_EVERY:
        return []
    hour = watch.second_at(watch.assists - 1) // S_PER_H & 0xFFFF
    found: list[Recall] = []
    for doubted in [number, *_alike(book, number, hour)]:
        for recall in _doubted(book, doubted, hour, hold_points):
            found.append(recall)
            if len(found) == RECALLS_MAX:
                return found
    return found


def _alike(book: Book, number: int, hour: int) -> list[int]:
    """Return the other plays of the latest helper that share two helpers or more with this one, most alike first."""
    watch = book.watches[number]
    past = book.helpings.rows(watch.helper_at(watch.assists - 1))
    others = list(dict.fromkeys(other_plays(book, past, hour, number)[:OTHERS_KEPT]))
    ranked = sorted(zip(overlaps(watch, others), others, strict=True), reverse=True)
    return [other for shared, other in ranked[:_PLAYS_RECALLED] if shared >= 2]


def _doubted(book: Book, number: int, hour: int, hold_points: int) -> Iterator[Recall]:
    watch = book.watches[number]
    rows = range(max(0, watch.assists - _LOOKED_AT), watch.assists)
    sights = [sight_again(book, number, row, hour) for row in rows]
    now = looked_at_again(watch, sights)
    for row, sight in zip(rows, sights, strict=True):
        if sight.flags & f.DROPPED:
            continue
        evidence = weigh(book, now, sight, is_in=True)
        score = sum([piece.points for piece in evidence])
        if score >= hold_points:
            yield Recall(watch.play, watch.place_at(row), row, score, evidence)


def looked_at_again(watch: Watch, sights: list[Sight]) -> Watch:
    """Return a watch whose counts say what its latest assists, `sights`, show now."""

    def at_least(counted: int, flag: int) -> int:
        return max(counted, sum([1 for sight in sights if sight.flags & flag]))

    odd = watch.odd
    rare = msgspec.structs.replace(
        odd,
        busy=at_least(odd.busy, f.BUSY),
        returned=at_least(odd.returned, f.RETURNED),
        linked=at_least(odd.linked, f.LINKED),
        paired=at_least(odd.paired, f.PAIRED),
    )
    return msgspec.structs.replace(watch, rare=rare)


def sight_again(book: Book, number: int, row: int, hour: int) -> Sight:
    """Return what the assist in a row of the watch `number` shows now."""
    watch = book.watches[number]
    helper, flags, device, network = (
        watch.helper_at(row),
        watch.flags_at(row),
        watch.device_at(row),
        watch.network_at(row),
    )
    others = other_plays(book, book.helpings.rows(helper), hour, number)
    reach = reach_of(book, watch.beneficiary, others)
    if reach >= busy_from(book):
        flags |= f.BUSY
    if is_returned(book, helper, watch.beneficiary, hour):
        flags |= f.RETURNED
    if any(met > 1 and small_stranger(book, watch, n) for met, n in zip(overlaps(watch, others), others, strict=False)):
        flags |= f.LINKED
    device_row = None if device == UNKNOWN_MARK else device_within(book, device, hour)
    if device_row is not None and is_paired(device_row, helper):
        flags |= f.PAIRED
    return Sight(
        helper=helper,
        beneficiary=watch.beneficiary,
        second=watch.second_at(row),
        hour=hour,
        device=None if device == UNKNOWN_MARK else device,
        network=None if network == UNKNOWN_MARK else network,
        flags=flags,
        reach=reach,
        pace=pace_around(watch, row, PACE_S),
        brisk=pace_around(watch, row, BRISK_S),
        others=others,
        device_row=device_row,
    )
