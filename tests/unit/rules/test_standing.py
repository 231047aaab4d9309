"""Standing: what speaks against members, and what follows from it, rung by rung."""

from typing import Any

from events.reasons import Reason
from services.matcher.domain.standing.asking import may_invite, standing_of
from tests.builders import (
    T0,
    S,
    assist,
    bargain,
    joined,
    offer,
    payment,
    posted,
    reinstated,
    reported,
    sanctioned,
    signals,
    voided,
)
from tests.unit.rules.given import Scenario, covers, given_watched

HOUR = 3_600
DAY = 86_400
LADDER = {"warn_at": 5, "limit_at": 10, "ban_at": 15, "warn_s": DAY, "limit_s": 2 * DAY, "ban_s": 3 * DAY}


def plays(count: int) -> list[dict[str, Any]]:
    terms = {"start_minor": 90_000, "floor_minor": 10_000}
    return [bargain(f"b{n}", f"owner{n}", helper_limit=100, ttl_s=10 * DAY, terms=terms) for n in range(count)]


def void_one(story: Scenario, place: int, member: str = "m") -> Scenario:
    """Let a member help a play and a review void it: five points against the member."""
    story.when(assist(f"b{place}", member, assist="a1"))
    return story.when(voided(f"b{place}", "a1", member))


def rung(story: Scenario, member: str = "m") -> str | None:
    return standing_of(story.engine.state, member, story.now_ns)


# The rungs


def test_what_speaks_against_a_member_leads_up_the_ladder_rung_by_rung() -> None:
    story = given_watched(*plays(4), standing=LADDER)
    void_one(story, 0).then("assist.voided", "play.corrected", "member.warned")
    assert story.one("member.warned")["until"] == T0 + DAY * S
    void_one(story, 1).then("assist.voided", "play.corrected", "member.limited")
    assert rung(story) == "limited"


def test_a_sanction_names_its_ground_and_the_entries_that_led_to_it() -> None:
    story = given_watched(*plays(4), standing=LADDER)
    void_one(story, 0)
    warned = void_one(story, 1).one("member.limited")
    assert warned["ground"] == "assists_voided" and warned["strikes"] == 10
    voiding = [
        f"{entry['seq']}.{entry['index']}.0"
        for entry in story.history
        if entry["decisions"][0]["kind"] == "assist.voided"
    ]
    assert warned["evidence_entries"] == voiding


@covers(Reason.MEMBER_LIMITED)
def test_a_limited_member_neither_helps_nor_is_kept_from_ordering() -> None:
    story = given_watched(*plays(2), offer(), sanctioned("m", "limited"))
    story.when(assist("b0", "m")).then_refused(Reason.MEMBER_LIMITED)
    story.when(posted("o1", "m")).then("group.opened", "seat.held")


@covers(Reason.MEMBER_BANNED)
def test_a_banned_member_neither_orders_nor_helps_and_gets_its_money_back() -> None:
    story = given_watched(*plays(1), offer(), sanctioned("m", "banned"))
    story.when(assist("b0", "m")).then_refused(Reason.MEMBER_BANNED)
    story.when(posted("o1", "m", payment=payment())).then_refused(Reason.MEMBER_BANNED, "refund.due")
    story.when(posted("o2", "other")).then("group.opened", "seat.held")


def test_a_limited_member_may_not_invite_and_a_warned_one_may() -> None:
    story = given_watched(sanctioned("m", "limited"), sanctioned("w", "warned"))
    state = story.engine.state
    assert (may_invite(state, "m"), may_invite(state, "w"), may_invite(state, "x")) == (False, True, True)


def test_a_warning_keeps_nobody_from_anything() -> None:
    story = given_watched(*plays(1), sanctioned("m", "warned"))
    assert rung(story) == "warned"
    story.when(assist("b0", "m")).then("assist.counted", "price.cut")


def test_a_sanction_ends_at_its_time_to_the_nanosecond() -> None:
    story = given_watched(*plays(1), sanctioned("m", "banned", duration_s=HOUR))
    story.when(assist("b0", "m"), at=HOUR, at_ns=-1).then_refused(Reason.MEMBER_BANNED)
    story.when(assist("b0", "m"), at=HOUR).then("member.reinstated", "assist.counted", "price.cut")
    story.one("member.reinstated", cause="expired", was="banned")
    assert rung(story) is None


def test_points_are_forgotten_after_the_market_s_memory() -> None:
    story = given_watched(*plays(3), standing={**LADDER, "memory_s": DAY})
    void_one(story, 0).one("member.warned")
    story.now_ns += 2 * DAY * S
    void_one(story, 1)
    assert story.one("member.warned")["strikes"] == 5, "the first five are forgotten"


def test_who_returns_from_a_sanction_climbs_faster_while_points_are_remembered() -> None:
    story = given_watched(*plays(4), standing=LADDER)
    void_one(story, 0)
    void_one(story, 1)
    story.now_ns += 2 * DAY * S
    assert void_one(story, 2).one("member.banned")["strikes"] == 15


def test_help_that_is_only_held_leads_to_a_warning_at_most() -> None:
    made = plays(40)
    story = given_watched(*made, standing=LADDER)
    for n in range(40):  # the same device with ever more accounts, each time another play
        story.when(assist(f"b{n}", "m" if n % 2 else f"x{n}", signals=signals("phone")), at=n * 60)
    assert story.kinds[0] in ("assist.held", "assist.refused")
    kinds = {d["kind"] for entry in story.history for d in entry["decisions"] if d.get("member") == "m"}
    assert "member.warned" in kinds and "member.limited" not in kinds


