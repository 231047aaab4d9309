"""How much of the intake may go once it is archived."""

import pytest
from nats.js import api

from events import decisions as d
from events.reasons import Fault, Reason
from events.record import Through
from services.ledger.chain import Tip
from services.ledger.trim import TrimPolicy, first_to_keep, last_not_kept
from tests.builders import posted
from tests.ledger_records import open_market

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


def test_what_may_not_be_kept_leaves_the_intake_without_a_margin_but_never_the_last_message() -> None:
    state = stream(1_000, 500_000)
    assert first_to_keep(tip(1_000), state, 0, TrimPolicy(), not_to_be_kept=700) == 701
    assert first_to_keep(tip(1_000), state, 0, TrimPolicy(), not_to_be_kept=1_000) == 1_000
    assert first_to_keep(tip(300_000), state, 0, TrimPolicy(), not_to_be_kept=700) == 200_000


def test_the_last_input_that_is_kept_as_a_hash_only_is_found_in_the_records() -> None:
    journal = open_market()
    journal.input(d.Malformed(why=Fault.NOT_JSON, size_bytes=1, keyed_hash="ab" * 32))
    journal.input(d.Refused(reason=Reason.PERSONAL_DATA, size_bytes=1, keyed_hash="ab" * 32))
    journal.input(d.Refused(reason=Reason.OFFER_UNKNOWN), event=posted()).seal()
    bodies = [record.body for record in journal.records]
    assert last_not_kept(bodies) == 4
    assert last_not_kept([]) == 0
