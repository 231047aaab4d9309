"""Reading BeiBei's records and planning what is published of them."""

import json
import lzma
from pathlib import Path

import msgspec
import pytest

from deploy.cli.beibei import (
    EXPECTED,
    LINE_MAX_BYTES,
    Record,
    check_records,
    market_for,
    plan_batches,
    read_records,
)
from deploy.cli.output import CommandError
from events.decode import decode_event, split_message
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS
from events.order import OrderJoinedEvent, OrderPostedEvent
from events.times import NS_PER_S


def _write(tmp_path: Path, text: str | bytes, name: str = "records.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def _planned(text: str, tmp_path: Path, first_seq: int = 2) -> list[dict]:
    batches = plan_batches(read_records(_write(tmp_path, text)), first_seq)
    return [
        {**json.loads(raw), "at": (batch.seq, index)}
        for batch in batches
        for index, raw in enumerate(split_message(batch.body))
    ]


def test_a_line_is_initiator_item_and_participants(tmp_path: Path) -> None:
    path = _write(tmp_path, "15169\t98\n26985\t5267\t46622\t7\n")
    assert list(read_records(path)) == [Record(1, "15169", "98", ()), Record(2, "26985", "5267", ("46622", "7"))]


def test_a_launch_waits_for_one_stranger_and_friends_make_a_group_of_exactly_their_number(tmp_path: Path) -> None:
    launch, friends = read_records(_write(tmp_path, "1\t9\n2\t9\t3\t4\n"))
    assert (launch.is_launch, launch.size, launch.offer) == (True, 2, "i9-s2")
    assert (friends.is_launch, friends.size, friends.offer) == (False, 3, "i9-s3")


@pytest.mark.parametrize("text", ["1\t2", "1\t2\n", "1\t2\r\n"])
def test_a_last_line_ends_as_it_likes(tmp_path: Path, text: str) -> None:
    assert list(read_records(_write(tmp_path, text))) == [Record(1, "1", "2", ())]


def test_an_xz_file_is_read_like_any_other(tmp_path: Path) -> None:
    path = _write(tmp_path, lzma.compress(b"1\t2\n3\t4\n"), "records.txt.xz")
    assert [record.initiator for record in read_records(path)] == ["1", "3"]


def test_the_limit_leaves_the_rest_unread(tmp_path: Path) -> None:
    path = _write(tmp_path, "1\t2\n3\t4\nnonsense\n")
    assert check_records(path, 2) == 2
    with pytest.raises(CommandError, match="line 3"):
        check_records(path)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("1", "'1'; expected initiator"),
        ("1 2", "'1 2'; expected initiator"),
        ("", "empty; expected initiator"),
        ("1\t", "expected initiator"),
        ("1\t2\t", "expected initiator"),
        ("\t2", "expected initiator"),
        ("initiator\titem", "expected initiator"),
        ("1\t2\t-3", "expected initiator"),
        ("1\t2\t3.5", "expected initiator"),
        ("1\t" + "9" * 19, "expected initiator"),
        ("１\t2", "expected initiator"),
        ("1\t2\t1", "member 1 twice"),
        ("1\t2\t3\t4\t3", "member 3 twice"),
        ("13812345678\t2", "phone or identity number"),
        ("1\t2\t" + "\t".join(map(str, range(3, 1004))), "at most 1000"),
        ("1\t2\t" + "3" * LINE_MAX_BYTES, "longer than"),
        (b"\xff\xfe1\t2", "expected initiator"),
    ],
)
def test_a_line_that_is_no_record_is_named_with_what_was_expected(
    tmp_path: Path, bad: str | bytes, complaint: str
) -> None:
    line = bad if isinstance(bad, bytes) else bad.encode()
    path = _write(tmp_path, b"1\t2\n" + line + b"\n5\t6\n")
    with pytest.raises(CommandError, match="line 2 of") as found:
        check_records(path)
    assert complaint in str(found.value)
    assert "expected" in str(found.value)