def test_a_review_that_finds_for_the_member_takes_its_point_back() -> None:
    story = given_watched(*plays(1), standing={"hold_points": 20})
    for n in range(3):
        story.when(assist("b0", f"m{n}", assist=f"a{n}", signals=signals("phone")), at=n * HOUR)
    held = story.one("assist.held")
    assert "m2" in story.engine.state.standing.ledge.records
    story.when(voided("b0", "a2", held["member"], verdict="count")).then("assist.counted", "price.cut")
    assert "m2" not in story.engine.state.standing.ledge.records


# Operators


@covers(Reason.ALREADY_SANCTIONED)
def test_an_operator_s_sanction_goes_up_or_on_but_never_down() -> None:
    story = given_watched(sanctioned("m", "limited", duration_s=DAY))
    story.when(sanctioned("m", "warned")).then_refused(Reason.ALREADY_SANCTIONED)
    story.when(sanctioned("m", "limited", duration_s=HOUR)).then_refused(Reason.ALREADY_SANCTIONED)
    story.when(sanctioned("m", "limited", duration_s=2 * DAY)).then("member.limited")
    story.when(sanctioned("m", "banned")).then("member.banned")
    banned = story.one("member.banned")
    assert banned["ground"] == "operator"
    assert (banned["actor"], banned["reason"], banned["ticket"]) == ("amy", "complaint", "t-1")


@covers(Reason.NOT_SANCTIONED)
def test_an_operator_s_word_reinstates_and_forgets_what_led_there() -> None:
    story = given_watched(*plays(4), standing=LADDER)
    void_one(story, 0)
    void_one(story, 1)
    story.when(reinstated("m")).then("member.reinstated")
    assert story.one("member.reinstated", cause="operator", was="limited")["ticket"] == "t-1"
    assert void_one(story, 2).one("member.warned")["strikes"] == 5
    story.when(reinstated("nobody")).then_refused(Reason.NOT_SANCTIONED)
    story.when(reinstated("m")).then("member.reinstated").when(reinstated("m")).then_refused(Reason.NOT_SANCTIONED)


# Reports


@covers(Reason.SELF_REPORT, Reason.ALREADY_REPORTED)
def test_a_member_reports_another_once_and_never_itself() -> None:
    story = given_watched(reported("m", "a", "private_payment"))
    story.then("member.reported")
    story.when(reported("m", "b", "unknown_links")).then_nothing_but("member.reported", reports=2)
    story.when(reported("m", "a", "abuse")).then_refused(Reason.ALREADY_REPORTED)
    story.when(reported("m", "m")).then_refused(Reason.SELF_REPORT)


@covers(Reason.CAPACITY)
def test_reports_never_decide_alone() -> None:
    story = given_watched(*plays(2), standing=LADDER)
    for n in range(64):
        story.when(reported("m", f"r{n}")).then("member.reported")
    story.when(reported("m", "r64")).then_refused(Reason.CAPACITY)
    assert rung(story) is None
    assert void_one(story, 0).one("member.limited")["strikes"] == 10, "they double what else there is"


def test_a_report_that_makes_up_what_is_missing_leads_up_a_rung() -> None:
    story = given_watched(*plays(2), standing={**LADDER, "warn_at": 6})
    void_one(story, 0).then("assist.voided", "play.corrected")
    story.when(reported("m", "a")).then("member.reported", "member.warned")


# Groups


def test_seats_held_again_and_again_without_paying_speak_against_a_member() -> None:
    story = given_watched(offer(hold_s=60), standing={**LADDER, "warn_at": 2})
    for n in range(3):
        story.when(posted(f"o{n}", "m"), at=n * HOUR)
    story.when(posted("other", "x"), at=3 * HOUR)
    warned = story.one("member.warned")
    assert (warned["member"], warned["ground"]) == ("m", "seats_unpaid")


def test_who_pays_has_its_unpaid_seats_forgotten() -> None:
    story = given_watched(offer(hold_s=60), standing={**LADDER, "warn_at": 2})
    for n in range(2):
        story.when(posted(f"o{n}", "m"), at=n * HOUR)
    story.when(posted("o-paid", "m", payment=payment()), at=3 * HOUR)
    story.when(posted("o-late", "m"), at=4 * HOUR)
    story.when(posted("other", "x"), at=5 * HOUR)
    assert rung(story) is None


def test_one_person_who_fills_a_group_with_several_accounts_is_noticed() -> None:
    story = given_watched(offer(size=5), standing={**LADDER, "warn_at": 2})
    story.when(posted("o1", "m1", signals=signals("phone")))
    story.when(joined("o2", "m2", signals=signals("phone")))
    assert rung(story, "m2") is None, "a household of two"
    story.when(joined("o3", "m3", signals=signals("phone")))
    assert story.one("member.warned", member="m3")["ground"] == "group_filled_alone"


def test_strangers_on_devices_of_their_own_fill_a_group_unsuspected() -> None:
    story = given_watched(offer(size=5), standing={**LADDER, "warn_at": 1})
    story.when(posted("o0", "m0", signals=signals("d0")))
    for n in range(1, 5):
        story.when(joined(f"o{n}", f"m{n}", payment=payment(), signals=signals(f"d{n}")))
    assert not story.engine.state.standing.ledge.records
