"""Cutting entries into records."""

from events.limits import RECORD_MAX_BYTES
from events.record import GENESIS, decode_record, hash_bytes, join_entries
from services.matcher.domain.message import Message
from services.matcher.records import RecordBuilder


def message(seq: int) -> Message:
    return Message(seq, 1_000 + seq, "shop-a", "order", b"body %d" % seq)


def entry(seq: int, index: int, size_bytes: int = 100) -> bytes:
    head = b'{"seq":%d,"index":%d,"part":0,"at":1,"decisions":[{"kind":"' % (seq, index)
    return head + b"x" * (size_bytes - len(head) - 4) + b'"}]}'


def builder() -> RecordBuilder:
    return RecordBuilder("main", "intake-1", GENESIS)


def test_a_record_covers_everything_that_is_pending_and_names_the_last_message() -> None:
    made = builder()
    for seq in (7, 8, 9):
        made.add(join_entries([entry(seq, 0)]), message(seq), 1, 1)
    ready = made.cut()
    record = decode_record(ready.body)
    assert (record.through.seq, record.through.at, record.through.events) == (9, 1_009, 1)
    assert record.through.hash == hash_bytes(b"body 9")
    assert [bytes(raw) for raw in record.entries] == [entry(seq, 0) for seq in (7, 8, 9)]
    assert made.is_empty and made.size_bytes == 0


def test_each_record_names_the_hash_of_the_one_before() -> None:
    made = builder()
    made.add(join_entries([entry(1, 0)]), message(1), 1, 1)
    first = made.cut()
    made.add(join_entries([entry(2, 0)]), message(2), 1, 1)
    second = made.cut()
    assert decode_record(first.body).prev == GENESIS
    assert decode_record(second.body).prev == hash_bytes(first.body) == first.hash


def test_a_batch_too_large_for_one_record_is_split_and_no_entry_is_lost() -> None:
    made = builder()
    entries = [entry(1, index, 30_000) for index in range(400)]
    made.add(join_entries(entries), message(1), 400, 1)
    made.add(join_entries([entry(2, 0)]), message(2), 1, 1)
    records = []
    while not made.is_empty:
        ready = made.cut()
        assert len(ready.body) <= RECORD_MAX_BYTES
        records.append(decode_record(ready.body))
    assert [bytes(raw) for record in records for raw in record.entries] == [*entries, entry(2, 0)]
    assert len(records) > 2
    assert [record.through.seq for record in records[:-1]] == [1] * (len(records) - 1)
    assert all(record.through.events == 400 for record in records[:-1])


def test_a_record_holds_entries_of_one_rule_version_only() -> None:
    made = builder()
    made.add(join_entries([entry(1, 0)]), message(1), 1, 1)
    made.add(join_entries([entry(2, 0)]), message(2), 1, 2)
    made.add(join_entries([entry(3, 0)]), message(3), 1, 2)
    first, second = decode_record(made.cut().body), decode_record(made.cut().body)
    assert (first.rule, len(first.entries), first.through.seq) == (1, 1, 1)
    assert (second.rule, len(second.entries), second.through.seq) == (2, 2, 3)


def test_a_message_that_caused_no_entry_makes_no_record() -> None:
    made = builder()
    made.add(join_entries([]), message(1), 1, 1)
    assert made.is_empty
