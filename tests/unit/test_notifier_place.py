"""The place that a message names, and what is taken for a stray."""

import pytest

from services.bus.journal import JournalPosition
from services.notifier.channels import Reached
from services.notifier.channels.place import HEADER_PLACE, place_header, reached_with

STREAM = "groupbuy-main-results"
HASH = "0123456789abcdef" * 4


def test_a_place_says_how_far_its_stream_has_come() -> None:
    header = place_header(STREAM, 4_711, 812, 3, 120, HASH)
    reached = reached_with({HEADER_PLACE: header}, STREAM, 4_711)
    assert reached == Reached(JournalPosition(812, HASH), 3, 120)
    assert not reached.complete


def test_the_last_of_a_records_messages_completes_it() -> None:
    for ordinal, of in ((120, 120), (0, 0)):
        reached = reached_with({HEADER_PLACE: place_header(STREAM, 1, 812, ordinal, of, HASH)}, STREAM, 1)
        assert reached is not None
        assert reached.complete


def test_a_copy_at_another_sequence_is_a_stray() -> None:
    assert reached_with({HEADER_PLACE: place_header(STREAM, 4_711, 812, 3, 120, HASH)}, STREAM, 4_712) is None


def test_a_copy_in_another_stream_is_a_stray() -> None:
    assert reached_with({HEADER_PLACE: place_header(STREAM, 5, 812, 3, 120, HASH)}, "groupbuy-main-outcomes", 5) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        f"{STREAM} 5 812 3 120",
        f"{STREAM} 5 812 3 120 {HASH} more",
        f"{STREAM} 5 -1 3 120 {HASH}",
        f"{STREAM} 5 ٣ 3 4 {HASH}",
    ],
)
def test_a_header_that_is_no_place_is_a_stray(header: str) -> None:
    assert reached_with({HEADER_PLACE: header}, STREAM, 5) is None


def test_a_message_without_headers_is_a_stray() -> None:
    assert reached_with(None, STREAM, 5) is None
