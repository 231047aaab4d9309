import pytest

from events.record import GENESIS, hash_bytes
from services.bus.journal_chain import JournalBroken, JournalChain, JournalMessage, JournalPosition
from services.bus.journal_consumer import parse_reply
from tests.journal_writer import record_of, ticked

FIRST = record_of([ticked(1)], GENESIS)
SECOND = record_of([ticked(2)], hash_bytes(FIRST))
THIRD = record_of([ticked(3)], hash_bytes(SECOND))


def message(seq: int, body: bytes, message_id: str | None = "") -> JournalMessage:
    return JournalMessage(seq, 1_000 + seq, hash_bytes(body) if message_id == "" else message_id, body)


def started() -> JournalChain:
    return JournalChain("main", JournalPosition())


def test_records_follow_each_other_by_hash() -> None:
    chain = started()
    read = [chain.read(message(seq, body)) for seq, body in enumerate([FIRST, SECOND, THIRD], 1)]
    assert [record.seq for record in read if record] == [1, 2, 3]
    assert chain.position == JournalPosition(3, hash_bytes(THIRD))


@pytest.mark.parametrize("message_id", [None, "0" * 64, hash_bytes(SECOND).upper()])
def test_what_is_not_known_by_its_own_hash_is_a_stray(message_id: str | None) -> None:
    chain = started()
    chain.read(message(1, FIRST))
    assert chain.read(message(2, SECOND, message_id)) is None
    assert chain.strays == 1
    assert chain.seen_seq == 2
    assert chain.position.seq == 1
    assert chain.read(message(3, SECOND)) is not None


def test_a_damaged_record_breaks_the_chain_at_the_next_one() -> None:
    chain = started()
    chain.read(message(1, FIRST))
    damaged = SECOND.replace(b'"seq":2', b'"seq":3')
    assert chain.read(message(2, damaged, hash_bytes(SECOND))) is None
    with pytest.raises(
        JournalBroken, match=r"before message 3.*messages 2 to 2 were skipped as strays, or were damaged"
    ):
        chain.read(message(3, THIRD))


def test_a_missing_record_is_told_with_its_place() -> None:
    chain = started()
    chain.read(message(1, FIRST))
    with pytest.raises(JournalBroken, match="broken before message 3: messages 2 to 2 are missing"):
        chain.read(message(3, THIRD))


def test_a_gap_that_the_chain_closes_is_none() -> None:
    chain = started()
    chain.read(message(1, FIRST))
    assert chain.read(message(9, SECOND)) is not None


def test_a_journal_whose_beginning_is_missing_is_told() -> None:
    with pytest.raises(JournalBroken, match="messages 1 to 1 are missing and one of them was a record"):
        started().read(message(2, SECOND))
    with pytest.raises(JournalBroken, match="but nothing was read before it"):
        started().read(message(1, SECOND))


def test_a_record_of_another_market_breaks_it() -> None:
    body = record_of([ticked(1)], GENESIS, market="other")
    with pytest.raises(JournalBroken, match="journal message 1 of market main is a record of market other"):
        started().read(message(1, body))


@pytest.mark.parametrize("body", [b"{}", b"", FIRST.replace(b'"v":1', b'"v":2')])
def test_a_record_that_cannot_be_read_breaks_it(body: bytes) -> None:
    with pytest.raises(JournalBroken, match="journal message 1 of market main cannot be read"):
        started().read(message(1, body))


def test_both_forms_of_the_reply_subject_hold_sequence_and_nanoseconds() -> None:
    short = "$JS.ACK.stream.consumer.1.17.4.1790000000123456789.0"
    long = "$JS.ACK.hub.ACCHASH.stream.consumer.1.17.4.1790000000123456789.0.random"
    assert parse_reply(short.encode()) == parse_reply(long.encode()) == (17, 4, 1790000000123456789, 0)
