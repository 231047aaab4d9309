"""Every check of the audit finds what it is for, and finds nothing where everything adds up."""

from pathlib import Path

import pytest

from events import decisions as d
from events.reasons import Fault, Reason
from events.record import parse_entry_id
from services.ledger.audit import AuditReport, audit
from services.ledger.audit_accounts import EXAMPLES_MAX, Check
from services.ledger.scratch import SpillMap
from tests import builders as b
from tests.ledger_market import decided_records
from tests.ledger_records import (
    DEADLINE,
    JournalBuilder,
    confirmed,
    expired,
    filled,
    held,
    open_market,
    open_store,
    opened,
    paid_join,
    paid_post,
    paid_with,
    refund_closed,
    refund_due,
    released,
)

TICK = d.ClockAdvanced()
HOUR_S = 3_600


def audited(data: Path, journal: JournalBuilder) -> AuditReport:
    """Archive a journal and audit it."""
    with open_store(data) as store:
        store.append(journal.seal().records)
        return audit(store)


def only(report: AuditReport, check: Check, entry: str, count: int = 1) -> str:
    """The one thing that a report finds, which must be this."""
    found = {name: result.examples for name, result in report.checks.items() if result.faults}
    assert list(found) == [check], found
    assert report.checks[check].faults == count, found
    assert report.checks[check].examples[0].entry == entry, found
    assert not report.clean
    return report.checks[check].examples[0].sentence


def a_filled_group(**offer: object) -> JournalBuilder:
    """Two paid orders fill group g3-0; the next entry is 5.0.0."""
    journal = paid_post(open_market(**offer), "g3-0", "a")
    return paid_join(journal, "g3-0", "b", filled("g3-0", "a", "b"))


def an_expired_group() -> JournalBuilder:
    """A paid order waits for nobody: its group expires before the tick 4.0.1; the next entry is 5.0.0."""
    journal = paid_post(open_market(), "g3-0", "a").wait(HOUR_S)
    return journal.due(expired("g3-0", "a"), refund_due("a")).input(TICK, publisher="matcher")


# Where everything adds up


def test_a_filled_group_adds_up(tmp_path: Path) -> None:
    report = audited(tmp_path, a_filled_group(stock=5))
    assert report.clean
    assert (report.totals.groups_filled, report.totals.payments_honoured) == (1, 2)
    assert (report.entries, report.inputs, report.last_entry) == (4, 4, "4.0.0")
    assert report.checks[Check.PAYMENTS].checked == 2


def test_an_expired_group_with_its_refund_adds_up(tmp_path: Path) -> None:
    journal = an_expired_group().input(refund_closed("a"), event=b.refund_settled("r-a"))
    report = audited(tmp_path, journal)
    assert report.clean
    assert (report.totals.payments_refunded, report.totals.refunds_settled) == (1, 1)


