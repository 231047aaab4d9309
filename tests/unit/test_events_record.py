"""Entries and records: what is none is refused, and the same decision is the same bytes whoever writes it."""

import json

import msgspec
import pytest

from events import decisions as d
from events import leaf as leaves
from events.limits import LEAF_MAX_BYTES, SEATS_PER_PAGE
from events.reasons import Reason
from events.record import (
    GENESIS,
    BadRecord,
    Entry,
    Record,
    Through,
    decode_entry,
    decode_entry_bytes,
    decode_record,
    encode_entry,
    encode_record,
    hash_bytes,
    parse_entry_id,
)
from events.refund import refund_id
from tests.unit.event_bytes import event

KEY = bytes(range(32))


def entry(*decisions: d.AnyDecision, raw: bytes | None = None) -> Entry:
    event = None if raw is None else msgspec.Raw(raw)
    return Entry(seq=7, index=1, part=0, at=10**18, publisher="shop-a", event=event, decisions=list(decisions))


def record(*entries: bytes, v: int = 1) -> Record:
    through = Through(seq=7, events=2, at=10**18, hash="0" * 64)
    raws = [msgspec.Raw(raw) for raw in entries]
    return Record(v=v, market="main", prev=GENESIS, intake="x", rule=1, through=through, entries=raws)


ENTRY = encode_entry(entry(d.ClockAdvanced()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 5_000,
        b'{"v":1}',
        encode_record(record(ENTRY))[:-1],
        encode_record(record(ENTRY)) + b"{}",
    ],
)
def test_what_is_no_record_is_refused_with_a_sentence(body: bytes) -> None:
    with pytest.raises(BadRecord, match="not a record"):
        decode_record(body)


def test_a_record_of_another_format_or_without_entries_is_refused() -> None:
    with pytest.raises(BadRecord, match="format 2"):
        decode_record(encode_record(record(ENTRY, v=2)))
    with pytest.raises(BadRecord, match="without entries"):
        decode_record(encode_record(record()))


@pytest.mark.parametrize("raw", [b"", b"{}", b"17", b'{"seq":"7"}', ENTRY.replace(b"clock.advanced", b"clock.stopped")])
def test_what_is_no_entry_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(BadRecord, match="not an entry"):
        decode_entry(raw)


def test_an_entry_of_a_later_version_is_kept_as_its_bytes() -> None:
    later = ENTRY.replace(b'{"kind":"clock.advanced"}', b'{"kind":"play.opened","play":"x"}')
    assert bytes(decode_entry_bytes(later).decisions[0]) == b'{"kind":"play.opened","play":"x"}'
    with pytest.raises(BadRecord):
        decode_entry_bytes(b"[" * 5_000)


def test_the_bytes_of_an_event_survive_entry_and_record() -> None:
    sent = event({"note": "茶 \\u8336", "x": 1.50}).replace(b",", b" , ")
    raw = encode_entry(entry(d.ClockAdvanced(), raw=sent))
    kept = decode_entry_bytes(decode_record(encode_record(record(raw))).entries[0])
    assert bytes(kept.event or b"") == sent
    assert leaves.parts(kept)[0] == sent


def test_equal_decisions_are_equal_bytes_also_when_they_were_read() -> None:
    """A default is left out by identity: what was decoded or computed must be left out alike."""
    listed = d.OfferListed(offer="tea", edition=1)
    seat = d.SeatRef(order="o", member="m", publisher="p", quantity=int("1"), price_minor=int("0"))
    filled = d.GroupFilled(group="g", offer="tea", cause="target", size=2, page=int("1"), pages=int("1"), seats=[seat])
    for decision, default in ((listed, b"status"), (filled, b"quantity"), (filled, b"page"), (filled, b"price_minor")):
        raw = msgspec.json.encode(decision)
        assert default not in raw
        assert msgspec.json.encode(msgspec.json.decode(raw, type=d.AnyDecision)) == raw
        explicit = msgspec.to_builtins(decision) | ({"status": "open"} if decision is listed else {"page": 1})
        assert msgspec.json.encode(msgspec.json.decode(json.dumps(explicit), type=d.AnyDecision)) == raw


@pytest.mark.parametrize("text", ["", ".", "a", "1.2.3.4", "1..2", "-1", "1.", "１", "9" * 21, "1 .2"])
def test_what_is_no_position_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected SEQ, SEQ\.INDEX or SEQ\.INDEX\.PART"):
        parse_entry_id(text)


def test_a_position_may_leave_out_index_and_part() -> None:
    assert [parse_entry_id(text) for text in ("7", "7.1", "7.1.2")] == [(7, 0, 0), (7, 1, 0), (7, 1, 2)]


def test_seats_are_committed_to_one_by_one_and_a_merge_as_a_whole() -> None:
    seats = [d.SeatRef(order=f"o-{i}", member=f"m-{i}", publisher="p") for i in range(3)]
    expired = d.GroupExpired(group="g", offer="tea", missing=1, seats=seats)
    empty = d.GroupDissolved(group="g", offer="tea", cause="empty", seats=[])
    merged = d.GroupMerged(group="g", into="h", seats=2)
    tricky = d.Refused(reason=Reason.BLOCKED, detail='"seats":[{"order":"x"}]')
    parts = leaves.parts(decode_entry_bytes(encode_entry(entry(expired, empty, merged, tricky))))
    assert [json.loads(part).get("kind") for part in parts] == [
        "group.expired",
        None,
        None,
        None,
        "group.dissolved",
        "group.merged",
        "refused",
    ]
    assert parts[1:4] == [msgspec.json.encode(seat) for seat in seats]
    assert "seats" not in json.loads(parts[0])
    assert parts[4] == msgspec.json.encode(empty), "what names no seat is one part as it stands"


def test_every_part_has_a_salt_of_its_own() -> None:
    first = decode_entry_bytes(encode_entry(entry(d.ClockAdvanced(), d.ClockAdvanced())))
    salts = {leaves.salt(KEY, first, i) for i in range(50)} | {leaves.salt(bytes(32), first, i) for i in range(50)}
    assert len(salts) == 100
    commitments = leaves.leaf(KEY, first, 1)[50:]
    assert commitments[:32] != commitments[32:], "equal parts are not seen to be equal"


def test_the_largest_piece_of_work_has_a_leaf_below_its_limit() -> None:
    seats = [d.SeatRef(order="o" * 64, member="m" * 64, publisher="p" * 64) for _ in range(SEATS_PER_PAGE)]
    pages = [d.GroupExpired(group="g", offer="tea", missing=1, seats=seats)] * 50
    leaf = leaves.leaf(KEY, decode_entry_bytes(encode_entry(entry(*pages))), 1)
    assert len(leaf) < LEAF_MAX_BYTES


def test_hashes_tell_keys_inputs_and_debts_apart() -> None:
    assert leaves.keyed_hash(KEY, b"x") != leaves.keyed_hash(bytes(32), b"x")
    assert leaves.keyed_hash(KEY, b"x") != hash_bytes(b"x")
    assert leaves.key_commitment(KEY) != leaves.key_commitment(bytes(32))
    debts = {refund_id("o", "p"), refund_id("o", "p", of="price_by_size"), refund_id("p", "o"), refund_id("op", "")}
    assert len(debts) == 4
    assert refund_id("o", "p") == refund_id("o", "p")
