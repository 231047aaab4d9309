"""What one assist shows against what is remembered, and how it is remembered itself."""

from typing import Final, NamedTuple

from services.matcher.domain.standing import book as b
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.helping import UNKNOWN_MARK, Helping, key_of
from services.matcher.domain.standing.packed import KEY_BYTES, Key, age_h
from services.matcher.domain.standing.usual import upper_quartile

NS_PER_S: Final = 1_000_000_000
S_PER_H: Final = 3_600
YOUNG_H: Final = 7 * 24
PACE_S: Final = 120
BRISK_S: Final = 900
REACH_MIN: Final = 6
"""Helping fewer members than this within a window is never called busy."""
OTHERS_KEPT: Final = 8
"""Of how many other plays of a helper the play takes note."""
PAST_READ: Final = 64
"""How many of a helper's latest assists are looked at."""
SMALL_PLAY: Final = 60
"""Helpers of a play with more assists than this meet there by chance."""
HALF_WINDOW_H: Final = b.WINDOW_H // 2


class Sight(NamedTuple):
    """What one assist shows."""

    helper: Key
    beneficiary: Key
    second: int
    hour: int
    device: Key | None
    network: Key | None
    flags: int
    reach: int
    """How many members the helper helped within the window, this one included."""
    pace: int
    """How many assists the play got within the two minutes before, this one included."""
    brisk: int
    """The same within a quarter of an hour."""
    others: list[int]
    """Numbers of other plays of the helper, the latest first."""
    links: int = 0
    """In how many small plays of strangers the helper is the second one of this play."""


def observe(book: Book, helping: Helping) -> Sight:
    """Return what an assist shows; the book stays as it is."""
    second = helping.now_ns // NS_PER_S
    hour = second // S_PER_H & 0xFFFF
    helper, beneficiary = key_of(helping.helper), key_of(helping.beneficiary)
    device = None if helping.device is None else key_of(helping.device)
    network = None if helping.network is None else key_of(helping.network)
    number = book.numbers.get(helping.play, 0)
    watch = book.watches.get(number)
    flags = 0
    if helping.account_age_h is not None:
        flags = b.AGED | (b.YOUNG if helping.account_age_h < YOUNG_H else 0)
    if not helping.was_notified:
        flags |= b.UNCALLED
    others, reach = [], 1
    past = book.helpings.rows(helper)
    if past:
        flags |= b.KNOWN | _moved(past[-1], device, network)
        others = other_plays(book, past, hour, number)
        reach = reach_of(book, beneficiary, others)
        if reach >= busy_from(book):
            flags |= b.BUSY
    if is_returned(book, helper, beneficiary, hour):
        flags |= b.RETURNED
    links = 0
    if watch is not None and others:
        links, meets = _links(book, watch, others)
        flags |= b.LINKED if meets else 0
    if device is not None and is_paired(book, device, helper):
        flags |= b.PAIRED
    pace = brisk = 1
    if watch is not None:
        pace += recent(watch, second - PACE_S)
        brisk += recent(watch, second - BRISK_S)
    return Sight(helper, beneficiary, second, hour, device, network, flags, reach, pace, brisk, others, links)


def _links(book: Book, watch: Watch, others: list[int]) -> tuple[int, bool]:
    """Return in how many plays of strangers a helper is the second to meet, and whether they meet anybody in one."""
    links, meets = 0, False
    for number in others[:OTHERS_KEPT]:
        met = watch.others.count(number.to_bytes(b.OTHER_BYTES))
        if met and small_stranger(book, watch, number):
            meets = True
            links += met == 1
    return links, meets


def small_stranger(book: Book, watch: Watch, number: int) -> bool:
    """Tell whether another play is small, and of somebody who has nothing to do with this one."""
    other = book.watches[number]
    if other.assists > SMALL_PLAY or other.beneficiary == watch.beneficiary:
        return False
    return other.beneficiary not in watch.rows


def is_paired(book: Book, device: Key, helper: Key) -> bool:
    """Tell whether another account has been seen with a device."""
    row = book.devices.first(device)
    return row is not None and (row[8] > 1 or bytes(row[2:8]) != helper)


def busy_from(book: Book) -> int:
    """Return how many members an account must help within the window to be called busy."""
    return max(REACH_MIN, 2 * upper_quartile(book.usual.reach) + 3)


def recent(watch: Watch, since_s: int) -> int:
    """Return how many assists of a play came at `since_s` or later: they stand in the order of time."""
    rows, low, high = watch.rows, 0, watch.assists
    while low < high:
        middle = (low + high) // 2
        if int.from_bytes(rows[middle * b.ROW_BYTES + 6 : middle * b.ROW_BYTES + 10]) < since_s:
            low = middle + 1
        else:
            high = middle
    return watch.assists - low


