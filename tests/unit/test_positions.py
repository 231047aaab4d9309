"""Positions of entries as one integer: they come back as they went, rise as entries do, and last for years."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from events.limits import BATCH_MAX_EVENTS
from events.record import entry_id
from services.matcher.domain.engine import Engine
from services.matcher.domain.positions import pack_entry, unpack_entry
from tests.builders import market, offer, posted
from tests.model.both import FACTS, ZONES
from tests.unit.rules.given import Scenario

BITS_OF_A_SNAPSHOT = 64
MESSAGES = 17 * 10**9
LAST_PART = 2**20 - 1
POSITIONS = st.tuples(st.integers(1, MESSAGES), st.integers(0, BATCH_MAX_EVENTS - 1), st.integers(0, LAST_PART))


@given(POSITIONS)
def test_a_position_comes_back_as_it_went(position: tuple[int, int, int]) -> None:
    assert unpack_entry(pack_entry(*position)) == position


def test_a_snapshot_can_hold_every_position_of_seventeen_thousand_million_messages() -> None:
    assert pack_entry(MESSAGES, BATCH_MAX_EVENTS - 1, LAST_PART).bit_length() <= BITS_OF_A_SNAPSHOT


@given(st.lists(POSITIONS, min_size=2, unique=True).map(sorted))
def test_positions_rise_as_entries_do(positions: list[tuple[int, int, int]]) -> None:
    assert all(pack_entry(*one) < pack_entry(*other) for one, other in pairwise(positions))


def test_more_parts_than_there_are_names_for_bear_the_last_one_and_stay_in_their_event() -> None:
    assert unpack_entry(pack_entry(7, 3, LAST_PART + 5)) == (7, 3, LAST_PART)


def test_a_market_goes_on_from_its_snapshot_after_ten_thousand_million_messages() -> None:
    market_of_years = Scenario(compared=False)
    market_of_years.seq = 10**10
    first = posted("tea-1")
    for event in (market(), offer(), first):
        market_of_years.when(event)
    entry = entry_id(10**10 + 3, 0, 0)
    market_of_years.alone = Engine.restore("main", FACTS, market_of_years.alone.snapshot(), ZONES)
    for again in (first, {**first, "id": "another"}):
        market_of_years.when(again).then("duplicate")
        assert market_of_years.outcome["of"] == entry
