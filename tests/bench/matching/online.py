"""What another way of matching could do without knowing the future: an abstract market, to compare ideas in.

Only sizes and times count; members and blocks do not. A *unit* is what stays together: a party, with the strangers
that have joined it. Everything that is decided is decided by what is there at that moment.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from tests.bench.matching.arrivals import Party

When = Literal["deadline", "at_once"]


class Unit(NamedTuple):
    """Seats that fill a group together, until when, and in which order they came."""

    until_s: int
    place: int
    seats: int
    came_s: int
    """The sum of the moments at which its members came."""


Order = Callable[[Unit], tuple[int, ...]]
"""By what donors are preferred: the smallest first."""

EARLIEST: Final[Order] = lambda unit: (unit.until_s, unit.place)  # noqa: E731
LARGEST: Final[Order] = lambda unit: (-unit.seats, unit.until_s, unit.place)  # noqa: E731


class Way(NamedTuple):
    """A way of matching: whether who comes alone takes a seat at once, when groups are merged, and with whom."""

    seats_strangers: bool
    merges: When
    donors: Order


WAYS: Final = {
    "seated, merged at deadlines, earliest first": Way(True, "deadline", EARLIEST),
    "seated, merged at once, earliest first": Way(True, "at_once", EARLIEST),
    "not seated, merged at deadlines, earliest first": Way(False, "deadline", EARLIEST),
    "not seated, merged at deadlines, largest first": Way(False, "deadline", LARGEST),
    "not seated, merged at once, largest first": Way(False, "at_once", LARGEST),
}
"""The first is what the rules do with `match: nearest_full` and merging: it must give their figures."""


class Came(NamedTuple):
    """What came of the members of one history."""

    filled: int
    wait_s: int
    """Of all members in filled groups together."""


def play_out(parties: Sequence[Party], size: int, ttl_s: int, way: Way) -> Came:
    """Return what `way` makes of `parties` in groups of `size`."""
    market = _Market(size, way)
    for place, party in enumerate(parties):
        market.pass_to(party.at_s)
        market.arrive(Unit(party.at_s + ttl_s, place, party.size, party.size * party.at_s), party.at_s)
    market.pass_to(parties[-1].at_s + ttl_s + 1)
    return Came(market.filled, market.wait_s)


class _Market:
    def __init__(self, size: int, way: Way) -> None:
        self._size = size
        self._way = way
        self._open: list[Unit] = []
        self.filled = 0
        self.wait_s = 0

    def pass_to(self, now_s: int) -> None:
        """Let every deadline up to `now_s` come, in order."""
        while self._open and (due := min(self._open)).until_s <= now_s:
            self._open.remove(due)
            self._fill(due, due.until_s)

    def arrive(self, unit: Unit, now_s: int) -> None:
        """Take in a party."""
        if unit.seats == 1 and self._way.seats_strangers:
            fitting = [other for other in self._open if other.seats < self._size]
            if fitting:
                nearest = min(fitting, key=lambda other: (-other.seats, other.until_s, other.place))
                self._open.remove(nearest)
                unit = nearest._replace(seats=nearest.seats + 1, came_s=nearest.came_s + now_s)
        if unit.seats == self._size:
            self._end([unit], now_s)
        elif self._way.merges == "deadline" or not self._fill(unit, now_s):
            self._open.append(unit)

    def _fill(self, unit: Unit, now_s: int) -> bool:
        """Fill a group around `unit`, exactly, from what is open."""
        candidates = sorted(self._open, key=self._way.donors)
        found = _exactly(candidates, self._size - unit.seats)
        if found is None:
            return False
        for donor in found:
            self._open.remove(donor)
        self._end([unit, *found], now_s)
        return True

    def _end(self, units: list[Unit], now_s: int) -> None:
        """Count the members of units that fill a group now."""
        assert sum(unit.seats for unit in units) == self._size, "a group is filled exactly"
        self.filled += self._size
        self.wait_s += self._size * now_s - sum(unit.came_s for unit in units)


def _exactly(candidates: Sequence[Unit], missing: int) -> list[Unit] | None:
    """Return the first set of candidates, in their order, whose seats sum to `missing`; None when there is none."""
    # What can still be reached with the candidates from each place on, one bit a sum.
    reachable = [1]
    for unit in reversed(candidates):
        reachable.append((reachable[-1] | reachable[-1] << unit.seats) & ((2 << missing) - 1))
    reachable.reverse()
    if not reachable[0] >> missing & 1:
        return None
    found = []
    for place, unit in enumerate(candidates):
        if unit.seats <= missing and reachable[place + 1] >> (missing - unit.seats) & 1:
            found.append(unit)
            missing -= unit.seats
        if not missing:
            break
    return found
