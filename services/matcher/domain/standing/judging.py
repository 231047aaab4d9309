"""Judging an assist, and what was counted before in the light of what is known now."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from services.matcher.domain.standing import book as b
from services.matcher.domain.standing import flags as f
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.helping import UNKNOWN_MARK, Helping
from services.matcher.domain.standing.observing import (
    BRISK_S,
    PACE_S,
    Sight,
    busy_from,
    is_paired,
    is_returned,
    observe,
    other_plays,
    reach_of,
    small_stranger,
)
from services.matcher.domain.standing.packed import KEY_BYTES, Key
from services.matcher.domain.standing.weighing import (
    Counts,
    Evidence,
    counts_of,
    counts_with,
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

Outcome = Literal["counted", "held", "refused"]


class Verdict(NamedTuple):
    """What becomes of an assist, and why."""

    outcome: Outcome
    score: int
    evidence: list[Evidence]
    sight: Sight


class Recall(NamedTuple):
    """A counted assist that, in the light of what is known now, would have been held."""

    play: str
    helper: Key
    score: int
    evidence: list[Evidence]


def judge(book: Book, helping: Helping, hold_points: int = HOLD_POINTS, refuse_points: int = REFUSE_POINTS) -> Verdict:
    """Judge an assist by what is remembered; the book stays as it is."""
    sight = observe(book, helping)
    watch = book.watches.get(book.numbers.get(helping.play, 0))
    if watch is None:
        watch = Watch(play=helping.play, beneficiary=sight.beneficiary, opened_s=sight.second)
    evidence = weigh(book, watch, sight, counts_with(watch, sight), is_in=False)
    score = sum(piece.points for piece in evidence)
    outcome: Outcome = "counted"
    if score >= refuse_points:
        outcome = "refused"
    elif score >= hold_points:
        outcome = "held"
    return Verdict(outcome, score, evidence, sight)


def recalls(book: Book, verdict: Verdict, play: str, hold_points: int = HOLD_POINTS) -> list[Recall]:
    """Return counted assists that a held one casts doubt on: of its play, and of those most like it.

    Asked after the held one was learned. To keep the cost of a long attack in proportion, a play is looked through
    at each of its first sixteen held assists, and at every sixteenth then.
    """
    number = book.numbers[play]
    dropped = book.watches[number].dropped
    if dropped > _LOOKED_THROUGH_EVERY and dropped % _LOOKED_THROUGH_EVERY:
        return []
    found: list[Recall] = []
    for doubted in [number, *_alike(book, book.watches[number], verdict.sight)]:
        for recall in _doubted(book, book.watches[doubted], verdict.sight.hour, hold_points):
            found.append(recall)
            if len(found) == RECALLS_MAX:
                return found
    return found


def _alike(book: Book, watch: Watch, sight: Sight) -> list[int]:
    """Return the other plays of the helper that share three helpers or more with this one, the most alike first."""
    others = [number for number in dict.fromkeys(sight.others[:8]) if number in book.watches]
    ranked = sorted(zip(overlaps(watch, others), others, strict=True), reverse=True)
    return [number for shared, number in ranked[:_PLAYS_RECALLED] if shared >= 2]


def _doubted(book: Book, watch: Watch, hour: int, hold_points: int) -> Iterator[Recall]:
    places = range(max(0, watch.assists - _LOOKED_AT), watch.assists)
    sights = [sight_again(book, watch, place, hour) for place in places]
    counts = counts_now(watch, sights)
    for sight in sights:
        if sight.flags & f.DROPPED:
            continue
        evidence = weigh(book, watch, sight, counts, is_in=True)
        score = sum(piece.points for piece in evidence)
        if score >= hold_points:
            yield Recall(watch.play, sight.helper, score, evidence)


def counts_now(watch: Watch, sights: list[Sight]) -> Counts:
    """Return how many assists of a play show what, where the latest, `sights`, have been looked at again."""
    counts = counts_of(watch)
    busy = sum(1 for sight in sights if sight.flags & f.BUSY)
    returned = sum(1 for sight in sights if sight.flags & f.RETURNED)
    linked = sum(1 for sight in sights if sight.flags & f.LINKED)
    paired = sum(1 for sight in sights if sight.flags & f.PAIRED)
    return counts._replace(
        busy=max(counts.busy, busy),
        returned=max(counts.returned, returned),
        linked=max(counts.linked, linked),
        paired=max(counts.paired, paired),
    )


def sight_again(book: Book, watch: Watch, place: int, hour: int) -> Sight:
    """Return what the assist at `place` of a play shows now."""
    mark = bytes(watch.marks[place * b.MARKS_BYTES : (place + 1) * b.MARKS_BYTES])
    helper, flags = watch.helper_at(place), watch.flags_at(place)
    others = other_plays(book, book.helpings.rows(helper), hour, book.numbers[watch.play])
    reach = reach_of(book, watch.beneficiary, others)
    if reach >= busy_from(book):
        flags |= f.BUSY
    if is_returned(book, helper, watch.beneficiary, hour):
        flags |= f.RETURNED
    device, network = mark[:KEY_BYTES], mark[KEY_BYTES:]
    if any(met > 1 and small_stranger(book, watch, n) for met, n in zip(overlaps(watch, others), others, strict=False)):
        flags |= f.LINKED
    device_row = None if device == UNKNOWN_MARK else book.devices.first(device)
    if device_row is not None and is_paired(device_row, helper):
        flags |= f.PAIRED
    return Sight(
        helper=helper,
        beneficiary=watch.beneficiary,
        second=watch.second_at(place),
        hour=hour,
        device=None if device == UNKNOWN_MARK else device,
        network=None if network == UNKNOWN_MARK else network,
        flags=flags,
        reach=reach,
        pace=pace_around(watch, place, PACE_S),
        brisk=pace_around(watch, place, BRISK_S),
        others=others,
        device_row=device_row,
    )
