"""What the ledger shows of groups, orders, members and refunds, and as of when."""

from pathlib import Path

import msgspec
import pytest

from events import decisions as d
from events.times import format_time_ns
from services.ledger.faults import BadQuestion, NotFound
from services.ledger.history import END, Until, parse_until
from services.ledger.refunds import RefundState, refunds
from services.ledger.replay import GroupState, replay_group
from services.ledger.show import show
from services.ledger.store import LedgerStore
from services.matcher.domain import state as rules
from tests import builders as b
from tests.ledger_market import DecidedJournal
from tests.ledger_records import (
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
T0 = b.T0


@pytest.fixture
def store(tmp_path: Path) -> LedgerStore:
    """A ledger with the story of group g3-0, minute by minute, a record each."""
    store = open_store(tmp_path)
    store.append(story().records)
    return store


def story() -> JournalBuilder:
    """Opened 3.0.0, held 4.0.0, paid 5.0.0, left 6.0.0, held 7.0.0, expired before 8.0.1, refund failed and settled."""
    journal = open_market().seal()
    paid_post(journal.wait(60), "g3-0", "a").seal()
    journal.wait(60).input(held("g3-0", "b"), event=b.joined("b", "of-b", group="g3-0")).seal()
    journal.wait(60).input(confirmed("g3-0", "b"), event=b.paid("b", payment="pay-b")).seal()
    left = refund_due("b", cause="withdrawn", group="g3-0")
    journal.wait(60).input(released("g3-0", "b"), left, event=b.withdrawn("b")).seal()
    journal.wait(60).input(held("g3-0", "c"), event=b.joined("c", "of-c", group="g3-0")).seal()
    journal.wait(3_600).due(released("g3-0", "c", "hold_ended"))
    journal.due(expired("g3-0", "a"), refund_due("a", group="g3-0")).input(TICK, publisher="matcher").seal()
    journal.wait(60).input(refund_closed("a", "failed"), event=b.refund_failed("r-a")).seal()
    return journal.wait(60).input(refund_closed("a"), event=b.refund_settled("r-a")).seal()


def state_at(store: LedgerStore, until: str) -> GroupState:
    return replay_group(store, "g3-0", parse_until(until))


# show


def test_everything_that_concerns_an_order_is_shown_in_order(store: LedgerStore) -> None:
    entries = list(show(store, "order", "a"))
    assert [entry.entry for entry in entries] == ["3.0.0", "8.0.1", "9.0.0", "10.0.0"]
    assert entries[0].cause.startswith("shop-a reported order.posted: order a, member of-a, offer tea")
    assert entries[1].cause == "time passed"
    assert entries[1].outcome[0] == "group g3-0 expired, 1 missing; seats: a"
    assert entries[3].outcome == ["refund r-a of order a, 80.00 CNY, was settled"]


def test_events_and_decisions_are_shown_as_they_were_written(store: LedgerStore) -> None:
    shown = next(show(store, "order", "b"))
    assert msgspec.json.decode(shown.event or b"")["data"]["order"] == "b"
    assert [msgspec.json.decode(decision)["kind"] for decision in shown.decisions] == ["seat.held"]
    assert msgspec.json.decode(msgspec.json.encode(shown))["event"]["type"] == "groupbuy.order.joined.v1"


def test_what_came_later_is_not_shown(store: LedgerStore) -> None:
    assert [entry.entry for entry in show(store, "group", "g3-0", parse_until("5.0.0"))] == ["3.0.0", "4.0.0", "5.0.0"]


def test_a_name_that_cannot_be_one_is_refused(store: LedgerStore) -> None:
    for kind, name in (("order", ""), ("order", "a b"), ("order", "a\nb"), ("member", "a.b"), ("group", "x" * 65)):
        with pytest.raises(BadQuestion, match="cannot be a"):
            list(show(store, kind, name))  # type: ignore[arg-type]  # pairs of two literals


def test_whoever_is_not_known_has_nothing_to_show(store: LedgerStore) -> None:
    assert list(show(store, "member", "nobody")) == []


def test_whatever_the_matcher_decides_can_be_said_in_words(tmp_path: Path) -> None:
    journal = DecidedJournal(seed=21, taste="merging").messages(200)
    with open_store(tmp_path) as store:
        store.append(journal.seal())
        for member in ("m1", "m2", "m3"):
            for entry in show(store, "member", member):
                assert entry.cause
                assert all(sentence and "None" not in sentence for sentence in entry.outcome), entry


# --until


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("7", Until(position=(7, 0, 0))),
        ("7.2", Until(position=(7, 2, 0))),
        ("7.2.1", Until(position=(7, 2, 1))),
        ("2026-01-01T00:00:00Z", Until(at_ns=T0)),
        ("2026-01-01T08:00:00.5+08:00", Until(at_ns=T0 + 500_000_000)),
    ],
)
def test_until_is_a_position_or_a_time(text: str, until: Until) -> None:
    assert parse_until(text) == until


@pytest.mark.parametrize("text", ["", "yesterday", "1.2.3.4", "2026-01-01", "2026-01-01T00:00:00", "-1", "1.x"])
def test_anything_else_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(BadQuestion, match=r"SEQ\.INDEX\.PART.*RFC 3339"):
        parse_until(text)


def test_a_position_past_the_end_is_not_found(store: LedgerStore) -> None:
    with pytest.raises(NotFound, match=r"99\.0\.0 is past the end: the last entry is 10\.0\.0"):
        state_at(store, "99")


# replay


