"""Another intake in the place of a lost one: at an operator's word, where the old one ended, and nowhere else."""

import pytest

from events.reasons import Reason
from tests.builders import JsonEvent, market, market_restored, offer, posted
from tests.unit.rules.given import Scenario, covers, given


def decided(*events: JsonEvent) -> Scenario:
    """A market in which events have been decided, each a message; the naive model knows nothing of lost intakes."""
    return given(*events, compared=False)


def test_an_operators_word_puts_another_intake_in_the_place_of_a_lost_one() -> None:
    told = market_restored(2, lost_events=3)
    decided(offer()).when(told, by="operator").then_nothing_but(
        "market.restored",
        previous="intake-1",
        intake="intake-2",
        through=2,
        lost_events=3,
        actor="amy",
        reason="complaint",
        ticket="t-1",
    )


@covers(Reason.RESTORE_MISMATCH)
@pytest.mark.parametrize("through", [1, 3])
def test_it_must_stand_where_the_lost_intake_ended(through: int) -> None:
    decided(offer()).when(market_restored(through), by="operator").then_refused(Reason.RESTORE_MISMATCH)


@covers(Reason.RESTORE_MISMATCH)
def test_it_stands_at_the_head_of_its_message() -> None:
    decided(offer()).when([market(), market_restored(2)], by="operator").then("market.set", "refused")


@covers(Reason.RESTORE_MISMATCH)
def test_an_intake_cannot_take_its_own_place() -> None:
    told = market_restored(2, previous="intake-1", intake="intake-1")
    decided(offer()).when(told, by="operator").then_refused(Reason.RESTORE_MISMATCH)


@covers(Reason.PUBLISHER_NOT_ALLOWED)
def test_nobody_but_an_operator_may_say_so() -> None:
    trusted = market(publishers={"shop-a": ["market", "offer"]})
    decided(trusted).when(market_restored(1), by="shop-a").then_refused(Reason.PUBLISHER_NOT_ALLOWED)


def test_what_was_due_meanwhile_is_done_before_it() -> None:
    scenario = decided(offer(hold_s=0, group_ttl_s=60), posted("o1"))
    scenario.when(market_restored(3), at=3_600, by="operator").then("group.expired", "market.restored")
