"""What a restoration says is lost with a message: just those of its events that have no outcome."""

from pathlib import Path

import pytest

from deploy.restore import Act, Restoration
from events import decisions as d
from tests.ledger_records import JournalBuilder, open_store

TICK = d.ClockAdvanced()


def whole() -> JournalBuilder:
    return JournalBuilder().input(TICK).seal()


def begun() -> JournalBuilder:
    return whole().message(4).input(TICK).seal()


@pytest.mark.parametrize(
    ("journal", "lost"),
    [
        (whole(), 0),
        (begun(), 3),
        (begun().page(TICK).seal(), 3),
        (begun().due(TICK).seal(), 3),
        (begun().input(TICK).input(TICK).seal().due(TICK).input(TICK).seal(), 0),
        (begun().due(TICK).seal().due(TICK).input(TICK).seal(), 2),
    ],
)
def test_events_of_the_last_message_that_have_no_outcome_are_lost(
    journal: JournalBuilder, lost: int, tmp_path: Path
) -> None:
    act = Act(actor="amy", reason="disk_lost", ticket="t-1")
    with open_store(tmp_path) as store:
        store.append(journal.records)
        restoration = Restoration(store, tmp_path, act, replace=False, progress=lambda *_: None)
        assert restoration._undecided_of_last_message() == lost
