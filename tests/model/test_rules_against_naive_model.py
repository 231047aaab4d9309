"""The matcher's engine against the naive model: the same inputs, every entry compared, invariants after each step.

`pytest tests/model --hypothesis-profile=deep` looks longer and with new random numbers; by default the examples are
few and always the same, so that the test takes seconds.
"""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.both import Both
from tests.model.inputs import TASTES, Inputs

STEPS = 10_000
STEPS_PER_MARKET = 400
CLOCKS = ("broker", "broker", "event", "broker")


class EngineAndModel(RuleBasedStateMachine):
    """One market, decided by the engine and by the model, restarted at will."""

    @initialize(data=st.data(), clock=st.sampled_from(["broker", "event"]), taste=st.sampled_from(TASTES))
    def start(self, data: st.DataObject, clock: str, taste: str) -> None:
        """Configure a market, with one clock or the other."""
        self.both = Both()
        self.inputs = Inputs(lambda options: data.draw(st.sampled_from(options)), clock, taste)
        self.both.feed(*self.inputs.configuration())

    @rule(data=st.data())
    def message_arrives(self, data: st.DataObject) -> None:
        """Feed one random message, most often right; the engine may crash in the midst of it."""
        self.inputs.pick = lambda options: data.draw(st.sampled_from(options))
        crashes = data.draw(st.sampled_from([(), (), (0,), (1,), (2, 3)]))
        self.both.feed(*self.inputs.message(self.both.naive.world), crashes=crashes)

    @rule()
    def engine_restarts_from_its_entries(self) -> None:
        """Forget everything but the entries."""
        self.both.restart_from_entries()

    @rule()
    def engine_restarts_from_a_snapshot(self) -> None:
        """Forget everything but a snapshot."""
        self.both.restart_from_snapshot()

    @precondition(lambda self: hasattr(self, "both"))
    @invariant()
    def the_entries_alone_lead_to_the_same_state(self) -> None:
        """Whoever follows the entries knows what the engine knows."""
        self.both.check_follower()


TestTheEngineAgreesWithTheNaiveModel = EngineAndModel.TestCase
TestTheEngineAgreesWithTheNaiveModel.settings = settings.get_profile(
    "deep" if settings.get_current_profile_name() == "deep" else "quick"
)


def _drive(seed: int, steps: int, clock: str, taste: str) -> int:
    """Feed one market `steps` random messages; return how many inputs were answered."""
    chance = random.Random(seed)
    inputs, both = Inputs(chance.choice, clock, taste), Both()
    both.feed(*inputs.configuration())
    for step in range(steps):
        crashes = range(5) if step % 20 == 0 else ()
        both.feed(*inputs.message(both.naive.world), crashes=crashes)
        if step % 25 == 0:
            both.check_follower()
        restart = chance.choice([None] * 48 + [both.restart_from_entries, both.restart_from_snapshot])
        if restart is not None:
            restart()
    both.check_follower()
    return len(both.auditor.answered)


@pytest.mark.parametrize("seed", range(STEPS // STEPS_PER_MARKET))
def test_the_engine_agrees_with_the_naive_model_on_ten_thousand_random_inputs(seed: int) -> None:
    clock, taste = CLOCKS[seed % len(CLOCKS)], TASTES[seed % len(TASTES)]
    assert _drive(seed, STEPS_PER_MARKET, clock, taste) > STEPS_PER_MARKET
