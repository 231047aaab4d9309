"""What speaks against an assist, in points: each signal by how far it stands out from what is usual.

No signal is proof. Points add up; a household that shares a device, a dormitory behind one network or friends who
help each other get some and stay far below what holds an assist.
"""

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from services.matcher.domain.standing import book as b
from services.matcher.domain.standing import flags as f
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.observing import (
    BRISK_FROM,
    BRISK_S,
    Sight,
    busy_from,
    network_within,
    small_stranger,
)

Signal = Literal[
    "shared_device",
    "device_accounts",
    "device_cluster",
    "shared_network",
    "network_alike",
    "burst",
    "sudden",
    "no_past",
    "doubtful_plays",
    "returned_help",
    "same_helpers",
    "helpers_met_before",
    "paired_devices",
    "busy_helper",
    "busy_play",
    "moved_accounts",
    "young_accounts",
    "not_notified",
    "steady_pace",
]


Steps = tuple[tuple[int, int], ...]
"""(from this value, so many points), ascending."""


class Evidence(NamedTuple):
    """One signal that was seen: how often, and what it weighs."""

    signal: Signal
    seen: int
    points: int


_DEVICE: Final[Steps] = ((1, 15), (2, 45), (3, 80), (4, 110), (6, 150), (12, 300))
_DEVICE_ACCOUNTS: Final[Steps] = ((5, 20), (8, 50), (15, 100))
_CLUSTER: Final[Steps] = ((3, 25), (5, 60), (8, 100), (20, 150))
_NETWORK: Final[Steps] = ((5, 10), (10, 20), (20, 35))
_NETWORK_ALIKE: Final[Steps] = ((4, 45), (8, 75), (16, 90))
_BURST: Final[Steps] = ((4, 50), (6, 75), (8, 100), (12, 135), (24, 160), (32, 200))
_BRISK: Final[Steps] = ((3, 30), (5, 50), (8, 75), (12, 100), (20, 140))
_NO_PAST: Final[Steps] = ((6, 25), (10, 40), (16, 55))
_DOUBTFUL: Final[Steps] = ((2, 40), (3, 70), (4, 100), (6, 130))
_SPREAD_MAX: Final = 80
"""What help that spreads from helper to helper gets for its pace, at most: by itself it holds nothing."""
_RETURNED: Final[Steps] = ((3, 30), (4, 60), (5, 85), (6, 110))
_ALONE: Final = 25
"""Where next to nobody else helps: friends have other friends."""
_SAME_HELPERS: Final[Steps] = ((3, 40), (4, 65), (5, 85), (7, 110), (12, 150))
_LINKS: Final[Steps] = ((3, 30), (5, 60), (8, 90), (12, 110))
_YOUNG: Final[Steps] = ((6, 25), (15, 40))
_PAIRED: Final[Steps] = ((3, 30), (5, 60), (8, 90))
_UNCALLED: Final[Steps] = ((4, 25), (6, 40), (9, 55), (14, 70))
_BUSY: Final[Steps] = ((4, 35), (6, 55), (8, 75), (12, 100))
_MOVED: Final[Steps] = ((2, 35), (3, 70), (4, 100))
_STEADY: Final[Steps] = ((10, 35), (16, 70), (24, 100))
_SAME_NETWORK_FROM: Final = 4
_IN_COMMON: Final = f.UNCALLED | f.YOUNG | f.RARE
_PLAY_FROM: Final = 2
"""Of so many assists on, what those of a play have in common is looked at."""
_STEADY_GAPS: Final = (10, 16, 24)
_QUARTERS: Final = 4
_CLOSE_S: Final = 600
_SCANNED: Final = 256
"""How many of the latest assists of a play are looked at one by one."""


def points(steps: Steps, value: int) -> int:
    """Return the points of the last step that `value` reaches."""
    reached = 0
    for start, worth in steps:
        if value < start:
            break
        reached = worth
    return reached


def weigh(book: Book, watch: Watch, sight: Sight, *, is_in: bool) -> list[Evidence]:
    """Return what speaks against an assist to the play of `watch`; `is_in` tells whether it is among its assists."""
    found: list[Evidence] = []
    flags, seen, older = sight.flags, len(watch.rows) // b.ROW_BYTES + (not is_in), book.clusters.older
    # Written out: nearly every assist is asked this alone.
    if flags & f.PAIRED or sight.helper in older.parents or sight.helper in older.sizes:
        _weigh_device(book, watch, sight, is_in, found)
    if sight.network is not None and seen > _NETWORK[0][0]:
        same = watch.rows.count(sight.network) - is_in
        if same >= _SAME_NETWORK_FROM:
            _weigh_network(book, watch, sight, same, found)
    if sight.brisk >= BRISK_FROM:
        _weigh_pace(book, watch, sight, is_in, found)
    if seen > _STEADY_GAPS[0]:
        steady = steady_run(watch, sight.second)
        _add(found, "steady_pace", steady, points(_STEADY, steady))
    if sight.others or flags & f.RETURNED:
        _weigh_circles(book, watch, sight, is_in, found)
    if seen >= _PLAY_FROM and (flags & _IN_COMMON or not flags & f.KNOWN):
        _weigh_accounts(book, watch, sight, is_in, found)
    return found


