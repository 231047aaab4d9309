"""The ways of matching that the benchmark compares: what the abstract market does is what the rules do."""

import pytest

from tests.bench.matching import online
from tests.bench.matching.arrivals import PATTERNS, TTL_S, Party, Pattern, parties
from tests.bench.matching.policies import LAUNCHING, play_out

RULES = "nearest_full_merging"
AT_DEADLINES = online.WAYS["seated, merged at deadlines, earliest first"]
NOT_SEATED = online.WAYS["not seated, merged at deadlines, earliest first"]
AT_ONCE = online.WAYS["not seated, merged at once, largest first"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_abstract_market_fills_what_the_rules_fill(pattern: Pattern) -> None:
    history = parties(size=5, demand=1.5, pattern=pattern, count=80, seed=1)
    for way, policy in ((AT_DEADLINES, RULES), (NOT_SEATED, LAUNCHING)):
        came, outcome = online.play_out(history, 5, TTL_S, way), play_out(history, 5, TTL_S, policy)
        assert came.filled == pytest.approx(outcome.filled, rel=0.03)
        assert came.wait_s / came.filled == pytest.approx(outcome.wait_s_mean, rel=0.05)


def _alone(*moments_s: int) -> list[Party]:
    return [Party(at_s, member, 1) for member, at_s in enumerate(moments_s)]


def test_who_waits_until_a_deadline_is_counted_until_then() -> None:
    came = online.play_out(_alone(0, 10), 2, 100, NOT_SEATED)
    assert came == online.Came(filled=2, wait_s=100 + 90)
    assert online.play_out(_alone(0, 10), 2, 100, AT_ONCE) == online.Came(filled=2, wait_s=10)


def test_at_its_deadline_a_party_is_still_there_and_after_it_no_more() -> None:
    assert online.play_out(_alone(0, 99), 2, 100, AT_ONCE).filled == 2
    assert online.play_out(_alone(0, 100), 2, 100, AT_ONCE).filled == 0


def test_a_group_is_filled_exactly_and_never_by_part_of_a_party() -> None:
    three_and_four = [Party(0, 0, 3), Party(1, 3, 4)]
    assert online.play_out(three_and_four, 5, 100, AT_ONCE).filled == 0
    assert online.play_out([*three_and_four, Party(2, 7, 1)], 5, 100, AT_ONCE).filled == 5