def test_an_empty_ledger_adds_up(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        assert audit(store).clean


@pytest.mark.parametrize("clock", ["broker", "event"])
@pytest.mark.parametrize("taste", ["mixed", "merging"])
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_matcher_decides_adds_up_after_every_record(
    tmp_path: Path, seed: int, taste: str, clock: str
) -> None:
    with open_store(tmp_path) as store:
        for number, record in enumerate(decided_records(seed, 150, clock, taste)):
            store.append([record])
            if number % 7 == 0:
                report = audit(store)
                assert report.clean, (record.seq, [(c, r.examples) for c, r in report.checks.items() if r.faults])
        report = audit(store)
    assert report.clean
    assert report.totals.payments > 20


def test_memory_need_not_hold_what_is_not_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = decided_records(1, 150, "broker", "mixed")
    with open_store(tmp_path) as store:
        store.append(records)
        plenty = audit(store)
        monkeypatch.setattr(SpillMap.__init__, "__defaults__", (2,))
        assert audit(store) == plenty


# Groups


def test_a_seat_too_many_is_found(tmp_path: Path) -> None:
    journal = open_market()
    journal.input(opened("g3-0", "a"), held("g3-0", "a"), event=b.posted("a", "of-a"))
    journal.input(held("g3-0", "b"), event=b.joined("b", "of-b", group="g3-0"))
    journal.input(held("g3-0", "c"), event=b.joined("c", "of-c", group="g3-0"))
    said = only(audited(tmp_path, journal), Check.OVERFILLED_GROUPS, "5.0.0")
    assert said == "group g3-0 has 3 seats taken, its offer allows 2"


def test_units_count_where_the_offer_says_so(tmp_path: Path) -> None:
    journal = open_market(count="units", size=3)
    journal.input(opened("g3-0", "a"), held("g3-0", "a", quantity=2), event=b.posted("a", "of-a", quantity=2))
    journal.input(held("g3-0", "b", quantity=2), event=b.joined("b", "of-b", quantity=2))
    said = only(audited(tmp_path, journal), Check.OVERFILLED_GROUPS, "4.0.0")
    assert "4 seats taken, its offer allows 3" in said


def test_the_size_comes_from_the_markets_defaults_where_the_offer_names_none(tmp_path: Path) -> None:
    journal = JournalBuilder()
    defaults = {"size": 3, "close": "at_deadline", "max_size": 4}
    market = b.market(offer_defaults=defaults)
    journal.input(d.MarketSet(rule_version=1, tzdata="x"), event=market, publisher="operator")
    journal.input(d.OfferListed(offer="tea", edition=1), event=b.offer(size=None))
    for order in "abcde":
        first = [opened("g3-0", order)] if order == "a" else []
        journal.input(*first, held("g3-0", order), event=b.joined(order, f"of-{order}"))
    only(audited(tmp_path, journal), Check.OVERFILLED_GROUPS, "7.0.0")


def test_an_open_group_keeps_the_rules_it_opened_under(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    journal.input(d.OfferListed(offer="tea", edition=2), event=b.offer_changed(size=3))
    journal.input(opened("g5-0", "c"), held("g5-0", "c"), event=b.posted("c", "of-c"))
    journal.input(held("g5-0", "d"), event=b.joined("d", "of-d", group="g5-0"))
    journal.input(held("g5-0", "e"), event=b.joined("e", "of-e", group="g5-0"))
    paid_join(journal, "g3-0", "b", filled("g3-0", "a", "b"))
    assert audited(tmp_path, journal).clean


def test_a_group_open_past_its_deadline_is_found(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a").wait(HOUR_S).input(TICK, publisher="matcher")
    said = only(audited(tmp_path, journal), Check.STUCK_GROUPS, "3.0.0")
    assert said == "group g3-0 is still open, its deadline has passed"


def test_a_group_whose_timer_is_still_due_is_not_stuck(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    journal.input(opened("g4-0", "b"), confirmed("g4-0", "b"), event=b.posted("b", "of-b", payment=paid_with("b")))
    journal.wait(HOUR_S).due(expired("g3-0", "a"), refund_due("a"))
    assert audited(tmp_path, journal).clean


def test_a_group_that_ended_later_than_it_had_to_is_found(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a").wait(HOUR_S).input(TICK, publisher="matcher")
    journal.due(expired("g3-0", "a"), refund_due("a")).input(TICK, publisher="matcher")
    only(audited(tmp_path, journal), Check.STUCK_GROUPS, "5.0.0")


def test_a_full_group_that_is_not_filled_is_found(tmp_path: Path) -> None:
    said = only(
        audited(tmp_path, paid_join(paid_post(open_market(), "g3-0", "a"), "g3-0", "b")), Check.STUCK_GROUPS, "4.0.0"
    )
    assert said == "group g3-0 has 2 confirmed and is not filled"


def test_a_seat_taken_after_the_deadline_is_found(tmp_path: Path) -> None:
    journal = open_market().input(opened("g3-0", "a", deadline=b.T0), held("g3-0", "a"), event=b.posted("a", "of-a"))
    report = audited(tmp_path, journal)
    assert [check for check, result in report.checks.items() if result.faults] == [Check.STUCK_GROUPS]


def test_a_group_that_is_filled_and_expired_is_found(tmp_path: Path) -> None:
    journal = a_filled_group().wait(HOUR_S).due(expired("g3-0")).input(TICK, publisher="matcher")
    said = only(audited(tmp_path, journal), Check.ENDED_TWICE, "5.0.0")
    assert said == "group g3-0 is expired, but was filled before"


def test_a_seat_in_a_group_that_is_over_is_found(tmp_path: Path) -> None:
    journal = a_filled_group().input(held("g3-0", "late"), event=b.joined("late", "of-late", group="g3-0"))
    said = only(audited(tmp_path, journal), Check.OUT_OF_PLACE, "5.0.0")
    assert "group g3-0 is filled, but order late takes a seat" in said


def test_a_page_of_seats_out_of_turn_is_found(tmp_path: Path) -> None:
    journal = paid_join(paid_post(open_market(), "g3-0", "a"), "g3-0", "b", filled("g3-0", "a", pages=3, size=2))
    journal.page(filled("g3-0", "b", page=3, pages=3, size=2))
    only(audited(tmp_path, journal), Check.OUT_OF_PLACE, "4.0.1")


def test_seats_on_pages_still_to_come_are_not_missed(tmp_path: Path) -> None:
    journal = paid_join(paid_post(open_market(), "g3-0", "a"), "g3-0", "b", filled("g3-0", "a", pages=2, size=2))
    report = audited(tmp_path, journal)
    assert report.clean
    assert (report.totals.payments_honoured, report.totals.payments_open) == (1, 1)


def test_a_seat_that_is_not_told_is_found(tmp_path: Path) -> None:
    journal = paid_join(paid_post(open_market(), "g3-0", "a"), "g3-0", "b", filled("g3-0", "a", size=2))
    only(audited(tmp_path, journal), Check.PAYMENTS, "4.0.0")


def test_merged_seats_are_counted_where_they_moved_to(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    journal.input(
        opened("g4-0", "b", deadline=DEADLINE + 1),
        confirmed("g4-0", "b"),
        event=b.posted("b", "of-b", payment=paid_with("b")),
    )
    journal.wait(HOUR_S).due(d.GroupMerged(group="g4-0", into="g3-0", seats=1), filled("g3-0", "a", "b", cause="merge"))
    journal.input(TICK, publisher="matcher")
    report = audited(tmp_path, journal)
    assert report.clean
    assert (report.totals.groups_merged, report.totals.payments_honoured) == (1, 2)


# Money


def test_a_payment_of_an_expired_group_that_is_not_refunded_is_found(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a").wait(HOUR_S)
    journal.due(expired("g3-0", "a")).input(TICK, publisher="matcher")
    said = only(audited(tmp_path, journal), Check.PAYMENTS, "3.0.0")
    assert "payment pay-a of order a" in said
    assert "due back is 0" in said


@pytest.mark.parametrize("event", [b.paid("a", payment="pay-a"), b.paid("nobody", payment="pay-x")])
def test_a_payment_that_leads_to_nothing_is_found(tmp_path: Path, event: b.JsonEvent) -> None:
    journal = open_market().input(opened("g3-0", "a"), held("g3-0", "a"), event=b.posted("a", "of-a"))
    journal.input(d.Refused(reason=Reason.ORDER_UNKNOWN), event=event)
    only(audited(tmp_path, journal), Check.PAYMENTS, "4.0.0")


def test_a_late_wrong_or_second_payment_must_go_back(tmp_path: Path) -> None:
    journal = open_market().input(opened("g3-0", "a"), held("g3-0", "a"), event=b.posted("a", "of-a"))
    wrong = refund_due("a", "r-1", 7_000, payment="pay-1", cause="wrong_amount")
    journal.input(wrong, event=b.paid("a", 7_000, payment="pay-1"))
    journal.input(confirmed("g3-0", "a"), event=b.paid("a", payment="pay-a"))
    second = refund_due("a", "r-2", payment="pay-2", cause="second_payment")
    journal.input(second, event=b.paid("a", payment="pay-2"))
    unknown = refund_due("x", "r-3", 100, cause="unknown_order")
    journal.input(unknown, event=b.paid("x", 100, payment="pay-x"))
    report = audited(tmp_path, journal)
    assert report.clean
    assert (report.totals.payments_refunded, report.totals.payments_open) == (3, 1)


def test_a_repeated_report_of_a_known_payment_is_no_second_payment(tmp_path: Path) -> None:
    journal = a_filled_group().input(d.Refused(reason=Reason.PAYMENT_KNOWN), event=b.paid("a", payment="pay-a"))
    journal.input(d.Duplicate(of="3.0.0", original="seat.confirmed"), event=b.posted("a", payment=paid_with("a")))
    assert audited(tmp_path, journal).clean


def test_a_payment_that_counts_as_known_but_is_not_is_found(tmp_path: Path) -> None:
    journal = a_filled_group().input(d.Refused(reason=Reason.PAYMENT_KNOWN), event=b.paid("a", payment="pay-other"))
    only(audited(tmp_path, journal), Check.PAYMENTS, "5.0.0")


@pytest.mark.parametrize("reason", [Reason.WRONG_FAMILY, Reason.PUBLISHER_NOT_ALLOWED])
def test_whoever_has_no_right_to_speak_of_money_is_owed_none(tmp_path: Path, reason: Reason) -> None:
    journal = open_market().input(d.Refused(reason=reason), event=b.paid("a", payment="pay-a"))
    assert audited(tmp_path, journal).clean


def test_a_filled_group_keeps_the_price_and_owes_the_rest(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    rest = [refund_due(o, f"r-{o}-price", 1_000, cause="price_by_size", group="g3-0") for o in ("a", "b")]
    paid_join(journal, "g3-0", "b", filled("g3-0", "a", "b", price_minor=7_000), *rest)
    assert audited(tmp_path / "whole", journal).clean
    journal = paid_post(open_market(), "g3-0", "a")
    paid_join(journal, "g3-0", "b", filled("g3-0", "a", "b", price_minor=7_000), rest[0])
    only(audited(tmp_path / "half", journal), Check.PAYMENTS, "4.0.0")


def test_a_member_who_cancels_after_the_fill_is_refunded(tmp_path: Path) -> None:
    back = refund_due("a", cause="cancelled", group="g3-0")
    journal = a_filled_group(stock=2).input(released("g3-0", "a", "cancelled"), back, event=b.cancelled("a"))
    assert audited(tmp_path / "back", journal).clean
    journal = a_filled_group().input(released("g3-0", "a", "cancelled"), event=b.cancelled("a"))
    only(audited(tmp_path / "kept", journal), Check.PAYMENTS, "3.0.0")


def test_a_refund_that_is_due_twice_is_found(tmp_path: Path) -> None:
    report = audited(tmp_path, an_expired_group().due(refund_due("a")).input(TICK, publisher="matcher"))
    assert report.checks[Check.DOUBLE_REFUNDS].faults == 1
    assert report.checks[Check.DOUBLE_REFUNDS].examples[0].entry == "5.0.0"
    assert report.checks[Check.REFUND_AMOUNTS].faults == 1


@pytest.mark.parametrize("waited_s", [30 * 24 * HOUR_S, 30 * 24 * HOUR_S + 1])
def test_a_settled_refund_may_be_told_again_under_its_name_only_once_it_may_be_forgotten(
    tmp_path: Path, waited_s: int
) -> None:
    journal = an_expired_group().input(refund_closed("a"), event=b.refund_settled("r-a")).wait(waited_s)
    report = audited(tmp_path, journal.due(refund_due("a")).input(TICK, publisher="matcher"))
    is_late = waited_s > 30 * 24 * HOUR_S
    assert report.checks[Check.DOUBLE_REFUNDS].faults == (0 if is_late else 1)
    assert report.totals.refunds_told_again == (1 if is_late else 0)
    assert report.clean == is_late


@pytest.mark.parametrize("late_s", [30 * 24 * HOUR_S - 300, 30 * 24 * HOUR_S - 299])
def test_money_of_an_order_told_too_late_is_owed_back_as_long_as_the_order_would_be_known(
    tmp_path: Path, late_s: int
) -> None:
    journal = open_market()
    told = b.encode(b.posted("a", "of-a", payment=paid_with("a")), journal.at_ns)
    journal = journal.wait(late_s).input(d.Refused(reason=Reason.TOO_OLD), event=told)
    report = audited(tmp_path, journal)
    assert report.clean == (late_s > 30 * 24 * HOUR_S - 300)
    assert report.checks[Check.PAYMENTS].faults == (0 if report.clean else 1)


def test_a_second_refund_under_another_name_is_found(tmp_path: Path) -> None:
    report = audited(tmp_path, an_expired_group().due(refund_due("a", "r-again")).input(TICK, publisher="matcher"))
    assert report.checks[Check.REFUND_AMOUNTS].examples[0].entry == "5.0.0"
    assert report.checks[Check.PAYMENTS].faults == 1


def test_a_refund_settled_twice_is_found(tmp_path: Path) -> None:
    journal = an_expired_group().input(refund_closed("a", "failed"), event=b.refund_failed("r-a"))
    journal.input(refund_closed("a"), event=b.refund_settled("r-a"))
    journal.input(refund_closed("a"), event=b.refund_settled("r-a"))
    only(audited(tmp_path, journal), Check.DOUBLE_REFUNDS, "7.0.0")


def test_a_refund_above_the_payment_is_found(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a").wait(HOUR_S)
    journal.due(expired("g3-0", "a"), refund_due("a", amount_minor=8_001)).input(TICK, publisher="matcher")
    report = audited(tmp_path, journal)
    assert report.checks[Check.REFUND_AMOUNTS].examples[0].entry == "4.0.0"


def test_a_refund_of_a_payment_that_nobody_made_is_found(tmp_path: Path) -> None:
    journal = open_market().due(refund_due("ghost")).input(TICK, publisher="matcher")
    only(audited(tmp_path, journal), Check.REFUND_AMOUNTS, "3.0.0")


def test_an_answer_to_a_refund_that_was_never_due_is_found(tmp_path: Path) -> None:
    journal = open_market().input(refund_closed("ghost"), event=b.refund_settled("r-ghost"))
    only(audited(tmp_path, journal), Check.OUT_OF_PLACE, "3.0.0")


# Stock


def test_stock_sold_below_zero_is_found(tmp_path: Path) -> None:
    said = only(audited(tmp_path, a_filled_group(stock=1)), Check.STOCK, "4.0.0")
    assert said == "offer tea has -1 in stock"


def test_stock_comes_back_with_seats_that_end(tmp_path: Path) -> None:
    journal = paid_post(open_market(stock=1), "g3-0", "a").wait(HOUR_S)
    journal.due(expired("g3-0", "a"), refund_due("a")).input(TICK, publisher="matcher")
    late = opened("g5-0", "b", deadline=DEADLINE + HOUR_S * b.S)
    journal.input(late, held("g5-0", "b"), event=b.posted("b", "of-b"))
    assert audited(tmp_path / "expired", journal).clean
    journal = paid_post(open_market(stock=1), "g3-0", "a")
    journal.input(released("g3-0", "a"), refund_due("a", cause="withdrawn"), event=b.withdrawn("a"))
    journal.input(held("g3-0", "c"), event=b.joined("c", "of-c", group="g3-0"))
    assert audited(tmp_path / "withdrawn", journal).clean


def test_each_variant_has_a_stock_of_its_own(tmp_path: Path) -> None:
    journal = open_market(skus={"red": 1, "blue": 1})
    journal.input(opened("g3-0", "a"), held("g3-0", "a", sku="red"), event=b.posted("a", "of-a", sku="red"))
    journal.input(held("g3-0", "a", sku="blue"), event=b.order_changed("a", sku="blue"))
    journal.input(opened("g5-0", "b"), held("g5-0", "b", sku="blue"), event=b.posted("b", "of-b", sku="blue"))
    said = only(audited(tmp_path, journal), Check.STOCK, "5.0.0")
    assert "-1 of blue" in said


def test_a_stock_listed_otherwise_than_counted_is_found(tmp_path: Path) -> None:
    journal = paid_post(open_market(stock=5), "g3-0", "a")
    journal.input(d.OfferListed(offer="tea", edition=1, stock={"": 9}), event=b.offer_stocked(3))
    said = only(audited(tmp_path, journal), Check.STOCK, "4.0.0")
    assert "listed with stock {'': 9}, counted was {'': 7}" in said


# Inputs


def test_timer_work_without_the_outcome_that_it_preceded_is_found(tmp_path: Path) -> None:
    journal = open_market().due(TICK)
    journal.message(1).input(TICK, publisher="matcher")
    only(audited(tmp_path, journal), Check.NO_OUTCOME, "3.0.0")


def test_an_entry_that_decides_nothing_is_no_outcome(tmp_path: Path) -> None:
    journal = open_market().input(event=b.posted("a", payment=paid_with("a"))).input(TICK)
    only(audited(tmp_path, journal), Check.NO_OUTCOME, "3.0.0")


def test_an_input_that_is_still_being_decided_is_not_missed(tmp_path: Path) -> None:
    assert audited(tmp_path, open_market().due(TICK)).clean


def test_inputs_before_the_first_entry_are_missed(tmp_path: Path) -> None:
    journal = JournalBuilder().skip(3).input(TICK, publisher="matcher")
    said = only(audited(tmp_path, journal), Check.NO_OUTCOME, "4.0.0", count=3)
    assert "before 4.0" in said


def test_a_second_outcome_of_one_input_is_found(tmp_path: Path) -> None:
    journal = open_market().input(TICK, publisher="matcher").input(TICK, publisher="matcher")
    assert audited(tmp_path / "two-inputs", journal).clean
    journal = open_market().input(TICK, publisher="matcher")
    journal.again(d.Refused(reason=Reason.ORDER_UNKNOWN))
    only(audited(tmp_path / "one-input", journal), Check.TWO_OUTCOMES, "3.0.1")


def test_what_cannot_be_read_has_an_outcome_too(tmp_path: Path) -> None:
    malformed = d.Malformed(why=Fault.NOT_JSON, size_bytes=3, keyed_hash="0" * 64)
    assert audited(tmp_path, open_market().input(malformed).input(malformed)).clean


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("2.0.7", "does not exist"),
        ("2.5.0", "does not exist"),
        ("99.0.0", "does not come before it"),
        ("3.0.0", "does not come before it"),
        ("nonsense", "no entry's name"),
    ],
)
def test_a_duplicate_of_nothing_is_found(tmp_path: Path, of: str, said: str) -> None:
    journal = open_market().seal().input(d.Duplicate(of=of, original="offer.listed"), event=b.offer("tea"))
    assert said in only(audited(tmp_path, journal), Check.DUPLICATES, "3.0.0")


def test_a_duplicate_of_an_entry_in_any_record_is_right(tmp_path: Path) -> None:
    journal = open_market().seal().message(3).input(TICK).input(TICK).input(TICK).seal()
    for of in ("3.2.0", "1.0.0", "3.0.0", "2.0.0", "3.2.0"):
        journal.input(d.Duplicate(of=of, original="clock.advanced")).seal()
    journal.input(TICK)
    report = audited(tmp_path, journal)
    assert report.clean
    assert report.checks[Check.DUPLICATES].checked == 5


def test_of_many_faults_the_first_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    journal = open_market()
    for number in range(3 * EXAMPLES_MAX):
        journal.due(refund_due(f"ghost-{number}"))
        journal.input(TICK, publisher="matcher")
    result = audited(tmp_path, journal).checks[Check.REFUND_AMOUNTS]
    assert (result.faults, len(result.examples)) == (3 * EXAMPLES_MAX, EXAMPLES_MAX)
    assert [parse_entry_id(example.entry)[0] for example in result.examples] == list(range(3, 3 + EXAMPLES_MAX))
