"""How an assist is remembered, and what is forgotten for it."""

from struct import Struct
from typing import Final

from services.matcher.domain.rows import append
from services.matcher.domain.standing import book as b
from services.matcher.domain.standing import flags as f
from services.matcher.domain.standing.book import Book, Watch
from services.matcher.domain.standing.helping import UNKNOWN_MARK, Helping
from services.matcher.domain.standing.observing import OTHERS_KEPT, S_PER_H, Sight, network_within, small_stranger
from services.matcher.domain.standing.packed import Key

SAMPLED_BELOW: Final = 64
"""Of 256: what is usual, and how much a network is used, is counted over a quarter of the accounts, chosen by their
keys, which nobody chooses. Stated error: of n assists counted so, the count is off by about 2 sqrt(n)."""
_ROW: Final = Struct("=I6s6s6sH")
_HELPING: Final = Struct(">6sHBI2s2s")
_DEVICE: Final = Struct(">6sH6sB")
KEPT_S: Final = b.KEPT_H * S_PER_H
HALF_WINDOW_H: Final = b.WINDOW_H // 2


def learn(book: Book, helping: Helping, sight: Sight, *, counted: bool, day_mark: int = 0) -> int:
    """Remember an assist, what became of it, and how caps count it; return the number of its watch."""
    number, watch = helping.number, sight.watch
    if watch is None:
        number = _begin_watch(book, helping, sight)
        watch = book.watches[number]
    flags = sight.flags if counted else sight.flags | f.DROPPED
    device, network = sight.device or UNKNOWN_MARK, sight.network or UNKNOWN_MARK
    is_sampled = sight.helper[-1] < SAMPLED_BELOW
    if sight.network is not None and is_sampled:
        _learn_network(book, watch, sight.network, sight.hour)
    if sight.device_row is not None:
        _learn_device(book, sight, sight.hour.to_bytes(2))
    elif sight.device is not None:
        book.devices.add(_DEVICE.pack(device, sight.hour, sight.helper, 1))
    append(watch.rows, _ROW.pack(sight.second, sight.helper, device, network, flags))
    if watch.places is not None:
        watch.places += helping.place.to_bytes(b.PLACE_BYTES)
    if flags & ~f.AGED:
        _count(watch, flags)
    if sight.others:
        _learn_meetings(book, watch, number, sight.others[:OTHERS_KEPT])
    book.helpings.add(_HELPING.pack(sight.helper, sight.hour, day_mark, number, device, network))
    if counted and is_sampled:
        book.usual.note(flags, sight.pace, sight.brisk, sight.reach, watch.assists - 1, sight.links)
    return number


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
            watch.rare_counts().links += 1
            there.rare_counts().links += 1


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
        rare = watch.rare_counts()
        rare.moved += flags & f.MOVED and 1
        rare.busy += flags & f.BUSY and 1
        rare.returned += flags & f.RETURNED and 1
        rare.linked += flags & f.LINKED and 1
        rare.paired += flags & f.PAIRED and 1
        rare.dropped += flags & f.DROPPED and 1


def _begin_watch(book: Book, helping: Helping, sight: Sight) -> int:
    forget(book, sight.second)
    number = book.next_number
    book.next_number += 1
    if helping.name is not None:
        book.numbers[helping.name] = number
    book.watches[number] = Watch(
        play=helping.play,
        name=helping.name,
        beneficiary=sight.beneficiary,
        first_place=helping.place,
        places=None if helping.name is None else bytearray(),
    )
    book.aging.push(sight.second, number)
    return number


def forget(book: Book, second: int) -> None:
    """Forget at most two watches that have seen nothing within the window: before each one that is added."""
    for _ in range(2):
        first = book.aging.peek()
        if first is None or first[0] + KEPT_S > second:
            return
        book.aging.drop()
        watch = book.watches[first[1]]
        last = watch.second_at(watch.assists - 1)
        if last + KEPT_S > second:
            book.aging.push(last, first[1])
            continue
        del book.watches[first[1]]
        if watch.name is not None:
            del book.numbers[watch.name]


def _learn_network(book: Book, watch: Watch, network: Key, hour: int) -> None:
    row, hour_bytes = network_within(book, network, hour), hour.to_bytes(2)
    is_first = network not in watch.rows
    if row is None:
        book.networks.add(network + hour_bytes + (1).to_bytes(4) + (1).to_bytes(4))
        return
    assists, plays = int.from_bytes(row[2:6]) + 1, int.from_bytes(row[6:10]) + is_first
    book.networks.replace(network, hour_bytes + assists.to_bytes(4) + plays.to_bytes(4))


def _learn_device(book: Book, sight: Sight, hour: bytes) -> None:
    row, helper = sight.device_row, sight.helper
    assert sight.device is not None and row is not None
    accounts = row[8]
    if row[2:8] != helper:
        book.clusters.join(row[2:8], helper, sight.hour // HALF_WINDOW_H)
        if all(known[7:9] != sight.device[:2] for known in sight.past):
            accounts = min(255, accounts + 1)
    elif row[:2] == hour:
        return
    book.devices.replace(sight.device, hour + helper + bytes([accounts]))
