"""When a snapshot is worth its cost."""

import pytest

from services.matcher.snapshots import is_due


@pytest.mark.parametrize(
    ("entries", "orders", "due"),
    [
        (999_999, 10, False),
        (1_000_000, 10, True),
        (1_000_000, 2_000_001, True),
        (1_000_000, 4_000_000, False),
        (2_000_000, 4_000_000, True),
    ],
)
def test_a_snapshot_comes_after_a_million_entries_or_half_as_many_as_it_would_hold_orders(
    entries: int, orders: int, due: bool
) -> None:
    assert is_due(entries, orders) is due
