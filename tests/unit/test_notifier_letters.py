"""What a record makes the notifier say, and to whom."""

import json
from typing import Any

import msgspec
import pytest

from events import decisions as d
from events.reasons import Fault
from events.record import GENESIS, Entry, decode_record, hash_bytes
from services.bus.journal import FollowedRecord, JournalBroken
from services.notifier.atomic import BATCH_MAX_BYTES, BATCH_MAX_MESSAGES
from services.notifier.channels import Bundle, Letter
from services.notifier.channels.items import ADDRESSEES_MAX, chunks_of, items_of
from services.notifier.letters import LETTER_MAX_BYTES, Mail, gathered, mail_of
from tests.journal_writer import record_of
from tests.notifier_journal import AT_NS, confirmed, expired, knock, refused


def followed(entries: list[Entry]) -> FollowedRecord:
    body = record_of(entries, GENESIS)
    return FollowedRecord(7, AT_NS, hash_bytes(body), body, decode_record(body))


def mail(*entries: Entry) -> Mail:
    return mail_of(followed(list(entries)))


def told(bundle: Bundle) -> list[tuple[str, list[dict[str, Any]]]]:
    """Everything in a bundle: addressee and documents, letter by letter."""
    read = []
    for letter in bundle.letters:
        (documents,) = json.loads(letter.body).values()
        assert len(documents) == letter.tells
        read.append((letter.addressee, documents))
    return read


def test_a_member_gets_all_results_of_a_record_in_one_message() -> None:
    results = dict(told(mail(confirmed(1, 0), confirmed(1, 1, fills=2)).results))
    assert [result["kind"] for result in results["m-1-0"]] == ["seat.confirmed", "group.filled"]
    assert [result["kind"] for result in results["m-1-1"]] == ["seat.confirmed", "group.filled"]
    assert results["m-1-0"][1] | {"order": "o-1-0", "price_minor": 8_000} == results["m-1-0"][1]


def test_a_member_hears_nothing_of_the_others_in_the_group() -> None:
    results = dict(told(mail(confirmed(1, 0), confirmed(1, 1, fills=2)).results))
    assert "m-1-1" not in json.dumps(results["m-1-0"])
    assert "o-1-1" not in json.dumps(results["m-1-0"])


def test_a_publisher_gets_the_outcomes_of_its_own_events_in_one_message() -> None:
    outcomes = told(mail(confirmed(1, 0), refused(2), confirmed(3, publisher="shop-b")).outcomes)
    assert [(name, [document["id"] for document in documents]) for name, documents in outcomes] == [
        ("shop-a", ["e-1-0", "e-2-0"]),
        ("shop-b", ["e-3-0"]),
    ]
    assert outcomes[0][1][1]["kind"] == "refused"


def test_a_deadline_is_news_to_every_publisher_with_a_seat_and_a_result_to_every_member() -> None:
    sorted_mail = mail(expired(5, [("ann", "shop-a"), ("bob", "shop-b"), ("cid", "shop-a")]))
    assert [
        (name, [document["member"] for document in documents]) for name, documents in told(sorted_mail.outcomes)
    ] == [
        ("shop-a", ["ann", "cid"]),
        ("shop-b", ["bob"]),
    ]
    assert [(name, len(documents)) for name, documents in told(sorted_mail.results)] == [
        ("ann", 1),
        ("bob", 1),
        ("cid", 1),
    ]


def test_the_clocks_knock_is_told_to_nobody() -> None:
    knocked = mail(knock(4))
    assert knocked.messages == 0
    assert knocked.unaddressable == 0


def test_a_refusal_is_an_outcome_and_no_result() -> None:
    sorted_mail = mail(refused(2))
    assert not sorted_mail.results.letters
    assert len(sorted_mail.outcomes.letters) == 1


def test_an_event_that_was_not_kept_still_has_its_outcome() -> None:
    malformed = d.Malformed(why=Fault.BAD_TIME, size_bytes=3, keyed_hash="00")
    entry = Entry(seq=9, index=4, part=0, at=AT_NS, publisher="shop-a", decisions=[malformed])
    ((publisher, (document,)),) = told(mail(entry).outcomes)
    assert (publisher, document["kind"], document["entry"]) == ("shop-a", "malformed", "9.4.0")


