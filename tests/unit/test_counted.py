"""Whoever reads how many there are reads a sentence, also where there is one."""

import pytest

from events.counted import counted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 notices"), (1, "1 notice"), (2, "2 notices"), (11, "11 notices"), (21, "21 notices")]
)
def test_one_thing_is_one_and_everything_else_is_many(count: int, words: str) -> None:
    assert counted(count, "notice") == words


@pytest.mark.parametrize(("count", "words"), [(1, "1 entry is signed"), (2, "2 entries are signed")])
def test_what_follows_agrees_with_the_number(count: int, words: str) -> None:
    assert f"{counted(count, 'entry is', 'entries are')} signed" == words


def test_thousands_are_told_apart_where_that_is_asked_for() -> None:
    assert counted(20_000, "event") == "20000 events"
    assert counted(20_000, "event", grouped=True) == "20,000 events"
    assert counted(1, "event", grouped=True) == "1 event"
