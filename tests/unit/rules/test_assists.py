"""Assists: who may help, how often, and what detection makes of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from events.assist import AssistGiven
from events.reasons import Fault, Reason
from events.times import parse_time_ns
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays.calendar import Calendar
from services.matcher.domain.plays.hashed import NOTHING, key_of
from services.matcher.domain.plays.index import PlayIndex
from services.matcher.domain.plays.judging import DETECTION, AssistDecision, Detection, Verdict
from services.matcher.domain.plays.state import COUNTED, INDEXED_FROM, Play, Plays
from services.matcher.domain.plays.state import HELD as HELD_FOR_REVIEW
from services.matcher.domain.turn import Turn
from services.matcher.zones import pinned_zones
from tests.builders import T0, assist, bargain, lottery, play_closed, play_market, unlock, voided
from tests.model.both import FACTS
from tests.unit.rules.given import covers, given_plays

HOUR = 3_600


@contextmanager
def judged(**verdicts: Verdict) -> Iterator[list[str]]:
    """Let detection answer for these members; yield what it was told, in order."""
    noted: list[str] = []

    def answer(turn: Turn, play: Play, event: AssistGiven) -> Verdict:
        return verdicts.get(event.member, Verdict("counted"))

    def note(moment: Moment, play: Play, decision: AssistDecision) -> None:
        noted.append(f"{decision.__struct_config__.tag} {decision.member}")

    own = DETECTION[:]
    DETECTION[:] = [Detection(answer, note)]
    try:
        yield noted
    finally:
        DETECTION[:] = own


HELD = Verdict("held", 61, ("shared_device",))
REFUSED = Verdict("refused", 97, ("shared_device", "burst"))


@covers(Reason.PLAY_UNKNOWN)
def test_an_assist_for_an_unknown_play_is_refused() -> None:
    given_plays().when(assist("b9")).then_refused(Reason.PLAY_UNKNOWN)
    given_plays().when(voided("b9", "a1", "h1")).then_refused(Reason.PLAY_UNKNOWN)
    given_plays().when(play_closed("b9")).then_refused(Reason.PLAY_UNKNOWN)


@covers(Reason.SELF_HELP)
def test_nobody_helps_an_own_play_or_shares_it_to_itself() -> None:
    story = given_plays(bargain(member="owner"), lottery())
    story.when(assist("b1", "owner")).then_refused(Reason.SELF_HELP)
    story.when(assist("l1", "h1", via="h1")).then_refused(Reason.SELF_HELP)


@covers(Reason.ALREADY_HELPED)
def test_one_assist_a_helper_and_play() -> None:
    story = given_plays(bargain(), unlock(), assist("b1", "h1"))
    story.when(assist("b1", "h1")).then_refused(Reason.ALREADY_HELPED)
    story.when(assist("u1", "h1")).then("assist.counted", "play.advanced")


@covers(Reason.ASSIST_EXISTS)
def test_an_assists_id_is_used_once_in_its_play() -> None:
    story = given_plays(bargain(), unlock(), assist("b1", "h1", assist="a1"))
    story.when(assist("b1", "h2", assist="a1")).then_refused(Reason.ASSIST_EXISTS)
    story.when(assist("u1", "h2", assist="a1")).then("assist.counted", "play.advanced")


def test_the_same_event_again_is_a_duplicate_and_cuts_nothing() -> None:
    event = assist("b1", "h1")
    story = given_plays(bargain(), event)
    story.when(event).then_nothing_but("duplicate", original="assist.counted")
    story.when(assist("b1", "h2"))
    assert story.one("assist.counted")["helpers"] == 2


@covers(Reason.NEW_MEMBERS_ONLY)
def test_a_play_may_take_new_members_only_and_who_does_not_say_its_age_is_none() -> None:
    story = given_plays(bargain(new_only=True, new_within_days=7))
    story.when(assist(signals={"account_age_days": 7})).then_refused(Reason.NEW_MEMBERS_ONLY)
    story.when(assist(signals={"channel": "app"})).then_refused(Reason.NEW_MEMBERS_ONLY)
    story.when(assist()).then_refused(Reason.NEW_MEMBERS_ONLY)
    story.when(assist(signals={"account_age_days": 6})).then("assist.counted", "price.cut")


@covers(Reason.HELPER_DAY_CAP)
def test_a_helper_helps_so_often_on_a_day_of_the_markets_time_zone() -> None:
    # T0 is midnight in UTC and eight in the morning in Shanghai: the day there ends sixteen hours later.
    caps = {"per_helper_day": 2}
    story = given_plays(
        *(bargain(f"b{n}", ttl_s=HOUR * 48) for n in range(5)), timezone="Asia/Shanghai", assist_caps=caps
    )
    story.when(assist("b0", "h1")).when(assist("b1", "h1"))
    assert story.one("assist.counted")["day"] == "2026-01-01"
    story.when(assist("b2", "h1"), at=16 * HOUR, at_ns=-1).then_refused(Reason.HELPER_DAY_CAP)
    story.when(assist("b2", "h2")).then("assist.counted", "price.cut")
    story.when(assist("b2", "h1"), at=16 * HOUR).then("assist.counted", "price.cut")
    assert story.one("assist.counted")["day"] == "2026-01-02"


def test_a_day_does_not_come_again_where_clocks_are_turned_back_over_midnight() -> None:
    # St. John's turned its clocks on 2010-11-07 from 00:01 back to 23:01 of the day before.
    zones = pinned_zones()
    turned_ns = parse_time_ns("2010-11-07T02:31:00Z")
    calendar = Calendar(zones, "America/St_Johns")
    assert (calendar.day(turned_ns - 1), calendar.day(turned_ns)) == ("2010-11-07", "2010-11-06")
    index, plays = PlayIndex("main", FACTS, zones), Plays(day="2010-11-07")
    assert index.day(plays, "America/St_Johns", turned_ns) == "2010-11-07"


@covers(Reason.PAIR_WEEK_CAP)
def test_the_same_two_members_help_each_other_so_often_in_an_iso_week() -> None:
    # 2026-01-01 is a Thursday: the week ends on Sunday the fourth.
    story = given_plays(
        *(bargain(f"b{n}", "owner", ttl_s=30 * 24 * HOUR) for n in range(4)),
        bargain("other", "somebody"),
        assist_caps={"per_pair_week": 2},
    )
    story.when(assist("b0", "h1")).when(assist("b1", "h1"))
    story.when(assist("other", "h1")).then("assist.counted", "price.cut")
    story.when(assist("b2", "h1"), at=96 * HOUR, at_ns=-1).then("play.closed", "refused")
    assert story.decisions[1]["reason"] == Reason.PAIR_WEEK_CAP
    story.when(assist("b2", "h1"), at=96 * HOUR).then("assist.counted", "price.cut")


def test_a_week_of_169_hours_is_counted_whole() -> None:
    # In New York clocks are put back on Sunday, 2026-11-01: that week has an hour more.
    begins_s = (parse_time_ns("2026-10-26T04:00:00Z") - T0) // 10**9
    story = given_plays(timezone="America/New_York", assist_caps={"per_pair_week": 1})
    story.when([bargain(f"b{n}", "owner", ttl_s=30 * 24 * HOUR) for n in range(3)], at=begins_s)
    story.when(assist("b0", "h1")).then("assist.counted", "price.cut")
    story.when(assist("b1", "h1"), at=begins_s + 169 * HOUR, at_ns=-1).then_refused(Reason.PAIR_WEEK_CAP)
    story.when(assist("b1", "h1"), at=begins_s + 169 * HOUR).then("assist.counted", "price.cut")


def test_a_pair_is_the_helper_and_who_shared_a_lottery_whosever_it_is() -> None:
    story = given_plays(
        lottery("l0", member="m1"), lottery("l1", member="m1"), lottery("l2"), assist_caps={"per_pair_week": 1}
    )
    story.when(assist("l0", "h1", via="s1"))
    story.when(assist("l1", "h1", via="s1")).then_refused(Reason.PAIR_WEEK_CAP)
    story.when(assist("l2", "h1", via="s1")).then_refused(Reason.PAIR_WEEK_CAP)
    story.when(assist("l1", "h1", via="m1")).then("assist.counted", "play.ticketed")
    story.when(assist("l2", "h1", via="m1")).then_refused(Reason.PAIR_WEEK_CAP)


@pytest.mark.parametrize("helpers", [INDEXED_FROM, INDEXED_FROM + 1, 3 * INDEXED_FROM])
def test_who_has_helped_a_play_is_known_however_many_have(helpers: int) -> None:
    play = Play(
        play="p", form="unlock", publisher="shop", ends_ns=0, no=1, opened=1, helper_limit=1_000, rules=b"", width=15
    )
    for n in range(helpers):
        play.add_place(COUNTED, key_of(f"h{n}"), key_of(f"a{n}"))
    assert [play.place_of(key_of(f"h{n}")) for n in range(helpers)] == list(range(helpers))
    assert [play.place_of(key_of(f"a{n}")) for n in range(helpers)] == list(range(helpers))
    assert play.place_of(key_of("somebody")) == NOTHING and (play.index is None) == (helpers <= INDEXED_FROM)


def test_a_key_that_stands_across_two_rows_of_a_play_is_nobodys() -> None:
    play = Play(
        play="p", form="unlock", publisher="shop", ends_ns=0, no=1, opened=1, helper_limit=9, rules=b"", width=15
    )
    play.add_place(COUNTED, b"aaabbb", b"cccddd")
    assert b"bbbccc" in play.rows and play.place_of(b"bbbccc") == NOTHING
    play.add_place(HELD_FOR_REVIEW, b"bbbccc", b"eeefff")
    assert play.place_of(b"bbbccc") == 1 and play.place_of(b"cccddd") == 0


@covers(Reason.HELPER_DAY_CAP)
def test_a_play_may_set_caps_of_its_own_and_the_markets_later_change_does_not_reach_it() -> None:
    story = given_plays(bargain("b0"), bargain("b1", per_helper_day=1), bargain("b2"))
    story.when(play_market(assist_caps={"per_helper_day": 1}))
    story.when(assist("b0", "h1"))
    story.when(assist("b1", "h1")).then_refused(Reason.HELPER_DAY_CAP)
    story.when(assist("b2", "h1")).then("assist.counted", "price.cut")


def test_what_a_rule_refused_counts_for_no_cap() -> None:
    story = given_plays(bargain("b0"), bargain("b1"), assist_caps={"per_helper_day": 2})
    story.when(assist("b0", "h1")).when(assist("b0", "h1"))
    story.when(assist("b1", "h1")).then("assist.counted", "price.cut")


@covers(Reason.CAPACITY)
def test_assists_and_plays_have_a_stated_capacity() -> None:
    story = given_plays(bargain(), assist(), assist_capacity=1)
    story.when(assist()).then_refused(Reason.CAPACITY)
    given_plays(bargain(), play_capacity=1).when(bargain("b2")).then_refused(Reason.CAPACITY)


def test_a_raw_address_or_device_is_not_read_and_not_kept() -> None:
    for signals in (
        {"network": "192.168.1.17"},
        {"device": "AA-BB-CC-DD-EE-FF"},
        {"device": "D1" * 32},
        {"network": "0e" * 31},
    ):
        story = given_plays(bargain()).when(assist(signals=signals)).then_malformed(Fault.RAW_SIGNAL)
        kept = repr(story.entries)
        assert "event" not in story.entries[0] and not any(value in kept for value in signals.values())
    story = given_plays(bargain()).when(assist(signals={"device": "d1" * 32, "network": "0e" * 32, "channel": "app"}))
    story.then("assist.counted", "price.cut")


@covers(Reason.PERSONAL_DATA)
def test_a_helper_who_is_a_phone_number_is_refused_and_not_kept() -> None:
    story = given_plays(bargain()).when(assist("b1", "13812345678")).then_refused(Reason.PERSONAL_DATA)
    assert "event" not in story.entries[0]


def test_what_detection_holds_counts_nothing_until_it_is_counted() -> None:
    with judged(h1=HELD) as noted:
        story = given_plays(bargain(helper_limit=3), assist("b1", "h1", assist="a1"))
        held = story.one("assist.held")
        assert (held["score"], held["reasons"], held["helpers"]) == (61, ["shared_device"], 0)
        story.when(assist("b1", "h2")).then("assist.counted", "price.cut")
        assert story.one("assist.counted")["position"] == 2
        story.when(voided("b1", "a1", "h1", "count")).then("assist.counted", "price.cut")
        counted = story.one("assist.counted")
        assert (counted["position"], counted["helpers"]) == (1, 2) and "day" not in counted
        assert {"assist.held h1", "assist.counted h2", "assist.counted h1"} == set(noted)


def test_a_held_assist_that_is_voided_never_counts() -> None:
    with judged(h1=HELD):
        story = given_plays(bargain(), assist("b1", "h1", assist="a1"))
        story.when(voided("b1", "a1", "h1")).then("assist.voided")
        assert story.one("assist.voided")["was"] == "held"
        story.when(assist("b1", "h2"))
        assert story.one("assist.counted")["helpers"] == 1


@covers(Reason.PLAY_FULL)
def test_a_held_assist_finds_the_play_full_when_others_came_first() -> None:
    with judged(h1=HELD):
        story = given_plays(bargain(helper_limit=1), assist("b1", "h1", assist="a1"), assist("b1", "h2"))
        story.when(voided("b1", "a1", "h1", "count")).then_refused(Reason.PLAY_FULL)


def test_a_held_assist_counted_after_the_close_is_a_claim() -> None:
    with judged(h1=HELD):
        story = given_plays(bargain(), assist("b1", "h1", assist="a1"), play_closed("b1"))
        story.when(voided("b1", "a1", "h1", "count")).then("assist.counted", "play.claimed")
        assert story.one("play.claimed")["cause"] == "counted_after_close"
        story.when(voided("b1", "a1", "h1")).then("assist.voided", "play.claimed")
        assert story.one("play.claimed")["amount_minor"] == 0, "it never cut anything"


def test_a_held_assist_gives_its_tickets_to_who_shared_when_it_counts() -> None:
    with judged(h1=HELD):
        story = given_plays(
            lottery(new_weight=3), assist("l1", "h1", via="s1", assist="a1", signals={"account_age_days": 1})
        )
        story.when(assist("l1", "h2", via="s2"))
        story.when(voided("l1", "a1", "h1", "count")).then("assist.counted", "play.ticketed")
        ticketed = story.one("play.ticketed")
        assert (ticketed["member"], ticketed["tickets"], ticketed["total"]) == ("s1", 3, 4)


def test_a_held_helper_gets_the_tickets_of_a_lottery_for_helpers() -> None:
    with judged(h1=HELD):
        story = given_plays(lottery(terms={"tickets_to": "helper"}), assist("l1", "h1", via="s1", assist="a1"))
        story.when(voided("l1", "a1", "h1", "count"))
        assert story.one("play.ticketed")["member"] == "h1"


@covers(Reason.ASSIST_REFUSED, Reason.ALREADY_HELPED)
def test_what_detection_refused_is_refused_for_good() -> None:
    with judged(h1=REFUSED):
        story = given_plays(bargain(), assist("b1", "h1", assist="a1"))
        story.then_nothing_but("assist.refused", score=97, reasons=["shared_device", "burst"])
        story.when(assist("b1", "h1")).then_refused(Reason.ALREADY_HELPED)
        story.when(voided("b1", "a1", "h1")).then_refused(Reason.ASSIST_REFUSED)
        story.when(voided("b1", "a1", "h1", "count")).then_refused(Reason.ASSIST_REFUSED)


@covers(Reason.ASSIST_VOIDED)
def test_an_assist_is_voided_once() -> None:
    story = given_plays(bargain(), assist("b1", "h1", assist="a1"), voided("b1", "a1", "h1"))
    before = msgspec.json.encode(story.engine.state.plays)
    story.when(voided("b1", "a1", "h1")).then_refused(Reason.ASSIST_VOIDED)
    assert msgspec.json.encode(story.engine.state.plays) == before, "nothing has changed"


@covers(Reason.ALREADY_HELPED)
def test_who_was_voided_does_not_help_the_play_again() -> None:
    story = given_plays(bargain(), assist("b1", "h1", assist="a1"), voided("b1", "a1", "h1"))
    story.when(assist("b1", "h1")).then_refused(Reason.ALREADY_HELPED)


@covers(Reason.ASSIST_UNKNOWN, Reason.ASSIST_NOT_HELD)
def test_only_an_assist_that_is_known_by_all_its_names_is_reviewed_and_only_a_held_one_counted() -> None:
    story = given_plays(bargain(), assist("b1", "h1", assist="a1"), assist("b1", "h2", assist="a2"))
    story.when(voided("b1", "a9", "h1")).then_refused(Reason.ASSIST_UNKNOWN)
    story.when(voided("b1", "a1", "h2")).then_refused(Reason.ASSIST_UNKNOWN)
    story.when(voided("b1", "a1", "h9")).then_refused(Reason.ASSIST_UNKNOWN)
    story.when(voided("b1", "a1", "h1", "count")).then_refused(Reason.ASSIST_NOT_HELD)