def _add(found: list[Evidence], signal: Signal, count: int, worth: int) -> None:
    if worth:
        found.append(Evidence(signal, count, worth))


def _weigh_device(book: Book, watch: Watch, sight: Sight, is_in: bool, found: list[Evidence]) -> None:
    if sight.device is None:
        return
    same = watch.rows.count(sight.device) - is_in
    row = sight.device_row
    if row is not None:
        accounts = row[8] + (not is_in)
        _add(found, "device_accounts", accounts, points(_DEVICE_ACCOUNTS, accounts))
    direct = points(_DEVICE, same)
    clustered, wider = 0, 0
    if sight.flags & f.PAIRED or book.clusters.is_shared(sight.helper):
        member = sight.helper if row is None else row[2:8]
        clustered = _in_cluster(book, watch, member) - is_in
        wider = points(_CLUSTER, clustered)
    if direct >= wider:
        _add(found, "shared_device", same, direct)
    else:
        _add(found, "device_cluster", clustered, wider)


def _in_cluster(book: Book, watch: Watch, member: bytes) -> int:
    """Return how many of the latest helpers of a play are in the cluster of `member`."""
    clusters = book.clusters
    root = clusters.root(member)
    latest = range(max(0, watch.assists - _SCANNED), watch.assists)
    return sum(1 for place in latest if clusters.root(watch.helper_at(place)) == root)


def _weigh_network(book: Book, watch: Watch, sight: Sight, same: int, found: list[Evidence]) -> None:
    """A network is shared by homes, offices and carriers: it counts where those behind it are alike as well."""
    assert sight.network is not None
    row = network_within(book, sight.network, sight.hour)
    if row is not None:
        assists, plays = int.from_bytes(row[2:6]), int.from_bytes(row[6:10])
        if plays >= 8 and same * plays <= 4 * assists:
            return  # so many plays get help from it that these helpers need not know of each other
    _add(found, "shared_network", same, points(_NETWORK, same))
    young, aged, close = _alike(watch, sight)
    usual = book.usual
    unusual = usual.young * 2 <= usual.aged and young * 4 >= 3 * aged and young * usual.aged >= 2 * aged * usual.young
    if sight.flags & f.YOUNG and unusual:
        _add(found, "network_alike", young, points(_NETWORK_ALIKE, young))
    elif close * 2 >= same:
        _add(
            found,
            "network_alike",
            close,
            points(_NETWORK_ALIKE, close) // (2 if watch.uncalled * 5 >= watch.assists * 2 else 4),
        )


