"""What `ledger diff` shows of plays, invitations and all else: names and values that a person can read."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from deploy.cli.ledger_print_changes import print_change
from services.ledger.diff import diff
from services.ledger.differences import Change
from services.ledger.history import parse_until
from services.ledger.readable import part_of
from services.matcher.domain.fifo import Fifo
from services.matcher.domain.state import State
from tests.builders import (
    assist,
    bargain,
    blocked,
    claimed,
    consented,
    invited,
    limited_self,
    lottery,
    offer,
    play_market,
    posted,
    sanctioned,
    unlock,
    voided,
)
from tests.dispute_market import decided
from tests.ledger_records import open_store
from tests.model.both import ZONES


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Change]:
    """All that differs between the beginning of a market with every family of rules and its end."""
    events = (
        offer(),
        bargain(),
        assist(member="h-1", assist="a-1"),
        assist(member="h-2", assist="a-2"),
        voided("b1", "a-2", "h-2"),
        lottery(),
        assist("l1", member="h-1", via="owner"),
        unlock(),
        assist("u1", member="h-3"),
        consented("m-2"),
        limited_self("m-1", limits=[{"name": "groups", "most": 3}]),
        invited("m-1", "m-2", invitation="i-1"),
        invited("m-1", "m-3"),
        blocked("m-4", "m-5"),
        posted("o1", "m-1"),
        sanctioned("m-6"),
        claimed("a-1", "h-1", about="assist", play="b1"),
    )
    with open_store(tmp_path_factory.mktemp("ledger")) as store:
        store.append(decided(*events, configured=play_market()))
        found = diff(store, parse_until("1"), parse_until("18"), ZONES)
        return {(change.what, change.name): change for change in found.changes}


def after(changes: dict[tuple[str, str], Change], what: str, name: str) -> dict[str, Any]:
    found = changes[what, name].after
    assert found is not None
    return found


def test_a_bargain_is_told_by_its_amounts_and_its_assists(changes: dict[tuple[str, str], Change]) -> None:
    play = after(changes, "play", "b1")
    assert (play["form"], play["status"], play["opened_by"]) == ("bargain", "open", "3.0.0")
    assert (play["assists_counted"], play["assists_voided"]) == (1, 1)
    assert 0 < play["remaining_minor"] < 3_000 and changes["play", "b1"].currency == "CNY"
    assert play["terms"]["start_minor"] == 3_990


def test_a_lottery_is_told_by_who_holds_tickets(changes: dict[tuple[str, str], Change]) -> None:
    play = after(changes, "play", "l1")
    assert play["tickets"] == sum(play["tickets_of"].values()) > 0
    assert "owner" in play["tickets_of"]


def test_steps_towards_rewards_are_told_by_how_far_they_have_come(changes: dict[tuple[str, str], Change]) -> None:
    assert after(changes, "play", "u1")["reached"] == 1


def test_an_invitation_is_told_with_what_it_used_up(changes: dict[tuple[str, str], Change]) -> None:
    assert after(changes, "invitation", "i-1")["allowed_by"] == "13.0.0"
    assert after(changes, "invitations made today by member", "m-1")["invitations"] == 1
    assert "until" in after(changes, "pause after an invitation of", "m-1 and m-2")
    assert after(changes, "refused invitations of member", "m-1")["refused"] == 1


def test_blocks_sanctions_and_disputes_are_told_in_words(changes: dict[tuple[str, str], Change]) -> None:
    assert after(changes, "blocks of member", "m-4") == {"m-5": "blocks"}
    assert after(changes, "blocks of member", "m-5") == {"m-4": "is blocked by"}
    assert after(changes, "sanction of member", "m-6") == {"sanction": "limited"}
    assert after(changes, "dispute", "d-1")["status"] == "open"
    assert after(changes, "order", "o1")["status"] == "held" and changes["order", "o1"].currency == "CNY"


def test_nothing_is_shown_as_raw_bytes_or_braces(
    changes: dict[tuple[str, str], Change], capsys: pytest.CaptureFixture[str]
) -> None:
    for change in changes.values():
        document = json.loads(msgspec.json.encode(change))
        print_change(change)
        printed = capsys.readouterr().out
        assert "\\x" not in printed and "b'" not in printed and "{" not in printed, document
        assert not any(word.strip(",()[]").isdigit() and len(word) > 15 for word in printed.split()), printed


def test_every_part_of_the_state_has_a_name_or_is_known_to_serve_the_program_alone() -> None:
    not_named = [field for field in _parts("", State()) if part_of(field) == field and field != "market"]
    assert not_named == [], "say in services/ledger/readable.py what these are called, or that nobody is shown them"


def _parts(prefix: str, state: msgspec.Struct) -> Iterator[str]:
    for name in state.__struct_fields__:
        value = getattr(state, name)
        field = f"{prefix}{name}"
        if isinstance(value, Fifo) or field in {"now", "position", "decided", "counter", "identities"}:
            continue
        if isinstance(value, msgspec.Struct):
            yield from _parts(f"{field}.", value)
        else:
            yield field
