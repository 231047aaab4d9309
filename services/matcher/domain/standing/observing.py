"""What one assist shows against what is remembered."""

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
_NO_OTHERS: Final[list[int]] = []
_NOTHING: Final = UNKNOWN_MARK[:2]
SMALL_PLAY: Final = 60
"""Helpers of a play with more assists than this meet there by chance."""


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
    """Numbers of other watches in which the helper helped, the latest first."""
    links: int = 0
    """In how many small plays of strangers the helper is the second one of this play."""
    device_row: bytes | None = None
    """What is remembered of the device."""
    past: Sequence[bytes] = ()
    """What is remembered of the helper."""
    watch: Watch | None = None
    """What it was seen for; None of the first one."""


def observe(book: Book, helping: Helping) -> Sight:
    """Return what an assist shows; the book stays as it is."""
    second = min(helping.now_ns // NS_PER_S, LAST_SECOND)
    hour = second // S_PER_H & 0xFFFF
    helper, past = helping.helper, helping.past
    device = None if helping.device is None else mark_of(helping.device)
    network = None if helping.network is None else mark_of(helping.network)
    number = helping.number
    watch = book.watches.get(number)
    beneficiary = key_of(helping.beneficiary) if watch is None else watch.beneficiary
    flags = 0
    if helping.account_age_days is not None:
        flags = f.AGED | (f.YOUNG if helping.account_age_days < YOUNG_DAYS else 0)
    if not helping.was_notified:
        flags |= f.UNCALLED
    if helping.was_spread:
        flags |= f.SPREAD
    others, reach = _NO_OTHERS, 1
    # What is older may still stand in the table: whether it does must not tell.
    if past and (past := [row for row in past if age_h(hour, int.from_bytes(row[:2])) < b.WINDOW_H]):
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
    device_row = None
    if device is not None and book.devices.knows(device):
        device_row = device_within(book, device, hour)
        if device_row is not None and is_paired(device_row, helper):
            flags |= f.PAIRED
    pace = brisk = 1
    if watch is not None:
        brisk += recent(watch, second - BRISK_S)
        if brisk >= BRISK_FROM:
            pace += recent(watch, second - PACE_S)
    return Sight(
        helper,
        beneficiary,
        second,
        hour,
        device,
        network,
        flags,
        reach,
        pace,
        brisk,
        others,
        links,
        device_row,
        past,
        watch,
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
    return _within(book.devices.latest(device), hour)


def network_within(book: Book, network: Key, hour: int) -> bytes | None:
    """Return what is remembered of a network that was seen within the window."""
    return _within(book.networks.latest(network), hour)


def _within(row: bytes | None, hour: int) -> bytes | None:
    return row if row is not None and age_h(hour, int.from_bytes(row[:2])) < b.WINDOW_H else None


def is_paired(device_row: bytes, helper: Key) -> bool:
    """Tell whether another account has been seen with a device."""
    return device_row[8] > 1 or device_row[2:8] != helper


def busy_from(book: Book) -> int:
    """Return how many members an account must help within the window to be called busy."""
    return max(REACH_MIN, 2 * book.usual.usual_reach + 3)


def recent(watch: Watch, since_s: int) -> int:
    """Return how many assists of a play came at `since_s` or later: they stand in the order of time."""
    rows = watch.rows
    if rows and int.from_bytes(rows[-b.ROW_BYTES : b.TIME_BYTES - b.ROW_BYTES], byteorder) < since_s:
        return 0
    return len(rows) // b.ROW_BYTES - bisect_left(watch.times(), since_s)


def _moved(past: Sequence[bytes], device: Key | None, network: Key | None) -> int:
    """Tell whether an account has a known past, and whether it is now on a device and a network that are new to it."""
    if device is None or network is None:
        return 0
    known = [row for row in past[-PAST_READ:] if row[7:9] != _NOTHING and row[9:11] != _NOTHING]
    if not known:
        return 0
    device2, network2 = device[:2], network[:2]
    moved = all(row[7:9] != device2 and row[9:11] != network2 for row in known)
    return f.SETTLED | (f.MOVED if moved else 0)


def other_plays(book: Book, past: Sequence[bytes], hour: int, number: int) -> list[int]:
    """Return the plays in which someone helped within the window, `number` left out; the latest first."""
    found = []
    for row in reversed(past[-PAST_READ:]):
        other = int.from_bytes(row[3:7])
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
