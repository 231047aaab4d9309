"""Who is told what of an entry: everybody of the own, nobody of another's."""

import json
from typing import Any

import msgspec
import pytest

from events import decisions as d
from events.outcomes import news_of, outcome_of, results_of
from events.reasons import Fault, Reason
from events.record import Entry

AT_NS = 1_795_428_000_125_000_250
EVENT = msgspec.Raw(b'{"id":"e-1","source":"//shop-a/orders","time":"2026-11-23T10:00:00Z","data":{}}')
SEATS = [
    d.SeatRef(order="a-1", member="ma-1", publisher="shop-a", price_minor=1990),
    d.SeatRef(order="b-1", member="mb-1", publisher="shop-b", quantity=2, price_minor=3980),
    d.SeatRef(order="a-2", member="ma-2", publisher="shop-a", price_minor=1990),
]
ACT: Any = {"actor": "cs-7", "reason": "wrong_item", "ticket": "T-1"}
INTERNAL = {"publisher", "actor", "ticket", "page", "pages", "seats", "promoted"}

OPENED = d.GroupOpened(group="g7-0", offer="tea", edition=1, order="a-1", member="ma-1", deadline=AT_NS + 1)
HELD = d.SeatHeld(
    group="g7-0",
    order="a-1",
    member="ma-1",
    offer="tea",
    payable_minor=1990,
    currency="CNY",
    hold_until=AT_NS + 1,
    publisher="shop-a",
)
CONFIRMED = d.SeatConfirmed(
    group="g7-0", order="a-1", member="ma-1", offer="tea", payable_minor=1990, currency="CNY", publisher="shop-a"
)
FILLED = d.GroupFilled(group="g7-0", offer="tea", cause="target", size=4, pages=2, seats=SEATS)


def released(order: str, publisher: str, cause: Any = "hold_ended", **fields: Any) -> d.SeatReleased:
    return d.SeatReleased(group="g7-0", order=order, member=f"m{order}", cause=cause, publisher=publisher, **fields)


def refund(order: str, publisher: str) -> d.RefundDue:
    return d.RefundDue(
        refund=f"r-{order}",
        order=order,
        payment=f"p-{order}",
        amount_minor=1990,
        currency="CNY",
        cause="price_by_size",
        publisher=publisher,
        member=f"m{order}",
    )


def entry(*decisions: d.AnyDecision, publisher: str | None = "shop-a", event: msgspec.Raw | None = EVENT) -> Entry:
    return Entry(seq=7, index=0, part=0, at=AT_NS, publisher=publisher, event=event, decisions=list(decisions))


def told(documents: Any, addressee: str) -> list[dict[str, Any]]:
    return [document for name, document in documents if name == addressee]


EVERYTHING = entry(
    CONFIRMED,
    released("b-2", "shop-b"),
    FILLED,
    refund("a-1", "shop-a"),
    refund("b-1", "shop-b"),
    refund("a-2", "shop-a"),
)
"""An order of shop-a fills a group in which members of two shops sit."""

DISSOLVED = entry(
    d.GroupDissolved(group="g7-0", offer="tea", cause="customer_service", seats=SEATS, **ACT),
    refund("a-1", "shop-a"),
    refund("b-1", "shop-b"),
    publisher="operator",
)
WITHDRAWN = entry(released("a-1", "shop-a", "withdrawn", promoted="b-1", **ACT), refund("a-1", "shop-a"))
ALL = [
    EVERYTHING,
    DISSOLVED,
    WITHDRAWN,
    entry(OPENED, HELD),
    entry(
        d.GroupExpired(group="g7-0", offer="tea", missing=1, page=2, pages=2, seats=SEATS), publisher=None, event=None
    ),
]


def test_the_outcome_is_that_of_the_seat_rather_than_of_the_group_opened_for_it() -> None:
    outcome = outcome_of(entry(OPENED, HELD))
    assert outcome["kind"] == "seat.held"
    assert outcome["order"] == "a-1"
    assert outcome["payable_minor"] == 1990
    assert [also["kind"] for also in outcome["also"]] == ["group.opened"]


def test_the_outcome_names_the_event_the_entry_and_the_time() -> None:
    outcome = outcome_of(entry(HELD))
    assert list(outcome)[:4] == ["id", "source", "entry", "at"]
    assert (outcome["id"], outcome["source"], outcome["entry"], outcome["at"]) == (
        "e-1",
        "//shop-a/orders",
        "7.0.0",
        AT_NS,
    )
    assert "also" not in outcome


def test_an_input_that_was_not_kept_is_named_by_what_the_asker_called_it() -> None:
    malformed = entry(d.Malformed(why=Fault.NOT_JSON, size_bytes=3, keyed_hash="0" * 64), event=None)
    assert outcome_of(malformed, "e-9")["id"] == "e-9"
    assert outcome_of(malformed)["id"] == ""
    assert outcome_of(malformed)["why"] == "not_json"


def test_a_refusal_with_money_owed_answers_with_the_refusal() -> None:
    outcome = outcome_of(entry(d.Refused(reason=Reason.OUT_OF_STOCK), refund("a-1", "shop-a")))
    assert (outcome["kind"], outcome["reason"]) == ("refused", "out_of_stock")
    assert [also["kind"] for also in outcome["also"]] == ["refund.due"]


