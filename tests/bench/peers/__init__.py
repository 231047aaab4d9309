"""What a shop would use instead: the join transaction alone, reimplemented over other stores, at their best settings.

These are reimplementations of the join transaction, not other people's products. They skip the products' own web and
object-mapping layers, and keep no history, timers or refunds: all of that favours them. Every one commits durably
(fsync before the answer), and of each the overfilled and the stuck groups are counted beside its rate.
"""

from typing import Final, NamedTuple


class PeerResult(NamedTuple):
    """What one peer did: successful joins a second, groups past their size, and full groups not marked as filled."""

    joins_per_s: float
    overfilled: int = 0
    stuck: int = 0


GROUP_SIZE: Final = 5
"""Seats of every group."""


class PeerMissing(Exception):
    """What a peer needs is not on this machine; the message says what to install."""
