"""What is usual in this market, so that a signal counts by how far it stands out.

Counts halve together whenever there are many, so that the past fades. What is asked of a distribution is its upper
quartile: an attack has to make up a quarter of all assists before it moves what it is measured against.
"""

from typing import Final

import msgspec

from services.matcher.domain.standing import flags as f

HALVED_AT: Final = 1 << 16
_PRIOR: Final = 64
"""Assists that a new market is taken to have seen: at the plainest pace, half of them by young accounts and half
without notice, so that neither stands out before the market has shown what is usual in it."""
_BINS: Final = 64


def _plain() -> list[int]:
    return [0, _PRIOR] + [0] * (_BINS - 2)


class Usual(msgspec.Struct, kw_only=True):
    """Counts over the assists of the recent past."""

    assists: int = _PRIOR
    aged: int = _PRIOR
    young: int = _PRIOR // 2
    settled: int = _PRIOR
    moved: int = 0
    uncalled: int = _PRIOR // 2
    known: int = 0
    pairs: int = 64 * _PRIOR
    links: int = 0
    pace: list[int] = msgspec.field(default_factory=_plain)
    """By how many assists the play got within the two minutes before, this one included (63 and more are 63)."""
    brisk: list[int] = msgspec.field(default_factory=_plain)
    """The same within a quarter of an hour."""
    reach: list[int] = msgspec.field(default_factory=_plain)
    """By how many members the helper helped within the window, this one included."""

    usual_pace: int = 1
    """Upper quartiles, taken anew after each 256 assists: a scan for each would cost as much as all the rest."""
    usual_brisk: int = 1
    usual_reach: int = 1

    def note(self, flags: int, pace: int, brisk: int, reach: int, pairs: int, links: int) -> None:
        """Count one assist by its flags, the paces of its play, whom its helper helped, and whom it met there."""
        self.assists += 1
        if flags & f.AGED:
            self.aged += 1
            if flags & f.YOUNG:
                self.young += 1
        if flags & f.SETTLED:
            self.settled += 1
            if flags & f.MOVED:
                self.moved += 1
        if flags & f.UNCALLED:
            self.uncalled += 1
        if flags & f.KNOWN:
            self.known += 1
        self.pairs += pairs
        self.links += links
        self.pace[min(pace, _BINS - 1)] += 1
        self.brisk[min(brisk, _BINS - 1)] += 1
        self.reach[min(reach, _BINS - 1)] += 1
        if self.assists >= HALVED_AT:
            self._halve()
        if not self.assists & 0xFF:
            self.usual_pace = upper_quartile(self.pace)
            self.usual_brisk = upper_quartile(self.brisk)
            self.usual_reach = upper_quartile(self.reach)

    def _halve(self) -> None:
        self.assists >>= 1
        self.aged >>= 1
        self.young >>= 1
        self.settled >>= 1
        self.moved >>= 1
        self.uncalled >>= 1
        self.known >>= 1
        self.pairs >>= 1
        self.links >>= 1
        self.pace = [count >> 1 for count in self.pace]
        self.brisk = [count >> 1 for count in self.brisk]
        self.reach = [count >> 1 for count in self.reach]


def upper_quartile(counts: list[int]) -> int:
    """Return the smallest value that three quarters of what was counted do not pass."""
    wanted, seen = 3 * sum(counts), 0
    for value, count in enumerate(counts):
        seen += 4 * count
        if seen >= wanted:
            return value
    return len(counts) - 1
