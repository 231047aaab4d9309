"""What must be true at the end of a simulation, each check over the whole history; they find, they never mend."""

from collections.abc import Callable
from typing import Final

from tests.simulation.checks.archive import deciding_again_leads_to_the_same, the_ledger_holds_the_journal
from tests.simulation.checks.disputes import disputes_take_their_course
from tests.simulation.checks.groups import groups_and_stock_add_up
from tests.simulation.checks.history import History
from tests.simulation.checks.inputs import (
    accepted_time_is_the_brokers,
    events_count_once,
    every_input_has_one_outcome,
    nobody_gives_up_in_peace,
    promises_to_publishers_hold,
)
from tests.simulation.checks.members import members_are_left_in_peace
from tests.simulation.checks.money import money_adds_up
from tests.simulation.checks.notices import every_notice_has_one_end, the_ledger_holds_the_notices
from tests.simulation.checks.plays import plays_add_up
from tests.simulation.checks.telling import everybody_is_told_once

CHECKS: Final[tuple[Callable[[History], None], ...]] = (
    nobody_gives_up_in_peace,
    every_input_has_one_outcome,
    accepted_time_is_the_brokers,
    events_count_once,
    groups_and_stock_add_up,
    money_adds_up,
    plays_add_up,
    members_are_left_in_peace,
    disputes_take_their_course,
    deciding_again_leads_to_the_same,
    the_ledger_holds_the_journal,
    everybody_is_told_once,
    every_notice_has_one_end,
    the_ledger_holds_the_notices,
    promises_to_publishers_hold,
)
