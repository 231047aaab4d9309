"""How long a matcher waits before it decides: alone not at all, else a moment of chance, longer after each loss."""

import random

import pytest

from services.matcher.standby import AFTER_LOSS_S, DOUBLINGS_MAX, Patience


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(1)


def drawn(patience: Patience) -> list[float]:
    return [patience.draw_s() for _ in range(200)]


def test_a_matcher_that_is_alone_waits_for_nobody_until_it_loses_a_fence() -> None:
    patience = Patience(0.0)
    assert not patience.is_needed
    patience.lost()
    assert patience.is_needed
    assert AFTER_LOSS_S <= min(drawn(patience)) <= max(drawn(patience)) <= 2 * AFTER_LOSS_S
    patience.won()
    assert not patience.is_needed


def test_two_that_stand_by_seldom_draw_the_same_moment() -> None:
    moments = drawn(Patience(0.5))
    assert 0.5 <= min(moments) < 0.6 and 0.9 < max(moments) <= 1.0


def test_each_loss_in_a_row_doubles_the_patience_up_to_a_limit() -> None:
    patience = Patience(0.5)
    for _ in range(3):
        patience.lost()
    assert 4 * 0.5 <= min(drawn(patience)) <= max(drawn(patience)) <= 4 * 1.0
    for _ in range(100):
        patience.lost()
    assert max(drawn(patience)) <= 2**DOUBLINGS_MAX * 1.0
    patience.won()
    assert max(drawn(patience)) <= 1.0
