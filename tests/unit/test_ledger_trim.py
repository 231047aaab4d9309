"""How much of the intake may go once it is archived."""

import pytest
from nats.js import api

from events.record import Through
from services.ledger.chain import Tip
from services.ledger.trim import TrimPolicy, first_to_keep

MIB = 1024 * 1024


def tip(through_seq: int) -> Tip:
    """A ledger that has archived what the intake brought about up to a message."""
    through = Through(seq=through_seq, events=1, at=0, hash="0" * 64)
    return Tip(
        seq=1, hash="1" * 64, position=(through_seq, 0, 0), at_ns=0, entries=through_seq, intake="i", through=through
    )


def stream(messages: int, size_bytes: int) -> api.StreamState:
    """An intake of so many messages and bytes."""
    return api.StreamState(messages=messages, bytes=size_bytes, first_seq=1, last_seq=messages, consumer_count=0)


@pytest.mark.parametrize("through_seq", [1, 99_999, 100_000, 100_001, 5_000_000])
def test_the_last_messages_stay(through_seq: int) -> None:
    keep_from = first_to_keep(tip(through_seq), stream(through_seq, through_seq * 500), 0, TrimPolicy())
    assert keep_from == max(1, through_seq - 100_000)


@pytest.mark.parametrize("keep_messages", [-5, 0, 1])
def test_the_last_message_archived_always_stays(keep_messages: int) -> None:
    policy = TrimPolicy(keep_messages=keep_messages)
    assert first_to_keep(tip(500), stream(1_000, MIB), 0, policy) <= 500


def test_what_is_archived_does_not_fill_the_intake() -> None:
    # Batches of 768 KiB in an intake of 1 GiB: a hundred thousand of them would never fit.
    state, max_bytes = stream(1_300, 1_300 * 768 * 1024), 1024 * MIB
    keep_from = first_to_keep(tip(1_300), state, max_bytes, TrimPolicy())
    kept_bytes = (1_300 - keep_from) * 768 * 1024
    assert max_bytes * 0.2 < kept_bytes <= max_bytes * 0.25


def test_an_empty_intake_is_left_as_it_is() -> None:
    assert first_to_keep(tip(10), stream(0, 0), 1024, TrimPolicy()) == 1
