"""What one assist shows against what is remembered, and how it is remembered itself."""

from bisect import bisect_left
from collections.abc import Sequence
from sys import byteorder
from typing import Final

import msgspec

from services.matcher.domain.standing import book as b
from services.matcher.domain.standing import flags as f
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.helping import UNKNOWN_MARK, Helping, key_of, mark_of
from services.matcher.domain.standing.packed import Key, age_h

NS_PER_S: Final = 1_000_000_000
S_PER_H: Final = 3_600
LAST_SECOND: Final = 0xFFFFFFFF
"""Of 2106, from when on all assists seem to come at once: four bytes each are kept of their times."""
YOUNG_DAYS: Final = 7
PACE_S: Final = 120
BRISK_S: Final = 900
BRISK_FROM: Final = 8
"""With fewer assists than this in a quarter of an hour, nothing is made of the pace of a play."""
REACH_MIN: Final = 6
"""Helping fewer members than this within a window is never called busy."""
OTHERS_KEPT: Final = 8
"""Of how many other plays of a helper the play takes note."""
PAST_READ: Final = 64
"""How many of a helper's latest assists are looked at."""
CIRCLE_READ: Final = 4
"""Through how many of those whom somebody helped a circle is looked for."""
_NOTHING: Final = UNKNOWN_MARK[:2]
SMALL_PLAY: Final = 60
"""Helpers of a play with more assists than this meet there by chance."""
SAMPLED_BELOW: Final = 64
"""Of 256: what is usual, and how much a network is used, is counted over a quarter of the accounts, chosen by their
keys, which nobody chooses. Stated error: of n assists counted so, the count is off by about 2 sqrt(n)."""
WINDOW_S: Final = b.WINDOW_H * S_PER_H
HALF_WINDOW_H: Final = b.WINDOW_H // 2


class Sight(msgspec.Struct, gc=False):
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
    device_row: bytes | None = None
    """What is remembered of the device."""
    past: Sequence[bytes] = ()
    """What is remembered of the helper."""