def test_a_hold_that_ended_on_the_way_is_not_the_answer() -> None:
    completed = d.GroupFilled(group="g7-0", offer="tea", cause="completed", size=2, seats=SEATS, **ACT)
    assert outcome_of(entry(released("a-9", "shop-a"), completed, publisher="operator"))["kind"] == "group.filled"
    assert outcome_of(entry(released("a-9", "shop-a")))["kind"] == "seat.released"


def test_a_publisher_never_sees_another_publishers_order() -> None:
    for one in ALL:
        documents = [("shop-a", outcome_of(one))] if one.publisher == "shop-a" else []
        documents += [(name, document) for name, document in news_of(one) if name.startswith("shop-")]
        for name, document in documents:
            text = json.dumps(document)
            others = "b" if name == "shop-a" else "a"
            assert f'"{others}-' not in text
            assert f'"m{others}-' not in text
            assert f'"p-{others}-' not in text


def test_a_publisher_never_sees_the_list_of_seats() -> None:
    for one in ALL:
        for document in [outcome_of(one) if one.publisher else {}, *(document for _, document in news_of(one))]:
            assert not [inner for inner in [document, *document.get("also", [])] if "seats" in inner]


def test_an_own_order_that_something_else_touched_is_in_the_answer_or_the_news_but_not_in_both() -> None:
    answer = outcome_of(EVERYTHING)
    assert [also["kind"] for also in answer["also"]] == ["group.filled", "refund.due", "refund.due"]
    assert [also.get("order") for also in answer["also"]] == [None, "a-1", "a-2"]
    news = told(news_of(EVERYTHING), "shop-a")
    assert [(x["kind"], x["order"]) for x in news] == [("group.filled", "a-1"), ("group.filled", "a-2")]
    elsewhere = told(news_of(EVERYTHING), "shop-b")
    assert [(x["kind"], x["order"]) for x in elsewhere] == [
        ("seat.released", "b-2"),
        ("group.filled", "b-1"),
        ("refund.due", "b-1"),
    ]


def test_who_names_anothers_order_is_answered_about_that_one_and_its_owner_hears_of_it() -> None:
    paid = entry(CONFIRMED, refund("b-1", "shop-b"), publisher="pay")
    answer = outcome_of(paid)
    assert (answer["kind"], answer["order"]) == ("seat.confirmed", "a-1")
    assert "also" not in answer
    assert [x["kind"] for x in told(news_of(paid), "shop-a")] == ["seat.confirmed"]
    late = entry(refund("a-1", "shop-a"), released("a-1", "shop-a", "late_payment"), publisher="pay")
    assert [also["kind"] for also in outcome_of(late)["also"]] == ["seat.released"]


def test_timer_work_is_news_to_every_publisher_of_a_seat() -> None:
    expired = ALL[-1]
    assert [(name, x["order"]) for name, x in news_of(expired)] == [
        ("shop-a", "a-1"),
        ("shop-b", "b-1"),
        ("shop-a", "a-2"),
    ]
    with pytest.raises(AssertionError):
        outcome_of(expired)


def test_a_settled_refund_is_told_to_the_orders_publisher_and_member_where_they_are_known() -> None:
    closed: Any = {"refund": "r-1", "status": "settled", "order": "a-1", "amount_minor": 5, "currency": "CNY"}
    known = entry(d.RefundClosed(**closed, publisher="shop-a", member="ma-1"), publisher="pay")
    assert [x["kind"] for x in told(news_of(known), "shop-a")] == ["refund.closed"]
    assert [x["kind"] for x in told(results_of(known), "ma-1")] == ["refund.closed"]
    unknown = entry(d.RefundClosed(**closed), publisher="pay")
    assert not list(news_of(unknown))
    assert not list(results_of(unknown))
    assert outcome_of(unknown)["status"] == "settled"


def test_a_member_is_told_only_of_the_own_seat() -> None:
    for one in ALL:
        for member, document in results_of(one):
            assert document["member"] == member
            text = json.dumps(document)
            for other in ("ma-1", "ma-2", "mb-1", "mb-2"):
                assert other == member or f'"{other}"' not in text
                assert other == member or f'"{other.removeprefix("m")}"' not in text


def test_a_members_result_never_contains_internal_fields() -> None:
    for one in ALL:
        for _, document in results_of(one):
            assert not document.keys() & INTERNAL


def test_a_member_is_told_what_the_seat_cost_and_what_comes_back() -> None:
    results = told(results_of(EVERYTHING), "mb-1")
    assert [(x["kind"], x["order"]) for x in results] == [("group.filled", "b-1"), ("refund.due", "b-1")]
    assert (results[0]["quantity"], results[0]["price_minor"]) == (2, 3980)
    assert results[1]["amount_minor"] == 1990


def test_nothing_is_told_of_what_concerns_nobody() -> None:
    listed = entry(d.OfferListed(offer="tea", edition=1))
    assert not list(news_of(listed))
    assert not list(results_of(listed))
    unknown = entry(
        d.RefundDue(
            refund="r-1",
            order="x",
            payment="p",
            amount_minor=1,
            currency="CNY",
            cause="unknown_order",
            publisher="shop-a",
        )
    )
    assert not list(results_of(unknown))


def test_the_seats_that_a_merge_moved_are_counted_but_not_named() -> None:
    merged = entry(d.GroupMerged(group="g8-0", into="g7-0", seats=1), publisher="shop-a")
    assert outcome_of(merged)["seats"] == 1