def test_outcomes_that_do_not_fit_one_message_are_split_in_order() -> None:
    entries = [confirmed(1, index) for index in range(4_000)]
    outcomes = mail(*entries).outcomes
    assert len(outcomes.letters) > 1
    assert all(len(letter.body) <= LETTER_MAX_BYTES + 20 for letter in outcomes.letters)
    ids = [document["id"] for _, documents in told(outcomes) for document in documents]
    assert ids == [f"e-1-{index}" for index in range(4_000)]


def test_the_same_record_always_makes_the_same_letters() -> None:
    record = followed([confirmed(1, 0), confirmed(1, 1, fills=2), expired(2, [("ann", "shop-b"), ("bob", "shop-a")])])
    assert mail_of(record) == mail_of(record)


@pytest.mark.parametrize("name", ["a b", "x.y", "*", ">", "", "line\r\nbreak", "ä", "$position"])
def test_what_cannot_be_a_subject_token_is_left_out_and_counted(name: str) -> None:
    sorted_mail = mail(confirmed(1, 0), expired(2, [(name, "shop-a"), ("bob", name)]))
    assert [letter.addressee for letter in sorted_mail.results.letters] == ["m-1-0", "bob"]
    assert [letter.addressee for letter in sorted_mail.outcomes.letters] == ["shop-a"]
    assert sorted_mail.unaddressable == 2


def test_an_entry_of_a_later_version_stops_instead_of_being_skipped() -> None:
    record = followed([confirmed(1, 0)])
    record.record.entries.append(
        msgspec.Raw(b'{"seq":2,"index":0,"part":0,"at":1,"publisher":"shop-a","decisions":[{"kind":"price.cut"}]}')
    )
    with pytest.raises(JournalBroken, match=r"record 7 holds an entry that this version .* upgrade the notifier"):
        mail_of(record)


def test_letters_that_go_out_together_are_one_for_each_addressee_in_their_order() -> None:
    first, second = mail(confirmed(1, 0), confirmed(1, 1)).results, mail(confirmed(1, 1, fills=2)).results
    together = gathered([*first.letters, *second.letters])
    assert [letter.addressee for letter in together] == ["m-1-0", "m-1-1"]
    before, after = dict(told(first)), dict(told(second))
    assert dict(told(Bundle(8, "", together))) == {
        "m-1-0": before["m-1-0"] + after["m-1-0"],
        "m-1-1": before["m-1-1"] + after["m-1-1"],
    }


def test_letters_that_go_out_together_stay_within_the_limit_of_a_letter() -> None:
    letters = [
        Letter("m", b'{"results":[%b]}' % json.dumps("x" * (LETTER_MAX_BYTES // 3)).encode(), 1) for _ in range(7)
    ]
    together = gathered(letters)
    assert all(len(letter.body) <= LETTER_MAX_BYTES for letter in together)
    assert [letter.tells for letter in together] == [2, 2, 2, 1]
    assert sum(len(json.loads(letter.body)["results"]) for letter in together) == 7


def test_results_and_outcomes_are_never_in_one_letter() -> None:
    with pytest.raises(AssertionError, match="do not mix"):
        gathered([Letter("m", b'{"results":[1]}', 1), Letter("m", b'{"outcomes":[2]}', 1)])


def chunks(letters: list[Letter]) -> list[list[Letter]]:
    bundles = [Bundle(seq, f"{seq:064x}", [letter]) for seq, letter in enumerate(letters, start=1)]
    return [[item.letter for item in chunk] for chunk in chunks_of(items_of(bundles, 0))]


def test_as_many_letters_go_out_together_as_a_batch_has_messages_for_their_addressees() -> None:
    letters = [Letter(f"m-{number // 2}", b'{"results":[1]}', 1) for number in range(3 * ADDRESSEES_MAX)]
    first, second = chunks(letters)
    assert len(gathered(first)) == ADDRESSEES_MAX
    assert len(first) == 2 * ADDRESSEES_MAX
    assert first + second == letters


def test_letters_that_go_out_together_fit_into_a_batch_however_long_those_to_one_member_are() -> None:
    body = b'{"results":[%b]}' % json.dumps("x" * (LETTER_MAX_BYTES * 2 // 3)).encode()
    long = [Letter("m-0", body, 1) for _ in range(BATCH_MAX_BYTES // len(body))]
    letters = [*long, *(Letter(f"m-{number}", b'{"results":[1]}', 1) for number in range(ADDRESSEES_MAX))]
    for chunk in chunks(letters):
        assert sum(len(letter.body) for letter in chunk) <= BATCH_MAX_BYTES
        assert len(gathered(chunk)) <= BATCH_MAX_MESSAGES
