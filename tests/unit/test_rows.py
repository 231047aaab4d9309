"""Rows of bytes and queues of numbers hold what was put in, and move seldom while they grow."""

import sys

from services.matcher.domain.rows import append
from services.matcher.domain.standing.aging import Aging


def test_rows_are_what_was_added_and_move_with_every_fourth_at_most() -> None:
    rows, sizes = bytearray(), list[int]()
    for n in range(200):
        append(rows, n.to_bytes(24))
        sizes.append(sys.getsizeof(rows))
    assert rows == b"".join([n.to_bytes(24) for n in range(200)])
    assert len(set(sizes[:40])) <= 11, "with one and three rows, then with each fourth"
    assert sizes[-1] - sys.getsizeof(bytearray()) < 1.15 * len(rows)


def test_what_ages_first_comes_first_and_leaves_no_room_behind() -> None:
    aging = Aging()
    for n in range(5_000):
        aging.push(n, 5_000 - n)
    for n in range(4_000):
        assert aging.peek() == (n, 5_000 - n)
        aging.drop()
    assert len(aging.pieces) < 8 * 2_500
    for n in range(4_000, 5_000):
        assert aging.peek() == (n, 5_000 - n)
        aging.drop()
    assert aging.peek() is None