def observe(book: Book, helping: Helping) -> Sight:
    """Return what an assist shows; the book stays as it is."""
    second = min(helping.now_ns // NS_PER_S, LAST_SECOND)
    hour = second // S_PER_H & 0xFFFF
    helper = key_of(helping.helper)
    device = None if helping.device is None else mark_of(helping.device)
    network = None if helping.network is None else mark_of(helping.network)
    number = book.numbers.get(helping.name, 0)
    watch = book.watches.get(number)
    beneficiary = key_of(helping.beneficiary) if watch is None else watch.beneficiary
    flags = 0
    if helping.account_age_days is not None:
        flags = f.AGED | (f.YOUNG if helping.account_age_days < YOUNG_DAYS else 0)
    if not helping.was_notified:
        flags |= f.UNCALLED
    if helping.was_spread:
        flags |= f.SPREAD
    others, reach = [], 1
    past = book.helpings.rows(helper)
    if past:
        flags |= f.KNOWN | _moved(past, device, network)
        others = other_plays(book, past, hour, number)
        reach = reach_of(book, beneficiary, others)
        if reach >= busy_from(book):
            flags |= f.BUSY
    if book.helpings.knows(beneficiary) and is_returned(book, helper, beneficiary, hour):
        flags |= f.RETURNED
    links = 0
    if watch is not None and others:
        links, meets = _links(book, watch, others)
        flags |= f.LINKED if meets else 0
    device_row = None if device is None else device_within(book, device, hour)
    if device_row is not None and is_paired(device_row, helper):
        flags |= f.PAIRED
    pace = brisk = 1
    if watch is not None:
        brisk += recent(watch, second - BRISK_S)
        if brisk >= BRISK_FROM:
            pace += recent(watch, second - PACE_S)
    return Sight(
        helper, beneficiary, second, hour, device, network, flags, reach, pace, brisk, others, links, device_row, past
    )


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


def device_within(book: Book, device: Key, hour: int) -> bytes | None:
    """Return what is remembered of a device that was seen within the window."""
    row = book.devices.latest(device)
    return row if row is not None and age_h(hour, int.from_bytes(row[:2])) < b.WINDOW_H else None


def is_paired(device_row: bytes, helper: Key) -> bool:
    """Tell whether another account has been seen with a device."""
    return device_row[8] > 1 or device_row[2:8] != helper


def busy_from(book: Book) -> int:
    """Return how many members an account must help within the window to be called busy."""
    return max(REACH_MIN, 2 * book.usual.usual_reach + 3)


def recent(watch: Watch, since_s: int) -> int:
    """Return how many assists of a play came at `since_s` or later: they stand in the order of time."""
    times = memoryview(watch.times).cast("I")
    count = len(times)
    if count and times[-1] < since_s:
        return 0
    return count - bisect_left(times, since_s)


def _moved(past: list[bytes], device: Key | None, network: Key | None) -> int:
    """Tell whether an account has a known past, and whether it is now on a device and a network that are new to it."""
    if device is None or network is None:
        return 0
    known = [row for row in past[-PAST_READ:] if row[6:8] != _NOTHING and row[8:10] != _NOTHING]
    if not known:
        return 0
    device2, network2 = device[:2], network[:2]
    moved = all(row[6:8] != device2 and row[8:10] != network2 for row in known)
    return f.SETTLED | (f.MOVED if moved else 0)


def other_plays(book: Book, past: list[bytes], hour: int, number: int) -> list[int]:
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
    return helper in helped or any(helper in helped_by(book, middle, hour) for middle in helped[:CIRCLE_READ])


def learn(book: Book, helping: Helping, sight: Sight, *, counted: bool) -> None:
    """Remember an assist, and what became of it."""
    number = book.numbers.get(helping.name) or _begin_watch(book, helping, sight)
    watch = book.watches[number]
    flags = sight.flags if counted else sight.flags | f.DROPPED
    device, network, hour = sight.device or UNKNOWN_MARK, sight.network or UNKNOWN_MARK, sight.hour.to_bytes(2)
    is_sampled = sight.helper[-1] < SAMPLED_BELOW
    if sight.network is not None and is_sampled:
        _learn_network(book, watch, sight.network, hour)
    if sight.device is not None:
        _learn_device(book, sight, hour)
    watch.rows += sight.helper + device + network + flags.to_bytes(2)
    if watch.places is not None:
        watch.places += helping.place.to_bytes(b.PLACE_BYTES)
    watch.times += sight.second.to_bytes(b.TIME_BYTES, byteorder)
    if sight.others:
        _learn_meetings(book, watch, number, sight.others[:OTHERS_KEPT])
    _count(watch, flags)
    book.helpings.add(sight.helper, hour + number.to_bytes(4) + device[:2] + network[:2])
    if counted and is_sampled:
        book.usual.note(flags, sight.pace, sight.brisk, sight.reach, watch.assists - 1, sight.links)


def _learn_meetings(book: Book, watch: Watch, number: int, others: list[int]) -> None:
    """Note in a play and in each other play of its helper that they have this helper in common."""
    for other in others:
        there = book.watches[other]
        meets = watch.others.count(other.to_bytes(b.OTHER_BYTES)) == 1
        if len(watch.others) < b.OTHERS_MAX_BYTES:
            watch.others += other.to_bytes(b.OTHER_BYTES)
        if len(there.others) < b.OTHERS_MAX_BYTES:
            there.others += number.to_bytes(b.OTHER_BYTES)
        if meets and small_stranger(book, watch, other):
            watch.links += 1
            there.links += 1


def _count(watch: Watch, flags: int) -> None:
    """Count what an assist shows; most show one thing or nothing."""
    if flags & f.YOUNG:
        watch.young += 1
    if flags & f.UNCALLED:
        watch.uncalled += 1
    if flags & f.KNOWN:
        watch.known += 1
    if flags & f.SPREAD:
        watch.spread += 1
    if flags & f.RARE:
        watch.moved += flags & f.MOVED and 1
        watch.busy += flags & f.BUSY and 1
        watch.returned += flags & f.RETURNED and 1
        watch.linked += flags & f.LINKED and 1
        watch.paired += flags & f.PAIRED and 1
        watch.dropped += flags & f.DROPPED and 1


def _begin_watch(book: Book, helping: Helping, sight: Sight) -> int:
    forget(book, sight.second)
    number = book.numbers[helping.name] = book.next_number
    book.next_number += 1
    book.watches[number] = Watch(
        play=helping.play,
        name=helping.name,
        beneficiary=sight.beneficiary,
        opened_s=sight.second,
        first_place=helping.place,
        places=None if helping.name == helping.play else bytearray(),
    )
    book.aging.push((sight.second + WINDOW_S, number))
    return number


def forget(book: Book, second: int) -> None:
    """Forget at most two watches that have seen nothing within the window: before each one that is added."""
    for _ in range(2):
        first = book.aging.peek()
        if first is None or first[0] > second:
            return
        book.aging.drop()
        watch = book.watches[first[1]]
        last = watch.second_at(watch.assists - 1)
        if last + WINDOW_S > second:
            book.aging.push((last + WINDOW_S, first[1]))
        else:
            del book.watches[first[1]], book.numbers[watch.name]


def _learn_network(book: Book, watch: Watch, network: Key, hour: bytes) -> None:
    row = book.networks.latest(network)
    is_first = network not in watch.rows
    if row is None:
        book.networks.add(network, hour + (1).to_bytes(4) + (1).to_bytes(4))
        return
    assists, plays = int.from_bytes(row[2:6]) + 1, int.from_bytes(row[6:10]) + is_first
    book.networks.replace(network, hour + assists.to_bytes(4) + plays.to_bytes(4))


def _learn_device(book: Book, sight: Sight, hour: bytes) -> None:
    assert sight.device is not None
    row, helper = sight.device_row, sight.helper
    if row is None:
        book.devices.add(sight.device, hour + helper + b"\1")
        return
    accounts = row[8]
    if row[2:8] != helper:
        book.clusters.join(row[2:8], helper, sight.hour // HALF_WINDOW_H)
        if all(known[6:8] != sight.device[:2] for known in sight.past):
            accounts = min(255, accounts + 1)
    elif row[:2] == hour:
        return
    book.devices.replace(sight.device, hour + helper + bytes([accounts]))