def test_a_groups_state_is_that_of_the_moment_asked_for(store: LedgerStore) -> None:
    opened_state = state_at(store, "3.0.0")
    assert (opened_state.status, opened_state.leader, opened_state.seats_confirmed) == ("open", "a", 1)
    assert state_at(store, "4.0.0").seats_held == 1
    assert state_at(store, "5.0.0").seats_confirmed == 2
    left = state_at(store, "6.0.0")
    assert [seat.order for seat in left.seats] == ["a"]
    assert [(seat.order, seat.left_because) for seat in left.left] == [("b", "withdrawn")]
    assert left.money.taken_minor == 16_000
    assert left.money.refunds_due_minor == 8_000


def test_an_expired_group_has_no_seats_but_remembers_them(store: LedgerStore) -> None:
    state = replay_group(store, "g3-0")
    assert (state.status, state.missing, state.closed_entry) == ("expired", 1, "8.0.1")
    assert (state.seats_held, state.seats_confirmed) == (0, 0)
    assert [(seat.order, seat.status) for seat in state.seats] == [("a", "ended")]
    assert [(refund.refund, refund.status) for refund in state.refunds] == [("r-b", "due"), ("r-a", "settled")]
    assert state.money.refunds_settled_minor == 8_000


def test_a_time_includes_what_was_accepted_at_it(store: LedgerStore) -> None:
    at_ns = T0 + 120 * b.S
    assert state_at(store, format_time_ns(at_ns)).seats_held == 1
    assert state_at(store, format_time_ns(at_ns - 1_000)).seats_held == 0


def test_answers_to_refunds_count_from_when_they_came(store: LedgerStore) -> None:
    assert [refund.status for refund in state_at(store, "8.0.2").refunds] == ["due", "due"]
    assert [refund.status for refund in state_at(store, "9.0.0").refunds] == ["due", "failed"]


def test_a_group_that_did_not_exist_yet_is_not_found(store: LedgerStore) -> None:
    with pytest.raises(NotFound, match=r"no group g3-0 as of entry 2\.0\.0"):
        state_at(store, "2.0.0")
    with pytest.raises(NotFound, match="no group g9-9 as of now"):
        replay_group(store, "g9-9")


def test_a_filled_group_tells_what_each_seat_cost_in_the_end(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    rest = [refund_due(o, f"r-{o}", 500, cause="price_by_size", group="g3-0") for o in ("a", "b")]
    paid_join(journal, "g3-0", "b", filled("g3-0", "a", "b", price_minor=7_500), *rest).seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        state = replay_group(store, "g3-0")
    assert (state.status, state.cause, state.size) == ("filled", "target", 2)
    assert [(seat.payable_minor, seat.price_minor) for seat in state.seats] == [(8_000, 7_500)] * 2
    assert state.money.refunds_due_minor == 1_000


def test_a_merged_group_moves_with_its_seats_and_their_money(tmp_path: Path) -> None:
    journal = paid_post(open_market(), "g3-0", "a")
    other = b.posted("b", "of-b", payment=paid_with("b"))
    journal.input(opened("g4-0", "b"), confirmed("g4-0", "b"), event=other).wait(3_600)
    merged = d.GroupMerged(group="g4-0", into="g3-0", seats=1)
    journal.due(merged, filled("g3-0", "a", "b", cause="merge")).input(TICK, publisher="matcher")
    back = refund_due("b", cause="cancelled", group="g3-0")
    journal.input(released("g3-0", "b", "cancelled"), back, event=b.cancelled("b")).seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        state = replay_group(store, "g3-0", parse_until("5.0.1"))
        assert [(seat.order, seat.merged_from) for seat in state.seats] == [("a", None), ("b", "g4-0")]
        assert (state.merged_from, state.seats_confirmed, state.money.taken_minor) == (["g4-0"], 2, 16_000)
        donor = replay_group(store, "g4-0")
        assert (donor.status, donor.merged_into, donor.seats_confirmed) == ("merged", "g3-0", 0)
        later = replay_group(store, "g3-0")
        assert [seat.order for seat in later.left] == ["b"]
        assert later.money.refunds_due_minor == 8_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_replayed_groups_are_those_that_the_matcher_knows(tmp_path: Path, seed: int) -> None:
    names = {rules.OPEN: "open", rules.GROUP_FILLED: "filled", rules.EXPIRED: "expired"}
    names |= {rules.DISSOLVED: "dissolved", rules.MERGED: "merged"}
    seats = {rules.HELD: "held", rules.CONFIRMED: "confirmed", rules.FILLED: "confirmed"}
    journal = DecidedJournal(seed, taste=("mixed", "merging")[seed % 2]).messages(150)
    known = journal.state
    with open_store(tmp_path) as store:
        store.append(journal.seal())
        for group in known.groups.values():
            replayed = replay_group(store, group.group)
            assert replayed.status == names[group.status]
            if group.status in (rules.OPEN, rules.GROUP_FILLED):
                mine = {seat.order: seat.status for seat in replayed.seats}
                orders = [known.orders[order] for order in group.seats]
                assert mine == {o.order: seats[o.status] for o in orders if o.status in seats}
    assert len(known.groups) > 5


# refunds


def test_unsettled_refunds_are_those_that_nobody_has_settled(store: LedgerStore) -> None:
    assert [refund.refund for refund in refunds(store)] == ["r-b"]
    everything = list(refunds(store, unsettled=False))
    assert [(refund.refund, refund.status, refund.failures) for refund in everything] == [
        ("r-b", "due", 0),
        ("r-a", "settled", 1),
    ]
    assert everything[1] == RefundState(
        refund="r-a",
        order="a",
        payment="pay-a",
        amount_minor=8_000,
        currency="CNY",
        cause="expired",
        publisher="shop-a",
        due_entry="8.0.1",
        due_at_ns=T0 + 3_900 * b.S,
        group="g3-0",
        status="settled",
        failures=1,
        answered_entry="10.0.0",
    )


def test_everything_is_until_the_end() -> None:
    assert Until() == END
    assert END.describe() == "now"