def test_a_file_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no records") as found:
        check_records(_write(tmp_path, ""))
    assert EXPECTED in str(found.value)


@pytest.mark.parametrize("content", [b"not xz at all", lzma.compress(b"1\t2\n" * 9999)[:-20]])
def test_a_damaged_xz_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CommandError, match=r"no whole \.xz file"):
        check_records(_write(tmp_path, content, "records.xz"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read .*nowhere.*No such file"):
        check_records(tmp_path / "nowhere")


def test_line_i_happens_at_second_i_and_the_clock_never_goes_back(tmp_path: Path) -> None:
    events = _planned("1\t2\n3\t2\n4\t5\t6\n", tmp_path)
    orders = [decode_event(msgspec.json.encode(e))[1] for e in events if e["type"].startswith("groupbuy.order")]
    assert [(at - orders[0]) // NS_PER_S for at in orders] == [0, 1, 2, 2]
    times = [decode_event(msgspec.json.encode(e))[1] for e in events]
    assert times == sorted(times)


def test_an_offer_is_listed_once_before_its_first_order(tmp_path: Path) -> None:
    lines = "".join(f"{i}\t{i % 3}\n" for i in range(2_500))
    events = _planned(lines, tmp_path)
    listed = [e["data"]["offer"] for e in events if e["type"] == "groupbuy.offer.published.v1"]
    assert listed == ["i0-s2", "i1-s2", "i2-s2"]
    seen = set()
    for event in events:
        if event["type"] == "groupbuy.offer.published.v1":
            seen.add(event["data"]["offer"])
        else:
            assert event["data"]["offer"] in seen


def test_friends_name_the_group_by_the_position_of_the_event_that_opens_it(tmp_path: Path) -> None:
    lines = "".join(f"{i}\t7\n{i}\t7\t{i + 10_000}\t{i + 20_000}\n" for i in range(1, 900))
    events = _planned(lines, tmp_path, first_seq=5)
    opened = {}
    for event in events:
        data = event["data"]
        if event["type"] == "groupbuy.order.posted.v1":
            opened[data["order"]] = "g{}-{}".format(*event["at"])
        elif event["type"] == "groupbuy.order.joined.v1":
            assert data["group"] == opened[data["order"].split("-")[0]]


def test_batches_stay_within_their_limits_and_have_one_family_each() -> None:
    big = Record(1, "9" * 18, "8" * 18, tuple(str(10**17 + i) for i in range(999)))
    small = [Record(line, str(line), "1", ()) for line in range(2, 3_000)]
    batches = list(plan_batches([big, *small], 2))
    assert [batch.seq for batch in batches] == list(range(2, 2 + len(batches)))
    for batch in batches:
        raw = split_message(batch.body)
        assert len(raw) == batch.events <= BATCH_MAX_EVENTS
        assert len(batch.body) <= BATCH_MAX_BYTES
        assert {json.loads(event)["type"].split(".")[1] for event in raw} == {batch.family}


def test_launches_take_strangers_and_friends_do_not() -> None:
    launch, friends = Record(1, "1", "9", ()), Record(2, "2", "9", ("3",))
    batch = list(plan_batches([launch, friends], 2))[-1]
    posted, friend, join = (decode_event(raw)[0] for raw in split_message(batch.body))
    assert isinstance(posted, OrderPostedEvent)
    assert (posted.data.lead, posted.data.strangers) == ("if_needed", True)
    assert isinstance(friend, OrderPostedEvent)
    assert (friend.data.lead, friend.data.strangers) == ("always", False)
    assert isinstance(join, OrderJoinedEvent)
    assert (join.data.member, join.data.strangers) == ("m3", False)


def test_nothing_is_paid_through_an_imported_market() -> None:
    configured = market_for(5_000)
    assert configured.clock == "event"
    assert (configured.offer_defaults.hold_s, configured.offer_defaults.group_ttl_s) == (0, 5_000)