def _moved(last: bytearray, device: Key | None, network: Key | None) -> int:
    if device is None or network is None or last[6:8] == b"\0\0" or last[8:10] == b"\0\0":
        return 0
    moved = device[:2] != last[6:8] and network[:2] != last[8:10]
    return b.SETTLED | (b.MOVED if moved else 0)


def other_plays(book: Book, past: list[bytearray], hour: int, number: int) -> list[int]:
    """Return the plays in which someone helped within the window, `number` left out; the latest first."""
    found = []
    for row in reversed(past[-PAST_READ:]):
        other = int.from_bytes(row[2:6])
        if other != number and age_h(hour, int.from_bytes(row[:2])) < b.WINDOW_H and other in book.watches:
            found.append(other)
    return found


def reach_of(book: Book, beneficiary: Key, others: list[int]) -> int:
    """Return how many members someone helps who helps `beneficiary` and helped in `others`."""
    return 1 + len({book.watches[number].beneficiary for number in others} - {beneficiary})


def helped_by(book: Book, member: Key, hour: int) -> list[Key]:
    """Return whom `member` helped of late, at most eight, the latest first."""
    past = book.helpings.rows(member)
    if not past:
        return []
    return [book.watches[n].beneficiary for n in other_plays(book, past[-OTHERS_KEPT:], hour, 0)]


def is_returned(book: Book, helper: Key, beneficiary: Key, hour: int) -> bool:
    """Tell whether `beneficiary` had helped `helper`, or somebody who had."""
    helped = helped_by(book, beneficiary, hour)
    if not helped:
        return False
    return helper in helped or any(helper in helped_by(book, middle, hour) for middle in helped)


def learn(book: Book, helping: Helping, sight: Sight, *, counted: bool) -> None:
    """Remember an assist, and what became of it."""
    number = _number_of(book, helping, sight)
    watch = book.watches[number]
    flags = sight.flags if counted else sight.flags | b.DROPPED
    device = sight.device or UNKNOWN_MARK
    network = sight.network or UNKNOWN_MARK
    if sight.network is not None:
        _learn_network(book, watch, sight.network, sight.hour)
    if sight.device is not None:
        _learn_device(book, sight.device, sight.helper, sight.hour)
    watch.marks += device + network
    watch.rows += sight.helper + (sight.second & 0xFFFFFFFF).to_bytes(4) + flags.to_bytes(2)
    for other in sight.others[:OTHERS_KEPT]:
        watch.others += other.to_bytes(b.OTHER_BYTES)
    watch.young += flags & b.YOUNG
    watch.moved += flags & b.MOVED and 1
    watch.uncalled += flags & b.UNCALLED and 1
    watch.busy += flags & b.BUSY and 1
    watch.returned += flags & b.RETURNED and 1
    watch.linked += flags & b.LINKED and 1
    watch.paired += flags & b.PAIRED and 1
    watch.known += flags & b.KNOWN and 1
    watch.links += sight.links
    watch.dropped += not counted
    book.helpings.add(sight.helper, sight.hour.to_bytes(2) + number.to_bytes(4) + device[:2] + network[:2])
    if counted:
        _learn_usual(book, sight, watch.assists - 1)


def _number_of(book: Book, helping: Helping, sight: Sight) -> int:
    number = book.numbers.get(helping.play)
    if number is None:
        number = book.numbers[helping.play] = book.next_number
        book.next_number += 1
        book.watches[number] = Watch(play=helping.play, beneficiary=sight.beneficiary, opened_s=sight.second)
    return number


def _learn_network(book: Book, watch: Watch, network: Key, hour: int) -> None:
    row = book.networks.first(network)
    assists, plays = (0, 0) if row is None else (int.from_bytes(row[2:6]), int.from_bytes(row[6:10]))
    plays += network not in watch.marks
    book.networks.put(network, hour.to_bytes(2) + (assists + 1).to_bytes(4) + plays.to_bytes(4))


def _learn_device(book: Book, device: Key, helper: Key, hour: int) -> None:
    row = book.devices.first(device)
    if row is None:
        book.devices.add(device, hour.to_bytes(2) + helper + b"\1")
        return
    accounts = row[8]
    if bytes(row[2:8]) != helper:
        book.clusters.join(bytes(row[2:8]), helper, hour // HALF_WINDOW_H)
        accounts = min(255, accounts + 1)
    book.devices.put(device, hour.to_bytes(2) + helper + bytes([accounts]))


def _learn_usual(book: Book, sight: Sight, pairs: int) -> None:
    flags = sight.flags
    book.usual.note(
        pace=sight.pace,
        brisk=sight.brisk,
        reach=sight.reach,
        young=bool(flags & b.YOUNG) if flags & b.AGED else None,
        moved=bool(flags & b.MOVED) if flags & b.SETTLED else None,
        uncalled=bool(flags & b.UNCALLED),
        known=bool(flags & b.KNOWN),
        pairs=pairs,
        links=sight.links,
    )
