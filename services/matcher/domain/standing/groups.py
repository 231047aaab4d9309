"""Fake groups: seats held again and again without paying, and groups that one person fills with several accounts."""

from typing import Final

import msgspec

from services.matcher.domain.standing.helping import mark_of
from services.matcher.domain.standing.packed import KEY_BYTES, Key

UNPAID_FROM: Final = 3
"""So many seats in a row lost for want of payment speak against a member, and each one more."""
SAME_DEVICE_FROM: Final = 3
"""So many accounts on one device in one group: a household of two that shares a telephone is none of it."""
MEMBERS_WATCHED: Final = 1_000_000
"""Members whose unpaid seats are counted; beyond, nobody's more until one of them pays."""
SEATS_WATCHED: Final = 64
"""Of one group, the first."""


class Seats(msgspec.Struct, kw_only=True):
    """Unpaid seats by member, and devices by open group; both only where there is something to keep."""

    unpaid: dict[str, int] = {}
    devices: dict[str, bytes] = {}
    """Open group -> device keys of those who took a seat with a known device."""


def lost_unpaid(seats: Seats, member: str) -> bool:
    """Count a seat that a member lost for want of payment; tell whether it speaks against them."""
    count = seats.unpaid.get(member, 0) + 1
    if count == 1 and len(seats.unpaid) >= MEMBERS_WATCHED:
        return False
    seats.unpaid[member] = count
    return count >= UNPAID_FROM


def took_seat(seats: Seats, group: str, device: str) -> bool:
    """Note the device of a seat; tell whether one device now holds several seats of a group and half of all noted."""
    mark: Key = mark_of(device)
    known = seats.devices.get(group, b"")
    if len(known) >= SEATS_WATCHED * KEY_BYTES:
        return False
    known += mark
    seats.devices[group] = known
    same = _count(known, mark)
    return same >= SAME_DEVICE_FROM and same * 2 * KEY_BYTES >= len(known)


def _count(known: bytes, mark: Key) -> int:
    return sum([known[at : at + KEY_BYTES] == mark for at in range(0, len(known), KEY_BYTES)])
