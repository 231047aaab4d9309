"""Outcomes in a line that a person can read."""

from deploy.cli.describe import describe
from events.money import amount


def test_money_is_shown_in_the_currencys_own_digits() -> None:
    assert [amount(990, "CNY"), amount(5, "USD"), amount(990, "JPY"), amount(1234, "KWD")] == [
        "9.90 CNY",
        "0.05 USD",
        "990 JPY",
        "1.234 KWD",
    ]


def test_a_held_seat_says_what_is_to_be_paid_until_when() -> None:
    line = describe(
        {
            "kind": "seat.held",
            "group": "g3-0",
            "order": "o-1",
            "member": "alice",
            "offer": "tea",
            "payable_minor": 990,
            "currency": "CNY",
            "hold_until": 1_700_000_000_000_000_000,
        }
    )
    assert line == (
        "seat.held: offer tea order o-1 member alice group g3-0 9.90 CNY to pay until 2023-11-14 22:13:20.000Z"
    )


def test_a_refusal_comes_with_its_sentence() -> None:
    assert (
        describe({"kind": "refused", "reason": "out_of_stock"}) == "refused: out_of_stock - Too little stock is left."
    )


def test_a_malformed_input_comes_with_its_sentence_and_where() -> None:
    line = describe({"kind": "malformed", "why": "not_json", "detail": "at byte 3", "size_bytes": 9})
    assert line == "malformed: not_json - The bytes are not one JSON value. (at byte 3)"


def test_a_customer_services_own_reason_is_shown_as_it_is() -> None:
    line = describe({"kind": "group.dissolved", "group": "g1-0", "cause": "customer_service", "reason": "fraud"})
    assert line == "group.dissolved: group g1-0 because of customer_service reason fraud"


def test_everything_that_an_event_brought_about_stands_in_its_line() -> None:
    line = describe({"kind": "seat.confirmed", "order": "o-2", "also": [{"kind": "group.filled", "group": "g1-0"}]})
    assert line == "seat.confirmed: order o-2; group.filled: group g1-0"
