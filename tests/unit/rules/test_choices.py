"""What members choose: consent, preferences, pools, registration (RULES.md section 8.1)."""

import json
from typing import Any

import pytest

from events.reasons import Fault, Reason
from services.matcher.domain.members.choices import allows, consent_to, is_new, is_withdrawn
from tests.builders import (
    DAY,
    T0,
    blocked,
    consented,
    event,
    market,
    pool_blocked,
    preferred,
    registered,
    withdrew,
)
from tests.unit.rules.given import Scenario, covers, given


def _choices(story: Scenario) -> dict[str, Any]:
    choices: dict[str, Any] = json.loads(json.dumps(story.one("member.chose")["choices"]))
    return choices


def test_a_consent_stands_until_it_is_taken_back() -> None:
    story = given(consented("m1"), model=False)
    assert allows(consent_to(story.engine.state.members.of("m1"), "invitation", "email"))
    story.when(withdrew("m1", purpose="invitation", channel="email"), at=60).then_nothing_but(
        "member.chose", member="m1", about="withdrawal"
    )
    assert _choices(story)["consents"] == [
        {"purpose": "invitation", "channel": "email", "withdrawn_at": T0 + 60 * 10**9}
    ]
    said = consent_to(story.engine.state.members.of("m1"), "invitation", "email")
    assert is_withdrawn(said) and not allows(said)


def test_consent_counts_for_its_purpose_and_channel_alone() -> None:
    choices = given(consented("m1"), model=False).engine.state.members.of("m1")
    assert not allows(consent_to(choices, "reminder", "email"))
    assert not allows(consent_to(choices, "invitation", "wechat"))


def test_one_event_withdraws_everything_also_what_was_never_agreed_to() -> None:
    story = given(consented("m1"), consented("m1", purpose="digest", channel="wechat"), model=False)
    consents = _choices(story.when(withdrew("m1")))["consents"]
    assert len(consents) == 4 * 5
    assert all(set(consent) == {"purpose", "channel", "withdrawn_at"} for consent in consents)


def test_withdrawing_a_channel_leaves_the_others() -> None:
    story = given(consented("m1"), consented("m1", channel="sse"), model=False).when(withdrew("m1", channel="email"))
    choices = story.engine.state.members.of("m1")
    assert not allows(consent_to(choices, "invitation", "email"))
    assert allows(consent_to(choices, "invitation", "sse"))
    assert is_withdrawn(consent_to(choices, "result", "email"))


def test_agreeing_again_after_a_withdrawal_counts() -> None:
    story = given(consented("m1"), withdrew("m1"), consented("m1"), model=False)
    assert allows(consent_to(story.engine.state.members.of("m1"), "invitation", "email"))


def test_one_time_grants_add_up_and_a_withdrawal_makes_them_void() -> None:
    once = {"channel": "wechat", "one_time": True}
    story = given(consented("m1", **once), consented("m1", **once), model=False)
    consent = consent_to(story.engine.state.members.of("m1"), "invitation", "wechat")
    assert consent is not None and (consent.granted, consent.lapsed) == (2, 0)
    story.when(withdrew("m1")).when(consented("m1", **once))
    consent = consent_to(story.engine.state.members.of("m1"), "invitation", "wechat")
    assert consent is not None and (consent.granted, consent.lapsed) == (3, 2), "only the third is good"


@covers(Reason.CAPACITY)
def test_no_more_than_a_hundred_one_time_grants_wait() -> None:
    once = consented("m1", one_time=True)
    story = given(model=False)
    story.when([{**once, "id": f"g{i}"} for i in range(100)])
    story.when(consented("m1", one_time=True)).then_refused(Reason.CAPACITY)


def test_preferences_that_an_event_leaves_out_stay() -> None:
    story = given(
        preferred("m1", language="zh", timezone="America/St_Johns", quiet={"begins": "22:00", "ends": "07:30"}),
        model=False,
    )
    story.when(preferred("m1", kinds=["group"], labels=[], purposes=["invitation"]))
    assert _choices(story) == {
        "purposes": ["invitation"],
        "kinds": ["group"],
        "labels": [],
        "language": "zh",
        "timezone": "America/St_Johns",
        "quiet": {"begins": "22:00", "ends": "07:30"},
    }


@covers(Reason.TIMEZONE_UNKNOWN)
def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    given(model=False).when(preferred("m1", timezone="Asia/Atlantis")).then_refused(Reason.TIMEZONE_UNKNOWN)


