"""The clairvoyant optimum: how many members anybody could have brought into full groups, knowing all arrivals.

A set of parties fills a group when their sizes sum to exactly its size and all are there at one moment: the last of
them comes before the first one's time is over. Parties that stay equally long are there together exactly when they
share such a moment, so it is enough to look at the moments of arrivals. For each of them and each way in which sizes
sum to a group (a *pattern*), the program chooses how many such groups fill. It is solved as an integer program where
that is small, else as its linear relaxation, and for large groups with the sum of sizes in place of patterns: then it
is a bound from above, which no matcher can pass. Common and blocked members are ignored, also in the optimum's favour.
"""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from tests.bench.matching.arrivals import Party

PATTERNS_UP_TO_SIZE: Final = 10
INTEGER_UP_TO_VARIABLES: Final = 6_000
SOLVER_S: Final = 2.0


class Optimum(NamedTuple):
    """Members in full groups at the best; `exact` when an integer solution was proved to be optimal."""

    members: float
    exact: bool


@lru_cache(maxsize=64)
def patterns(size: int) -> tuple[tuple[int, ...], ...]:
    """Return every way to write `size` as a sum of party sizes: all partitions, largest part first."""
    return tuple(_partitions(size, size))


def _partitions(rest: int, largest: int) -> Iterator[tuple[int, ...]]:
    if rest == 0:
        yield ()
    for part in range(min(rest, largest), 0, -1):
        for others in _partitions(rest - part, part):
            yield (part, *others)


class _Rows:
    """A sparse matrix of constraints in the making."""

    def __init__(self) -> None:
        self.place: list[tuple[int, int]] = []
        self.value: list[float] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, low: float, high: float) -> int:
        """Begin a row and return its number."""
        self.low.append(low)
        self.high.append(high)
        return len(self.low) - 1

    def put(self, row: int, column: int, value: float) -> None:
        """Set one coefficient."""
        self.place.append((row, column))
        self.value.append(value)

    def constraint(self, columns: int) -> LinearConstraint:
        """Return the rows as the solver takes them."""
        rows, cols = zip(*self.place, strict=True)
        matrix = csr_array((self.value, (rows, cols)), shape=(len(self.low), columns))
        return LinearConstraint(matrix, self.low, self.high)


def optimum(parties: list[Party], size: int, ttl_s: int, solver_s: float = SOLVER_S) -> Optimum:
    """Return the optimum for `parties`, in order of time, who each stay for `ttl_s` seconds (half-open).

    After `solver_s` seconds the solver is asked for the bound that it has proved.
    """
    rows = _Rows()
    ways = patterns(size) if size <= PATTERNS_UP_TO_SIZE else None
    columns = 0
    once = [rows.add(0, 1) for _ in parties]
    gain: list[float] = []
    high: list[float] = []
    first = 0
    for last, moment in enumerate(parties):
        while parties[first].at_s + ttl_s <= moment.at_s:
            first += 1
        present = range(first, last + 1)
        if sum(parties[i].size for i in present) < size:
            continue
        used: dict[int, list[int]] = {}
        for i in present:
            rows.put(once[i], columns, 1)
            used.setdefault(parties[i].size, []).append(columns)
            gain.append(parties[i].size)
            high.append(1)
            columns += 1
        columns += _fill(rows, columns, used, ways, size, gain, high)
    if columns == 0:
        return Optimum(0, True)
    integer = columns <= INTEGER_UP_TO_VARIABLES
    found = milp(
        c=-np.array(gain),
        constraints=rows.constraint(columns),
        bounds=Bounds(0, np.array(high)),
        integrality=np.full(columns, int(integer)),
        options={"time_limit": solver_s},
    )
    if integer and not found.success:
        # Out of time: what the solver has proved so far is a bound, which is what is asked for.
        return Optimum(-found.mip_dual_bound, False)
    if not found.success:
        raise RuntimeError(f"the linear program was not solved: {found.message}")
    return Optimum(-found.fun, integer and ways is not None)


def _fill(
    rows: _Rows,
    column: int,
    used: dict[int, list[int]],
    ways: tuple[tuple[int, ...], ...] | None,
    size: int,
    gain: list[float],
    high: list[float],
) -> int:
    """Say that the parties used at one moment make whole groups; return how many columns that took."""
    if ways is None:
        row = rows.add(0, 0)
        for seats, columns in used.items():
            for at in columns:
                rows.put(row, at, seats)
        rows.put(row, column, -size)
        gain.append(0)
        high.append(sum(seats * len(columns) for seats, columns in used.items()) // size)
        return 1
    possible = [way for way in map(Counter, ways) if all(len(used.get(s, ())) >= n for s, n in way.items())]
    for seats, columns in used.items():
        row = rows.add(0, 0)
        for at in columns:
            rows.put(row, at, 1)
        for offset, way in enumerate(possible):
            if seats in way:
                rows.put(row, column + offset, -way[seats])
    gain.extend(0 for _ in possible)
    high.extend(min(len(used[s]) // n for s, n in way.items()) for way in possible)
    return len(possible)
