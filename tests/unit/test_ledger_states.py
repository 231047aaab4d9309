"""What was, what changed, and what would have been: orders, members, differences, another course."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.record import parse_entry_id
from services.ledger.diff import diff
from services.ledger.differences import Change
from services.ledger.faults import BadQuestion, LedgerBroken, NotFound
from services.ledger.history import parse_until
from services.ledger.replay_states import replay_member, replay_named, replay_order
from services.ledger.store import LedgerStore
from services.ledger.what_if import WhatIf, what_if
from tests.builders import (
    T0,
    S,
    blocked,
    cancelled,
    consented,
    invited,
    joined,
    offer,
    paid,
    posted,
    preferred,
    ticked,
    withdrawn,
)
from tests.ledger_market import Story
from tests.ledger_records import open_store
from tests.model.both import FACTS, ZONES
from tests.ways import interpreted_only


def archived(folder: Path, story: Story) -> LedgerStore:
    """Archive what a story came to."""
    store = open_store(folder)
    store.append(story.records())
    return store


def filled_and_cancelled() -> Story:
    """Two friends fill a group (entries 3 to 6), and then one cancels (7)."""
    story = Story(offer()).at(10).tell(posted("o1", "ann"), joined("o2", "bob"))
    return story.at(20).tell(paid("o1", payment="p1"), paid("o2", payment="p2")).at(30).tell(cancelled("o2"))


# An order, a member, anything


@pytest.mark.parametrize(
    ("until", "status"),
    [("3", "held"), ("5", "confirmed"), ("6", "filled"), ("7", "left"), ("2026-01-01T00:00:20Z", "filled")],
)
def test_an_order_is_shown_as_it_stood_then(until: str, status: str, tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        order = "o2" if until == "7" else "o1"
        assert replay_order(store, order, parse_until(until)).status == status


def test_an_order_shows_what_it_paid_and_what_is_due_back(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        state = replay_order(store, "o2")
    assert (state.payment, state.price_minor, state.group, state.left_because) == ("p2", 8_000, "g3-0", "cancelled")
    assert [(refund.cause, refund.amount_minor, refund.status) for refund in state.refunds] == [
        ("cancelled", 8_000, "due")
    ]


def test_an_order_that_was_only_refused_says_why(tmp_path: Path) -> None:
    story = Story(offer()).tell(joined("o9", "ann", group="g404-0"))
    with archived(tmp_path, story) as store:
        state = replay_order(store, "o9")
    assert state.status == "refused"
    assert state.refused == ["group_unknown (3.0.0)"]
    assert state.member == "ann"


def test_an_order_of_a_merged_group_is_shown_in_the_group_that_took_it(tmp_path: Path) -> None:
    terms = {"size": 3, "merge": "allowed", "hold_s": 0, "group_ttl_s": 100}
    story = Story(offer(**terms)).tell(posted("o1", "ann", merge=True), joined("o2", "bob", group="g3-0", merge=True))
    story.at(10).tell(posted("o3", "cem", merge=True)).at(100).tell(ticked())
    with archived(tmp_path, story) as store:
        state = replay_order(store, "o3")
    assert state.status == "filled"
    assert state.groups == ["g5-0", "g3-0"]


def test_a_member_is_shown_with_orders_and_whom_it_keeps_apart_from(tmp_path: Path) -> None:
    story = filled_and_cancelled().tell(
        blocked("bob", "ann"), blocked("bob", "cem"), blocked("bob", "ann", lifted=True)
    )
    with archived(tmp_path, story) as store:
        state = replay_member(store, "bob")
        before = replay_member(store, "bob", parse_until("8"))
    assert [(order.order, order.status) for order in state.orders] == [("o2", "left")]
    assert state.blocks == ["cem"]
    assert before.blocks == ["ann"]
    assert [(fact.kind, fact.times) for fact in state.facts] == [("member.noted", 3)]


def test_anything_that_is_named_shows_the_last_that_was_decided_of_it(tmp_path: Path) -> None:
    with archived(tmp_path, Story(offer(stock=5)).tell(offer("tea", stock=9), offer("jam", size=3))) as store:
        state = replay_named(store, "offer", "jam")
    assert bytes(state.fields["edition"]) == b"1"
    assert state.first_entry == "4.0.0"


@pytest.mark.parametrize("ask", [replay_order, replay_member])
def test_what_was_not_there_then_is_not_found(ask: Any, tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        with pytest.raises(NotFound):
            ask(store, "nobody")
        with pytest.raises(NotFound, match="past the end"):
            ask(store, "o1", parse_until("99"))
        with pytest.raises(BadQuestion):
            ask(store, "no body")


# What changed


def changed(changes: list[Change], what: str, name: str) -> Change:
    (found,) = [change for change in changes if (change.what, change.name) == (what, name)]
    return found


def test_between_two_entries_what_changed_is_shown_before_and_after(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        found = diff(store, parse_until("4"), parse_until("6"), ZONES)
    changes = list(found.changes)
    assert found.head.entries == 2
    assert found.head.decided == {"group.filled": 1, "seat.confirmed": 2}
    group = changed(changes, "group", "g3-0")
    assert ((group.before or {})["status"], (group.after or {})["status"]) == ("open", "filled")
    assert (changed(changes, "order", "o1").after or {})["payment"] == "p1"


def test_what_is_new_has_no_before(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        changes = list(diff(store, parse_until("2"), parse_until("3"), ZONES).changes)
    assert changed(changes, "order", "o1").before is None
    assert changed(changes, "group", "g3-0").before is None


def test_between_an_entry_and_itself_nothing_changed(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        found = diff(store, parse_until("5"), parse_until("5"), ZONES)
    assert found.head.entries == 0
    assert list(found.changes) == []


def test_a_difference_is_between_two_times_as_well(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        found = diff(store, parse_until("2026-01-01T00:00:10Z"), parse_until("2026-01-01T00:00:20Z"), ZONES)
        assert (found.head.first_entry, found.head.last_entry) == ("5.0.0", "6.0.0")
        with pytest.raises(BadQuestion, match="comes before"):
            diff(store, parse_until("6"), parse_until("2"), ZONES)


# What would have been


def asked(store: LedgerStore, entry: str, at_s: float | None = None) -> WhatIf:
    at_ns = None if at_s is None else T0 + int(at_s * S)
    return what_if(store, parse_entry_id(entry), FACTS, ZONES, at_ns)


def kinds(decisions: list[Any]) -> list[str]:
    return [json.loads(bytes(decision))["kind"] for decision in decisions]


def test_without_a_friend_the_group_would_not_have_filled(tmp_path: Path) -> None:
    with archived(tmp_path, filled_and_cancelled()) as store:
        found = asked(store, "4.0.0")
    by_entry = {outcome.entry: outcome for outcome in found.outcomes}
    assert kinds(by_entry["6.0.0"].decided) == ["seat.confirmed", "group.filled"]
    assert kinds(by_entry["6.0.0"].would_be) == ["refund.due"]
    assert kinds(by_entry["4.0.0"].would_be) == []
    assert changed(found.changes, "order", "o2").after is None


def test_with_a_payment_that_came_in_time_the_seat_would_have_been_kept(tmp_path: Path) -> None:
    story = Story(offer(hold_s=60)).tell(posted("o1", "ann")).at(61).tell(paid("o1", payment="p1"))
    with archived(tmp_path, story) as store:
        found = asked(store, "4.0.1", at_s=59)
    (outcome,) = found.outcomes
    assert kinds(outcome.decided) == ["refund.due"]
    assert kinds(outcome.would_be) == ["seat.confirmed"]
    assert kinds(found.due_only_as_it_was)[0] == "seat.released"


def test_an_event_moved_to_later_is_decided_after_what_came_meanwhile(tmp_path: Path) -> None:
    story = (
        Story(offer(hold_s=0))
        .tell(posted("o1", "ann"))
        .at(5)
        .tell(joined("o2", "bob"))
        .at(10)
        .tell(joined("o3", "cem"))
    )
    with archived(tmp_path, story) as store:
        found = asked(store, "4.0.0", at_s=11)
    by_entry = {outcome.entry: kinds(outcome.would_be) for outcome in found.outcomes}
    assert by_entry["5.0.0"] == ["seat.confirmed", "group.filled"]
    assert by_entry["4.0.0"] == ["refused"]


def test_without_an_event_that_changed_nothing_nothing_else_would_be_otherwise(tmp_path: Path) -> None:
    story = Story(offer()).tell(withdrawn("nobody"), posted("o1", "ann"))
    with archived(tmp_path, story) as store:
        found = asked(store, "3.0.0")
    assert [outcome.entry for outcome in found.outcomes] == ["3.0.0"]
    assert found.changes_counted == 0
    assert found.due_only_as_it_was == found.due_only_as_it_would_be == []


def test_only_an_event_that_is_kept_can_be_left_out(tmp_path: Path) -> None:
    story = Story(offer(group_ttl_s=60, hold_s=0)).tell(posted("o1", "ann")).at(60).tell(ticked())
    story.messages.append((T0 + 61 * S, "shop-a", "order", b"{}"))
    with archived(tmp_path, story) as store:
        with pytest.raises(BadQuestion, match="was due by itself"):
            asked(store, "4.0.0")
        with pytest.raises(BadQuestion, match="is not kept"):
            asked(store, "5.0.0")
        with pytest.raises(NotFound, match=r"there is no entry 77\.0\.0"):
            asked(store, "77.0.0")


@interpreted_only
def test_a_history_that_cannot_be_applied_is_a_finding_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("g-9")

    with archived(tmp_path, filled_and_cancelled()) as store:
        monkeypatch.setattr("services.ledger.evolving.Engine.evolve", broken)
        for ask in (lambda: diff(store, parse_until("1"), parse_until("6"), ZONES), lambda: asked(store, "4")):
            with pytest.raises(LedgerBroken, match=r"entry 1\.0\.0: it cannot follow .*KeyError"):
                ask()


def test_states_go_past_a_member_who_lives_in_another_time_zone(tmp_path: Path) -> None:
    story = Story(consented("erin"), preferred("erin", timezone="Asia/Shanghai"), invited("dora", "erin"))
    with archived(tmp_path, story) as store:
        found = diff(store, parse_until("1"), parse_until("4"), ZONES)
    assert "erin" in {change.name for change in found.changes}
