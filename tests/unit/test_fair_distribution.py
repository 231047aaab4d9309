"""Cuts and draws are as likely as they should be, and each mistake that shops were found to make is caught here.

Chi-squared over 100,000 draws at a level of one in a million. The seeds are fixed, so that the outcome is too.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import pytest
from scipy.stats import chisquare

from events import fair
from services.matcher.domain.plays.drawing import Board

DRAWS = 100_000
LEVEL = 1e-6
LIST = "ab" * 32
Numbers = Callable[[bytes, str, int], int]


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


def is_fair(counts: Sequence[int], expected: Sequence[float] | None = None) -> bool:
    """Tell whether counts are what chance may bring, each as expected or all alike."""
    total = sum(counts)
    wanted = [total / len(counts)] * len(counts) if expected is None else [total * share for share in expected]
    return bool(chisquare(counts, wanted).pvalue > LEVEL)


def tally(values: Sequence[int], kinds: int) -> list[int]:
    counts = [0] * kinds
    for value in values:
        counts[value] += 1
    return counts


# Numbers


def numbers_with(make: Numbers, below: int) -> list[int]:
    values = [make(seed(7), f"t{n}", below) for n in range(DRAWS)]
    assert all(0 <= value < below for value in values)
    return tally(values, below)


@pytest.mark.parametrize("below", [2, 7, 100])
def test_every_number_below_the_bound_is_equally_likely(below: int) -> None:
    assert is_fair(numbers_with(fair.uniform, below))


def test_the_largest_number_left_out_is_caught() -> None:
    assert not is_fair(numbers_with(lambda s, t, below: fair.uniform(s, t, below - 1), 100))


def test_taking_the_remainder_without_rejection_is_caught() -> None:
    # With bytes instead of 64 bits the bias is there to be seen: 256 = 2 x 100 + 56.
    def of_a_byte(s: bytes, t: str, below: int) -> int:
        return fair.uniform(s, t, 256) % below

    assert not is_fair(numbers_with(of_a_byte, 100))


def test_numbers_above_the_last_whole_multiple_are_rejected_and_drawn_again() -> None:
    below = 3 << 61  # 2^64 holds two of it and a bit: the last quarter is rejected
    values = [fair.uniform(seed(3), f"t{n}", below) for n in range(2_000)]
    thirds = tally([value * 3 // below for value in values], 3)
    assert is_fair(thirds), "without rejection the first two thirds come half again as often"


# Cuts


def cuts(*, remaining_minor: int, helpers_left: int, share_percent: int, wrong: int = 0) -> list[int]:
    """Count first cuts from 1 on; `wrong` is added to the remainder from which they are drawn."""
    found = [
        fair.cut_minor(
            seed(n),
            1,
            "h",
            remaining_minor=remaining_minor + wrong,
            helpers_left=helpers_left,
            share_percent=share_percent,
            weight=1,
        )
        for n in range(DRAWS)
    ]
    return tally(found, max(found) + 1)[1:]


def test_every_cut_up_to_the_bound_is_equally_likely_the_smallest_and_the_greatest_too() -> None:
    counts = cuts(remaining_minor=100, helpers_left=10, share_percent=50)
    assert len(counts) == 50
    assert is_fair(counts)
    near_the_end = cuts(remaining_minor=20, helpers_left=11, share_percent=100)
    assert len(near_the_end) == 10, "one unit stays for each of the ten who come after"
    assert is_fair(near_the_end)


def test_a_cut_drawn_from_the_wrong_bound_is_caught() -> None:
    # The bound of the price instead of what can still be cut, as a mall had it: cuts go further than they may.
    counts = cuts(remaining_minor=100, helpers_left=10, share_percent=50, wrong=20)
    assert len(counts) == 60 and not is_fair([*counts[:50], sum(counts[50:])], [1 / 50] * 50 + [1e-9])


def test_a_greatest_cut_that_never_comes_is_caught() -> None:
    counts = cuts(remaining_minor=98, helpers_left=10, share_percent=50)
    assert len(counts) == 49 and not is_fair([*counts, 0])


# Draws


def prizes_of(tickets: Sequence[int], draws: int, *, many: bool = False, one_short: bool = False) -> list[int]:
    """Return who won, over many boards; `one_short` draws below the number of tickets less one."""
    from array import array

    won = []
    for n in range(DRAWS // draws):
        board = Board(seed(n), LIST, array("I", tickets), many=many)
        if one_short:
            board._total -= 1
        won += [board.draw() for _ in range(draws)]
    return won


def test_every_ticket_is_equally_likely_to_win_the_first_and_the_last_too() -> None:
    assert is_fair(tally(prizes_of([1] * 10, 1), 10))
    assert is_fair(tally(prizes_of([1, 2, 3, 4], 1), 4), [0.1, 0.2, 0.3, 0.4])


def test_every_ticket_is_equally_likely_in_a_list_of_many_blocks() -> None:
    won = prizes_of([1] * 5_000, 500)
    assert is_fair(tally([member // 500 for member in won], 10))


def test_the_ticket_that_can_never_win_is_caught() -> None:
    counts = tally(prizes_of([1] * 10, 1, one_short=True), 10)
    assert counts[9] == 0 and not is_fair(counts)


def test_the_prize_that_nobody_can_win_is_caught() -> None:
    # Each of three prizes goes to each of four members as often as to any other; none stays behind.
    won = prizes_of([1] * 4, 3)
    for place in range(3):
        assert is_fair(tally(won[place::3], 4))
    assert len(won) == DRAWS // 3 * 3, "every prize is drawn"


def test_who_may_win_once_makes_room_for_the_others_in_proportion() -> None:
    won = prizes_of([2, 1, 1], 2)
    second = [b for a, b in zip(won[::2], won[1::2], strict=True) if a == 0]
    assert is_fair(tally(second, 3)[1:])
    with_many = prizes_of([2, 1, 1], 2, many=True)
    again = [b for a, b in zip(with_many[::2], with_many[1::2], strict=True) if a == 0]
    assert is_fair(tally(again, 3)), "one ticket is gone, one each is left"


def test_every_set_of_seats_of_a_group_is_equally_likely_to_be_drawn() -> None:
    orders = ["o1", "o2", "o3", "o4", "o5"]
    sets = {frozenset(chosen): place for place, chosen in enumerate(combinations(orders, 2))}
    drawn = [sets[fair.draw_seats(seed(n), orders, 2)] for n in range(DRAWS)]
    assert is_fair(tally(drawn, len(sets)))


def test_a_group_whose_leader_always_wins_is_caught() -> None:
    orders = ["o1", "o2", "o3", "o4", "o5"]
    drawn = [min(fair.draw_seats(seed(n), orders[1:], 1)) for n in range(DRAWS // 10)]
    won = tally([int(order[1]) - 1 for order in drawn], 5)
    won[0] = DRAWS // 10
    assert not is_fair(won)