def _alike(watch: Watch, sight: Sight) -> tuple[int, int, int]:
    """Return of the helpers on the same network: how many are young, have a known age, came within ten minutes."""
    assert sight.network is not None
    young = aged = close = 0
    rows, mark, width = watch.rows, sight.network, b.ROW_BYTES
    at = rows.find(mark, max(0, len(rows) - _SCANNED * width))
    while at >= 0:
        if at % width == b.NETWORK_AT:
            flags = watch.flags_at(at // width)
            young += flags & f.YOUNG
            aged += flags & f.AGED and 1
            close += abs(sight.second - watch.second_at(at // width)) <= _CLOSE_S
        at = rows.find(mark, at + 1)
    return young, aged, close


def _weigh_pace(book: Book, watch: Watch, sight: Sight, is_in: bool, found: list[Evidence]) -> None:
    """Weigh help that comes fast, by how people were called: what spreads from helper to helper may well be fast."""
    usual, seen = book.usual, watch.assists + (not is_in)
    quick = points(_BURST, sight.pace // max(2, usual.usual_pace))
    brisk = points(_BRISK, sight.brisk // max(4, usual.usual_brisk))
    worth = max(quick, brisk)
    if not worth:
        return
    if watch.uncalled * 5 < seen * 2:
        worth = min(_SPREAD_MAX, worth // 2) if watch.spread * 10 >= seen * 3 else worth * 3 // 4
    _add(found, "burst", sight.brisk, worth)
    age_s, before = sight.second - watch.second_at(0), watch.assists - sight.brisk
    if age_s >= 3600 and sight.brisk * age_s >= 8 * BRISK_S * max(1, before):
        _add(found, "sudden", sight.brisk, 30)


def steady_run(watch: Watch, second: int) -> int:
    """Return over how many gaps the play has got its assists at an even pace; 0 where the gaps vary as people's do.

    Even: the variance of the gaps is at most a sixth of their squared mean. Where help comes by chance, they are equal.
    """
    times, even = watch.times(), 0
    for gaps in _STEADY_GAPS:
        if len(times) < gaps:
            break
        last = times[-gaps:].tolist()
        total = second - last[0]
        last.append(second)
        squares = sum([(later - earlier) ** 2 for earlier, later in pairwise(last)])
        if total < 30 * gaps or 6 * gaps * squares > 7 * total * total:
            break
        even = gaps
    return even


def _weigh_circles(book: Book, watch: Watch, sight: Sight, is_in: bool, found: list[Evidence]) -> None:
    usual, more = book.usual, not is_in
    seen = watch.assists + more
    if sight.flags & f.RETURNED:
        returned = watch.odd.returned + more
        worth = points(_RETURNED, returned)
        if returned * 5 >= seen * 4 and returned >= _RETURNED[0][0]:
            worth += _ALONE
        _add(found, "returned_help", returned, worth if returned * 3 >= seen else worth // 2)
    if sight.others:
        _weigh_same_helpers(book, watch, sight, seen, is_in, found)
        doubtful = sum([1 for number in sight.others[:8] if _is_doubtful(book.watches[number])])
        _add(found, "doubtful_plays", doubtful, points(_DOUBTFUL, doubtful))
    if sight.flags & f.LINKED:
        links, linked = watch.odd.links + sight.links, watch.odd.linked + more
        # By chance the links grow with the square of the helpers: four times what is usual, and one for 200 pairs.
        many = links * 200 >= seen * seen and links * usual.pairs >= 2 * usual.links * seen * seen
        if linked * 4 >= seen and many:
            _add(found, "helpers_met_before", links, points(_LINKS, links))


def _weigh_same_helpers(book: Book, watch: Watch, sight: Sight, seen: int, is_in: bool, found: list[Evidence]) -> None:
    """Weigh in how far the same people help here and elsewhere: friends do, but they are seldom all who do."""
    others = sight.others[:8]
    most, other = max(zip(overlaps(watch, others), others, strict=True))
    most -= is_in
    worth = points(_SAME_HELPERS, most)
    if not worth or most * 4 < seen - 1:
        return
    if not small_stranger(book, watch, other):
        worth = worth if most * 5 >= 3 * (seen - 1) else worth // 2
    if most * 10 >= 9 * (seen - 1):
        worth += _ALONE
    _add(found, "same_helpers", most, worth)


def _is_doubtful(watch: Watch) -> bool:
    return watch.odd.dropped >= 4 and watch.odd.dropped * 2 >= watch.assists


def overlaps(watch: Watch, others: list[int]) -> list[int]:
    """Return how many helpers of the play helped in each of the other plays."""
    return [watch.others.count(other.to_bytes(b.OTHER_BYTES)) for other in others[:8]]


def _weigh_accounts(book: Book, watch: Watch, sight: Sight, is_in: bool, found: list[Evidence]) -> None:
    """Weigh what the helpers of a play have in common: where most show it and elsewhere few do, it counts."""
    usual, flags, more = book.usual, sight.flags, not is_in
    seen = watch.assists + more
    if not flags & f.KNOWN and seen >= _NO_PAST[0][0]:
        fresh = seen - watch.known
        # At least nine tenths are new here, where in the market as a whole at most half are.
        if fresh * 10 >= seen * 9 and usual.known * 2 >= usual.assists:
            _add(found, "no_past", fresh, points(_NO_PAST, fresh))
    if flags & f.UNCALLED and seen >= _UNCALLED[0][0]:
        uncalled = watch.uncalled + more
        if uncalled * 5 >= seen * 3 and usual.uncalled * 10 <= usual.assists * 3:
            _add(found, "not_notified", uncalled, points(_UNCALLED, uncalled))
    if flags & f.YOUNG and seen >= _YOUNG[0][0]:
        young = watch.young + more
        if young * 10 >= seen * 7 and young * usual.aged >= 2 * seen * usual.young:
            _add(found, "young_accounts", young, points(_YOUNG, young))
    if flags & f.RARE:
        _weigh_rare(book, watch, sight, more, found)


def _weigh_rare(book: Book, watch: Watch, sight: Sight, more: bool, found: list[Evidence]) -> None:
    usual, flags, seen = book.usual, sight.flags, watch.assists + more
    odd = watch.odd
    paired, busy, moved = odd.paired + more, odd.busy + more, odd.moved + more
    if flags & f.PAIRED and paired * 4 >= seen:
        _add(found, "paired_devices", paired, points(_PAIRED, paired))
    if flags & f.BUSY:
        _add(found, "busy_helper", sight.reach, points(_BUSY, sight.reach * _QUARTERS // busy_from(book)))
        if busy >= 3 and busy * 4 >= seen:
            _add(found, "busy_play", busy, 60 if busy * 2 >= seen else 35)
    if flags & f.MOVED and usual.moved * 4 <= usual.settled and moved * 5 >= seen:
        _add(found, "moved_accounts", moved, points(_MOVED, moved))


def pace_around(watch: Watch, row: int, span_s: int) -> int:
    """Return how many assists the play got within `span_s`, from the one in `row` on or up to it: the greater."""
    times = watch.times()
    at_s = times[row]
    after = bisect_right(times, at_s + span_s) - row
    before = row + 1 - bisect_left(times, at_s - span_s)
    return max(after, before)