@covers(Reason.PERSONAL_DATA)
def test_a_phone_number_in_the_place_of_a_time_zone_is_not_kept() -> None:
    story = given(model=False).when(preferred("m1", timezone="13812345678")).then_refused(Reason.PERSONAL_DATA)
    assert "event" not in story.entries[0]


@pytest.mark.parametrize(
    "quiet",
    [
        {"begins": "24:00", "ends": "08:00"},
        {"begins": "7:00", "ends": "08:00"},
        {"begins": "22:00", "ends": "08:60"},
        {"begins": "22:00\n", "ends": "08:00"},
        {"begins": "22:00"},
    ],
)
def test_quiet_hours_that_are_no_times_of_day_cannot_be_read(quiet: dict[str, str]) -> None:
    given(model=False).when(preferred("m1", quiet=quiet)).then_malformed(Fault.WRONG_FIELD)


def test_a_purpose_that_does_not_exist_cannot_be_read() -> None:
    story = given(model=False)
    story.when(consented("m1", purpose="advertising")).then_malformed(Fault.WRONG_FIELD)
    story.when(preferred("m1", purposes=["advertising"])).then_malformed(Fault.WRONG_FIELD)
    story.when(consented("m1", channel="fax")).then_malformed(Fault.WRONG_FIELD)
    story.when(consented("m1", text_hash="a text")).then_malformed(Fault.WRONG_FIELD)


def test_a_member_keeps_away_from_a_pool_and_comes_back() -> None:
    story = given(model=False).when(pool_blocked("m1", "hangzhou"))
    assert _choices(story) == {"pools_blocked": ["hangzhou"]}
    assert _choices(story.when(pool_blocked("m1", "hangzhou", lifted=True))) == {"pools_blocked": []}


@covers(Reason.BLOCK_UNCLEAR)
def test_a_block_names_either_a_member_or_a_pool() -> None:
    story = given(model=False)
    story.when(event("member.blocked", member="m1")).then_refused(Reason.BLOCK_UNCLEAR)
    story.when(blocked("m1", "m2", pool="hangzhou")).then_refused(Reason.BLOCK_UNCLEAR)


@covers(Reason.CAPACITY)
def test_a_member_blocks_at_most_a_thousand_members_but_may_be_blocked_by_more() -> None:
    story = given().when([blocked("m1", f"x{i}") for i in range(500)])
    story.when([blocked("m1", f"y{i}") for i in range(500)]).when(blocked("z1", "m1")).then("member.noted")
    story.when(blocked("m1", "z1")).then_refused(Reason.CAPACITY)
    story.when(blocked("m1", "x7")).then("member.noted")
    story.when(blocked("m1", "x7", lifted=True)).when(blocked("m1", "z1")).then("member.noted")


@covers(Reason.CAPACITY)
def test_a_member_blocks_at_most_a_hundred_pools() -> None:
    story = given(model=False).when([pool_blocked("m1", f"p{i}") for i in range(100)])
    story.when(pool_blocked("m1", "one-more")).then_refused(Reason.CAPACITY)


@covers(Reason.CAPACITY)
def test_a_market_knows_the_choices_of_so_many_members_only() -> None:
    story = given(market(member_capacity=1), registered("m1"), model=False)
    story.when(registered("m2")).then_refused(Reason.CAPACITY)
    story.when(consented("m1")).then("member.chose")


@covers(Reason.MEMBER_REGISTERED)
def test_a_member_is_registered_once() -> None:
    story = given(registered("m1"), model=False)
    story.when(registered("m1", registered_at="2020-01-01T00:00:00Z")).then_refused(Reason.MEMBER_REGISTERED)


def test_a_member_is_new_for_a_week_after_registration_half_open() -> None:
    story = given(registered("m1"), model=False)
    state = story.engine.state
    assert is_new(state, "m1", T0 + 7 * DAY - 1)
    assert not is_new(state, "m1", T0 + 7 * DAY)
    assert not is_new(state, "m2", T0), "nobody vouches for the age of an account that is not registered"


def test_a_member_cannot_be_registered_in_the_future_and_so_stay_new() -> None:
    story = given(model=False).when(registered("m1", registered_at="2031-01-01T00:00:00Z"))
    assert _choices(story) == {"registered_at": T0}
    story.when(registered("m2", registered_at="2025-12-20T00:00:00Z"))
    assert not is_new(story.engine.state, "m2", T0), "an account that was older is not new"
