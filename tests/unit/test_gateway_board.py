import json
from typing import Any

import msgspec

from events import decisions as d
from events.record import GENESIS, Entry, decode_record, hash_bytes
from services.bus.journal import FollowedRecord
from services.matcher.gateway.answers import Code, Refusal, busy, pending, unavailable
from services.matcher.gateway.board import RECENT_MAX_RECORDS, Board, Sent
from services.matcher.gateway.gather import compose
from services.matcher.gateway.request import Request
from services.matcher.gateway.splice import Item
from tests.journal_writer import AT_NS, record_of, ticked


class Asker:
    """Whoever waits for an answer."""

    def __init__(self, events: int = 1) -> None:
        self.answers: list[bytes | Refusal] = []
        self.request = Request(events, 100, 0.0, self.answers.append)

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        (answer,) = self.answers
        assert isinstance(answer, bytes)
        return list(json.loads(answer)["outcomes"])

    @property
    def code(self) -> Code:
        (answer,) = self.answers
        assert isinstance(answer, Refusal)
        return answer.error.code


def sent(*places: tuple[Asker, int, str]) -> Sent:
    return Sent([(asker.request, place, event_id) for asker, place, event_id in places], 0.0, 100.0)


def noted(seq: int, index: int, event_id: str | None, part: int = 0) -> Entry:
    event = None if event_id is None else msgspec.Raw(json.dumps({"id": event_id, "source": "/s"}).encode())
    decision: d.AnyDecision = d.MemberNoted(member="m")
    if event is None:
        decision = d.Malformed(why="not_json", size_bytes=1, keyed_hash="0" * 64)  # type: ignore[arg-type]  # as read
    return Entry(seq=seq, index=index, part=part, at=AT_NS, publisher="shop-a", event=event, decisions=[decision])


def timer_work(seq: int, index: int, part: int) -> Entry:
    return Entry(seq=seq, index=index, part=part, at=AT_NS, decisions=[d.ClockAdvanced()])


def followed(*entries: Entry) -> FollowedRecord:
    body = record_of(list(entries), GENESIS)
    return FollowedRecord(1, AT_NS, hash_bytes(body), body, decode_record(body))


def test_each_event_of_a_message_answers_its_own_request() -> None:
    board, one, two = Board(), Asker(), Asker(2)
    assert board.expect(7, sent((one, 0, "a"), (two, 0, "b"), (two, 1, "c"))) == []
    settled = board.note([followed(noted(7, 0, "a"), noted(7, 1, "b"))])
    assert settled == [one.request]
    assert [outcome["id"] for outcome in one.outcomes] == ["a"]
    assert two.answers == []
    assert board.note([followed(noted(7, 2, "c"))]) == [two.request]
    assert [(outcome["id"], outcome["entry"]) for outcome in two.outcomes] == [("b", "7.1.0"), ("c", "7.2.0")]


def test_what_others_published_answers_nobody() -> None:
    board, one = Board(), Asker()
    board.expect(7, sent((one, 0, "a")))
    assert board.note([followed(noted(5, 0, "x"), noted(6, 0, "y"), ticked(8))]) == []
    assert one.answers == []


def test_work_of_timers_at_the_same_position_is_no_outcome() -> None:
    board, one = Board(), Asker()
    board.expect(7, sent((one, 0, "a")))
    board.note([followed(timer_work(7, 0, 0), timer_work(7, 0, 1), noted(7, 0, "a", part=2), timer_work(7, 0, 3))])
    assert one.outcomes[0]["entry"] == "7.0.2"


def test_an_outcome_that_overtakes_the_acknowledgement_is_found() -> None:
    board, one = Board(), Asker()
    board.note([followed(noted(6, 0, "x"), noted(7, 0, "a")), followed(noted(7, 1, "b"), noted(8, 0, "z"))])
    two = Asker()
    assert board.expect(7, sent((one, 0, "a"), (two, 0, "b"))) == [one.request, two.request]


def test_a_malformed_event_is_told_under_the_id_it_claimed() -> None:
    board, one = Board(), Asker()
    board.expect(7, sent((one, 0, "claimed")))
    board.note([followed(noted(7, 0, None))])
    assert one.outcomes[0]["id"] == "claimed"
    assert one.outcomes[0]["kind"] == "malformed"


def test_more_entries_than_events_disturb_nobody() -> None:
    board, one = Board(), Asker()
    board.expect(7, sent((one, 0, "a")))
    board.note([followed(noted(7, 1, "stranger"), noted(7, 0, "a"), noted(7, 2, "stranger"))])
    assert one.outcomes[0]["id"] == "a"


def test_the_memory_of_recent_records_is_bounded() -> None:
    board = Board()
    board.note([followed(noted(seq, 0, "a")) for seq in range(1, 3 * RECENT_MAX_RECORDS)])
    assert len(board._recent) == RECENT_MAX_RECORDS


def test_what_has_waited_too_long_is_forgotten() -> None:
    board, one = Board(), Asker()
    board.expect(7, sent((one, 0, "a")))
    board.forget_until(50.0)
    assert board.oldest_wait_s > 0
    board.forget_until(101.0)
    assert board.oldest_wait_s == 0
    assert board.note([followed(noted(7, 0, "a"))]) == []


def test_a_request_is_answered_once() -> None:
    one = Asker()
    assert one.request.note_outcome(0, b"{}")
    assert not one.request.note_outcome(0, b"{}")
    assert not one.request.fail(busy("full"))
    assert not one.request.expire()
    assert len(one.answers) == 1


def test_a_refusal_of_the_whole_request_is_passed_on() -> None:
    one = Asker()
    one.request.messages = 1
    assert one.request.fail(busy("full"))
    assert one.code is Code.BUSY


def test_a_refusal_of_a_part_is_pending_since_the_rest_may_be_stored() -> None:
    one = Asker(2)
    one.request.messages = 2
    one.request.fail(busy("full"))
    assert one.code is Code.PENDING
    other = Asker(2)
    other.request.messages, other.request.intake = 1, 12
    other.request.fail(unavailable("down"))
    assert other.code is Code.PENDING


def test_an_expired_request_says_whether_anything_was_published() -> None:
    never_taken = Asker()
    never_taken.request.expire()
    assert never_taken.code is Code.UNAVAILABLE
    stored = Asker()
    stored.request.messages, stored.request.intake = 1, 12
    stored.request.expire()
    (answer,) = stored.answers
    assert isinstance(answer, Refusal)
    assert answer.error == pending(12).error
    assert "intake message 12" in answer.error.message


def test_a_message_of_one_object_is_that_object_and_of_more_an_array() -> None:
    assert compose([Item(b"{}")]) == b"{}"
    assert compose([Item(b"{}"), Item(b"5")]) == b"[{},5]"
    assert compose([Item(b"[1]")]) == b"[[1]]"
    assert compose([Item(b"[1", alone=True)]) == b"[1"
    assert compose([Item(b"", alone=True)]) == b""
