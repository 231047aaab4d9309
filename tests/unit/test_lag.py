"""A lag says how long the first message that waits has been waiting, and from an age on it is no health."""

from collections.abc import Iterator
from unittest import mock

import pytest

from services.bus import lag
from services.bus.health import Status
from services.bus.lag import DEGRADED_S, MARKS_MAX, UNHEALTHY_S, LagClock


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = Clock()
    with mock.patch.object(lag, "time", made):
        yield made


def test_who_is_level_has_no_lag_however_long_nothing_comes(clock: Clock) -> None:
    found = LagClock()
    found.note(10, 10)
    clock.now_s += 3_600
    assert (found.age_s, found.check("behind")) == (0.0, None)


def test_the_age_is_that_of_the_first_message_that_waits(clock: Clock) -> None:
    found = LagClock()
    for second in range(10):
        found.note(100 * (second + 1), 0)
        clock.now_s += 1
    assert found.age_s == 10
    found.note(1_000, 350)
    assert found.age_s == 7, "messages 301 to 400 were first seen three seconds after the beginning"


def test_who_is_always_a_little_behind_is_not_late(clock: Clock) -> None:
    found = LagClock()
    for second in range(1_000):
        found.note(100 * second + 100, 100 * second)
        clock.now_s += 1
    assert found.age_s <= 1
    assert found.check("100 behind") is None


def test_a_lag_of_an_age_is_degraded_and_later_unhealthy(clock: Clock) -> None:
    found = LagClock()
    found.note(5, 0)
    clock.now_s += DEGRADED_S
    young = found.check("5 messages behind")
    assert young is not None and young.status is Status.DEGRADED
    clock.now_s += UNHEALTHY_S
    old = found.check("5 messages behind")
    assert old is not None and old.status is Status.UNHEALTHY
    assert old.sentence == "5 messages behind, the first of them for 65 s"
    found.note(5, 5)
    assert found.check("") is None


def test_what_it_remembers_is_bounded(clock: Clock) -> None:
    found = LagClock()
    for second in range(2 * MARKS_MAX):
        found.note(second + 1, 0)
        clock.now_s += 1
    assert len(found._marks) == MARKS_MAX
    assert found.age_s == 2 * MARKS_MAX
