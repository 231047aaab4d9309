"""Who may invite whom, to what, and how often (RULES.md section 8.2)."""

from pathlib import Path
from typing import Any

import pytest

from events.link import BadLink, Link, check_link, link_key, read_link, sign_link
from events.reasons import Reason
from events.times import parse_time_ns
from services.matcher.domain.members import invitation_changes
from services.matcher.domain.standing.flags import UNCALLED
from tests.builders import (
    T0,
    JsonEvent,
    S,
    assist,
    bargain,
    blocked,
    consented,
    invited,
    joined,
    market,
    offer,
    paid,
    play_closed,
    play_market,
    pool_blocked,
    posted,
    preferred,
    reinstated,
    sanctioned,
    withdrew,
)
from tests.model.both import MARKET_KEY
from tests.unit.rules.given import Scenario, covers, given

ROOT = Path(__file__).resolve().parents[3]
DAY_S = 86_400
NO_PAUSE = {"pause_s": 0}
SHANGHAI = "Asia/Shanghai"


def _market(**rules: Any) -> JsonEvent:
    """Configure a market with these rules for invitations."""
    return market(timezone=SHANGHAI, invitations=rules)


def _agreed(*members: str, **rules: Any) -> Scenario:
    """Return a scenario in which each member has agreed to invitations by e-mail."""
    return given(_market(**{**NO_PAUSE, **rules}), *map(consented, members), model=False)


def _then_allowed(story: Scenario) -> dict[str, Any]:
    story.then("invitation.allowed")
    return story.decisions[0]


def _then_refused(story: Scenario, reason: Reason, **fields: Any) -> Scenario:
    return story.then_nothing_but("invitation.refused", reason=str(reason), **fields)


# Consent and blocks


@covers(Reason.NO_CONSENT)
def test_nobody_is_invited_who_did_not_agree_to_it() -> None:
    _then_refused(given(model=False).when(invited("m1", "m2")), Reason.NO_CONSENT)


@covers(Reason.NO_CONSENT)
def test_nobody_is_invited_by_another_channel_than_agreed_to() -> None:
    story = _agreed("m2")
    _then_refused(story.when(invited("m1", "m2", channel="wechat")), Reason.NO_CONSENT)
    _then_allowed(story.when(invited("m1", "m2")))


@covers(Reason.NO_CONSENT)
def test_nobody_is_invited_any_more_who_withdrew() -> None:
    story = _agreed("m2").when(withdrew("m2"))
    _then_refused(story.when(invited("m1", "m2")), Reason.NO_CONSENT)


@covers(Reason.NO_CONSENT)
def test_a_one_time_grant_is_for_one_invitation() -> None:
    story = given(_market(**NO_PAUSE), consented("m2", channel="wechat", one_time=True), model=False)
    assert _then_allowed(story.when(invited("m1", "m2", channel="wechat")))["grant"] == 1
    _then_refused(story.when(invited("m3", "m2", channel="wechat")), Reason.NO_CONSENT)
    story.when(consented("m2", channel="wechat", one_time=True))
    assert _then_allowed(story.when(invited("m3", "m2", channel="wechat")))["grant"] == 2


def test_an_invitation_under_a_standing_consent_takes_no_grant() -> None:
    story = given(_market(**NO_PAUSE), consented("m2"), consented("m2", one_time=True), model=False)
    assert "grant" not in _then_allowed(story.when(invited("m1", "m2")))


@covers(Reason.NO_CONSENT)
@pytest.mark.parametrize(
    ("preference", "detail"),
    [({"purposes": ["result"]}, "purposes"), ({"kinds": ["bargain"]}, "kinds"), ({"labels": ["red"]}, "labels")],
)
def test_who_prefers_other_things_is_not_invited_to_this(preference: dict[str, Any], detail: str) -> None:
    story = given(
        _market(),
        offer(labels=["green"]),
        posted("o1", "m1"),
        consented("m2"),
        preferred("m2", **preference),
        model=False,
    )
    _then_refused(story.when(invited("m1", "m2", group=story.group_of("o1"))), Reason.NO_CONSENT, detail=detail)


def test_who_prefers_one_of_its_labels_is_invited_to_a_group() -> None:
    wishes = preferred("m2", purposes=["invitation"], kinds=["group"], labels=["red", "green"])
    story = given(offer(labels=["green"]), posted("o1", "m1"), consented("m2"), wishes, model=False)
    _then_allowed(story.when(invited("m1", "m2", group=story.group_of("o1"))))


def test_a_pool_carries_no_labels_to_object_to() -> None:
    _then_allowed(_agreed("m2").when(preferred("m2", labels=["red"], kinds=["group"])).when(invited("m1", "m2")))


@covers(Reason.BLOCKED)
@pytest.mark.parametrize(("who", "whom"), [("m1", "m2"), ("m2", "m1")])
def test_a_block_between_the_two_beats_any_consent_whoever_set_it(who: str, whom: str) -> None:
    story = _agreed("m2").when(blocked(who, whom))
    _then_refused(story.when(invited("m1", "m2")), Reason.BLOCKED)
    _then_allowed(story.when(blocked(who, whom, lifted=True)).when(invited("m1", "m2")))


@covers(Reason.BLOCKED)
def test_who_keeps_away_from_a_pool_is_not_invited_to_it_nor_to_a_group_in_it() -> None:
    story = given(
        offer(), posted("o1", "m1", pool="hangzhou"), consented("m2"), pool_blocked("m2", "hangzhou"), model=False
    )
    _then_refused(story.when(invited("m1", "m2")), Reason.BLOCKED, detail="pool")
    _then_refused(story.when(invited("m1", "m2", group=story.group_of("o1"))), Reason.BLOCKED, detail="pool")
    _then_allowed(story.when(invited("m1", "m2", pool="suzhou")))


# What it is about


@covers(Reason.INVITATION_UNCLEAR, Reason.SELF_INVITATION)
def test_an_invitation_is_to_one_thing_and_to_somebody_else() -> None:
    story = _agreed("m1", "m2")
    story.when(invited("m1", "m2", pool="hangzhou", play="p1")).then_refused(Reason.INVITATION_UNCLEAR)
    story.when(invited("m1", "m2", pool=None)).then_refused(Reason.INVITATION_UNCLEAR)
    story.when(invited("m1", "m1")).then_refused(Reason.SELF_INVITATION)


@covers(Reason.GROUP_UNKNOWN, Reason.GROUP_OVER, Reason.ALREADY_IN_GROUP)
def test_nobody_is_invited_to_a_group_that_is_over_or_that_they_sit_in() -> None:
    story = given(offer(), posted("o1", "m1"), consented("m2"), joined("o2", "m2"), model=False)
    group = story.group_of("o1")
    story.when(invited("m1", "m2", group="g9-9")).then_refused(Reason.GROUP_UNKNOWN)
    story.when(invited("m1", "m2", group=group)).then_refused(Reason.ALREADY_IN_GROUP)
    story.when(paid("o1")).when(paid("o2"))
    story.when(invited("m1", "m2", group=group)).then_refused(Reason.GROUP_OVER)


def test_an_invitation_to_a_group_is_useful_until_the_groups_deadline() -> None:
    story = given(offer(group_ttl_s=3_600), posted("o1", "m1"), consented("m2"), model=False)
    allowed = _then_allowed(story.when(invited("m1", "m2", group=story.group_of("o1")), at=60))
    assert allowed["useful_until"] == T0 + 3_600 * S


def test_an_invitation_is_useful_as_long_as_was_claimed_but_no_longer_than_the_market_says() -> None:
    story = _agreed("m2", useful_s=3_600)
    soon, late = "2026-01-01T00:10:00Z", "2026-03-01T00:00:00Z"
    assert _then_allowed(story.when(invited("m1", "m2", useful_until=soon)))["useful_until"] == parse_time_ns(soon)
    assert _then_allowed(story.when(invited("m1", "m2", useful_until=late)))["useful_until"] == T0 + 3_600 * S


@covers(Reason.INVITATION_OVER)
def test_an_invitation_that_is_over_already_is_refused_half_open() -> None:
    story = _agreed("m2")
    story.when(invited("m1", "m2", useful_until="2026-01-01T00:00:00Z")).then_refused(Reason.INVITATION_OVER)


@covers(Reason.INVITATION_EXISTS)
def test_the_same_invitation_again_is_a_duplicate_and_another_one_under_its_id_is_refused() -> None:
    story = _agreed("m2", "m3")
    first = invited("m1", "m2", invitation="i1")
    story.when(first).when({**first, "id": "again"}).then_nothing_but("duplicate", original="invitation.allowed")
    story.when(invited("m1", "m3", invitation="i1")).then_refused(Reason.INVITATION_EXISTS)
    later = DAY_S + 301
    story.when(invited("m1", "m3", invitation="i1"), at=later).then("invitation.allowed")


def test_an_invitation_that_was_refused_may_be_asked_for_again_under_its_id() -> None:
    story = given(_market(**NO_PAUSE), model=False).when(invited("m1", "m2", invitation="i1"))
    story.when(consented("m2"))
    _then_allowed(story.when(invited("m1", "m2", invitation="i1")))


@covers(Reason.CAPACITY)
def test_a_market_remembers_so_many_invitations_only_and_makes_room_as_they_age() -> None:
    story = _agreed("m2", "m3", capacity=1).when(invited("m1", "m2"))
    story.when(invited("m1", "m3")).then_refused(Reason.CAPACITY)
    _then_allowed(story.when(invited("m1", "m3"), at=DAY_S + 301))


def test_the_shop_that_repeats_a_refused_event_hears_the_same_reason() -> None:
    refused = invited("m1", "m2")
    given(model=False).when(refused).when(refused).then_nothing_but(
        "duplicate", original="invitation.refused", reason="no_consent"
    )


# Caps


@covers(Reason.CAPPED_INVITER)
def test_an_inviter_sends_so_many_a_day_in_the_own_time_zone() -> None:
    story = _agreed("a", "b", "c", inviter_per_day=2).when(preferred("m1", timezone="America/New_York"))
    _then_allowed(story.when(invited("m1", "a"), at=0))  # New Year's Eve, 19:00 in New York
    _then_allowed(story.when(invited("m1", "b"), at=3_600))
    midnight = 5 * 3_600
    _then_refused(story.when(invited("m1", "c"), at=midnight - 1), Reason.CAPPED_INVITER)
    _then_allowed(story.when(invited("m1", "c"), at=midnight))


@covers(Reason.CAPPED_INVITER)
def test_without_a_time_zone_of_the_inviter_the_markets_day_counts() -> None:
    story = _agreed("a", "b", inviter_per_day=1)
    _then_allowed(story.when(invited("m1", "a"), at=0))  # 08:00 in Shanghai
    _then_refused(story.when(invited("m1", "b"), at=16 * 3_600 - 1), Reason.CAPPED_INVITER)
    _then_allowed(story.when(invited("m1", "b"), at=16 * 3_600))


@covers(Reason.CAPPED_INVITER)
def test_another_time_zone_does_not_end_a_day_that_has_begun() -> None:
    story = _agreed("a", "b", inviter_per_day=1).when(invited("m1", "a"))
    story.when(preferred("m1", timezone="Pacific/Kiritimati"), at=3 * 3_600)
    _then_refused(story.when(invited("m1", "b"), at=11 * 3_600), Reason.CAPPED_INVITER)  # the next day there


@covers(Reason.CAPPED_INVITER)
@pytest.mark.parametrize(
    ("begins", "hours"),
    [("2026-03-29T00:00:00+01:00", 23), ("2026-10-25T00:00:00+02:00", 25), ("2026-06-01T00:00:00+02:00", 24)],
)
def test_a_day_on_which_the_clock_is_changed_has_23_or_25_hours(begins: str, hours: int) -> None:
    at_s = (parse_time_ns(begins) - T0) // S
    story = _agreed("a", "b", inviter_per_day=1).when(preferred("m1", timezone="Europe/Berlin"))
    _then_allowed(story.when(invited("m1", "a"), at=at_s))
    _then_refused(story.when(invited("m1", "b"), at=at_s + hours * 3_600 - 1), Reason.CAPPED_INVITER)
    _then_allowed(story.when(invited("m1", "b"), at=at_s + hours * 3_600))


@covers(Reason.CAPPED_INVITEE)
def test_an_invitee_gets_so_many_a_day_from_all_inviters_together() -> None:
    story = _agreed("a", invitee_per_day=2)
    _then_allowed(story.when(invited("m1", "a")))
    _then_allowed(story.when(invited("m2", "a")))
    _then_refused(story.when(invited("m3", "a")), Reason.CAPPED_INVITEE)
    _then_allowed(story.when(invited("m3", "a"), at=16 * 3_600))


@covers(Reason.CAPPED_POOL)
def test_a_pool_sees_so_many_invitations_a_day_those_to_its_groups_included() -> None:
    story = _agreed("a", "b", "c", pool_per_day=2).when(offer(hold_s=0)).when(posted("o1", "m1", pool="hangzhou"))
    _then_allowed(story.when(invited("m1", "a")))
    _then_allowed(story.when(invited("m1", "b", group=story.group_of("o1"))))
    _then_refused(story.when(invited("m2", "c")), Reason.CAPPED_POOL)
    _then_allowed(story.when(invited("m2", "c", pool="suzhou")))
    _then_allowed(story.when(invited("m3", "c"), at=16 * 3_600))


@covers(Reason.TOO_SOON)
def test_between_two_invitations_of_one_inviter_to_one_invitee_lies_a_pause_half_open() -> None:
    story = _agreed("a", "b", pause_s=600).when(invited("m1", "a"))
    _then_refused(story.when(invited("m1", "a"), at=599), Reason.TOO_SOON)
    _then_allowed(story.when(invited("m1", "b"), at=599))
    _then_allowed(story.when(invited("m2", "a"), at=599))
    _then_allowed(story.when(invited("m1", "a"), at=600))


def test_what_is_refused_counts_for_no_cap() -> None:
    story = _agreed("a", inviter_per_day=1, pause_s=DAY_S)
    _then_refused(story.when(invited("m1", "b")), Reason.NO_CONSENT)
    _then_allowed(story.when(invited("m1", "a")))


def test_a_market_that_says_nothing_has_the_stated_caps() -> None:
    story = given(*(consented(f"m{i}") for i in range(30)), model=False)
    story.when([invited("a", f"m{i}") for i in range(21)])
    assert story.kinds == ["invitation.allowed"] * 20 + ["invitation.refused"]


def test_counters_are_forgotten_when_their_day_is_over() -> None:
    story = _agreed("a", pause_s=3_600)
    for day in range(30):
        for hour in (0, 2):
            story.when(invited(f"m{day}-{hour}", "a"), at=day * DAY_S + hour * 3_600)
    members = story.engine.state.members
    assert len(members.by_inviter.by_key) <= 4 and len(members.pauses.until_ns) <= 4 and len(members.invited) <= 5


# Standing


@covers(Reason.NO_CONSENT, Reason.RESTRICTED)
def test_who_keeps_being_refused_is_warned_then_limited_for_a_time() -> None:
    story = _agreed("a", warn_after=2, limit_after=3, limit_s=3_600)
    _then_refused(story.when(invited("m1", "x")), Reason.NO_CONSENT, refusals=1)
    assert "consequence" not in story.decisions[0]
    _then_refused(story.when(invited("m1", "y")), Reason.NO_CONSENT, refusals=2, consequence="warned")
    until = T0 + 3_600 * S
    _then_refused(story.when(invited("m1", "z")), Reason.NO_CONSENT, refusals=3, consequence="limited", until=until)
    _then_refused(story.when(invited("m1", "a"), at=3_599), Reason.RESTRICTED)
    _then_allowed(story.when(invited("m1", "a"), at=3_600))
    assert "consequence" not in _then_refused(story.when(invited("m1", "x")), Reason.NO_CONSENT).decisions[0]


@covers(Reason.RESTRICTED)
def test_who_is_limited_or_banned_may_not_invite_until_reinstated() -> None:
    story = given(_market(**NO_PAUSE), consented("a"), sanctioned("m9"), compared=False)
    _then_refused(story.when(invited("m9", "a")), Reason.RESTRICTED)
    _then_allowed(story.when(invited("m1", "a")))
    _then_allowed(story.when(reinstated("m9")).when(invited("m9", "a")))


def test_refusals_of_long_ago_do_not_count_any_more() -> None:
    story = _agreed(warn_after=2, refusals_window_s=600).when(invited("m1", "x"))
    _then_refused(story.when(invited("m1", "y"), at=600), Reason.NO_CONSENT, refusals=1)


@covers(Reason.CAPPED_INVITEE)
def test_a_cap_that_others_have_used_up_is_not_held_against_the_inviter() -> None:
    story = _agreed("a", invitee_per_day=0, warn_after=1)
    _then_refused(story.when(invited("m1", "a")), Reason.CAPPED_INVITEE)
    assert "consequence" not in story.decisions[0] and "refusals" not in story.decisions[0]


# Links


def test_an_allowed_invitation_carries_a_link_that_a_backend_can_check() -> None:
    story = given(offer(group_ttl_s=600), posted("o1", "m1"), consented("m2"), model=False)
    group = story.group_of("o1")
    token = _then_allowed(story.when(invited("m1", "m2", invitation="i1", group=group)))["link"]
    key = link_key(MARKET_KEY)
    link = check_link(key, "main", token, T0 // S + 599)
    assert (link.invitation, link.inviter, link.what, link.name) == ("i1", "m1", "group", group)
    with pytest.raises(BadLink, match="was good until"):
        check_link(key, "main", token, T0 // S + 600)
    with pytest.raises(BadLink, match="of the market main"):
        check_link(key, "other", token, T0 // S)


def test_a_link_is_the_one_that_the_page_of_bytes_shows() -> None:
    link = Link("main", "i-1", "m-1", "group", "g1041-0", 1_795_600_000)
    token = sign_link(link_key(bytes(range(32))), link)
    assert token in (ROOT / "events" / "BYTES.md").read_text(encoding="utf-8").splitlines()
    assert read_link(link_key(bytes(range(32))), token) == link


def test_a_link_that_was_made_up_or_changed_is_found_out() -> None:
    story = _agreed("m2")
    token: str = _then_allowed(story.when(invited("m1", "m2")))["link"]
    key = link_key(MARKET_KEY)
    changed = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    for forged in [*changed, token + "=", token[:-1], "", ".", "a.b", "é.b", token * 20]:
        with pytest.raises(BadLink):
            check_link(key, "main", forged, T0 // S)
    with pytest.raises(BadLink, match="not signed by this market"):
        check_link(link_key(b"x" * 32), "main", token, T0 // S)


def _playing(*more: JsonEvent) -> Scenario:
    """Return a scenario with a bargain about green tea that ends after an hour, and m2 who agreed to invitations."""
    about = offer("green-tea", labels=["green"])
    play = bargain("p1", "m1", offer="green-tea", ttl_s=3_600)
    return given(play_market(invitations=NO_PAUSE), about, play, consented("m2"), *more, model=False)


def test_an_invitation_to_a_play_is_useful_until_the_play_ends() -> None:
    allowed = _then_allowed(_playing().when(invited("m1", "m2", play="p1"), at=60))
    assert allowed["play"] == "p1" and allowed["useful_until"] == T0 + 3_600 * S


def test_detection_knows_who_was_invited_to_a_play_and_who_came_uncalled() -> None:
    story = _playing().when(invited("m1", "m2", play="p1"), at=60)
    story.when([assist("p1", "m2"), assist("p1", "m3")], at=90)
    assert _uncalled(story) == [0, UNCALLED]


def test_who_is_invited_beyond_what_the_market_knows_at_once_counts_as_uncalled_until_a_play_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invitation_changes, "INVITED_TO_PLAYS_MAX", 2)
    story = _playing(*(consented(f"m{n}") for n in range(3, 9)), bargain("p2", "m20", ttl_s=9_000))
    for n in range(2, 5):
        _then_allowed(story.when(invited("m1", f"m{n}", play="p1"), at=60 + n))
    story.when([assist("p1", f"m{n}") for n in range(2, 5)], at=90)
    assert _uncalled(story) == [0, 0, UNCALLED], "the third was invited, but there was no room to know it"
    story.when(consented("m9"), at=4_000).then("play.closed", "member.chose")
    for n in range(5, 8):
        _then_allowed(story.when(invited("m1", f"m{n}", play="p2"), at=4_000 + n))
    story.when([assist("p2", f"m{n}") for n in range(5, 8)], at=4_100)
    assert _uncalled(story)[3:] == [0, 0, UNCALLED], "the first play is over, and so are its two"


def _uncalled(story: Scenario) -> list[int]:
    watches = story.engine.state.standing.book.watches.values()
    return [watch.flags_at(row) & UNCALLED for watch in watches for row in range(watch.assists)]


@covers(Reason.PLAY_UNKNOWN, Reason.PLAY_OVER, Reason.SELF_HELP, Reason.ALREADY_HELPED)
def test_nobody_is_invited_to_a_play_that_they_cannot_help() -> None:
    story = _playing(consented("m1"))
    story.when(invited("m1", "m2", play="p9")).then_refused(Reason.PLAY_UNKNOWN)
    story.when(invited("m3", "m1", play="p1")).then_refused(Reason.SELF_HELP)
    story.when(assist("p1", "m2")).when(invited("m1", "m2", play="p1")).then_refused(Reason.ALREADY_HELPED)
    story.when(play_closed("p1")).when(invited("m1", "m2", play="p1")).then_refused(Reason.PLAY_OVER)


@covers(Reason.NO_CONSENT)
def test_who_prefers_other_kinds_or_labels_is_not_invited_to_a_play() -> None:
    story = _playing(preferred("m2", kinds=["group"]))
    _then_refused(story.when(invited("m1", "m2", play="p1")), Reason.NO_CONSENT, detail="kinds")
    story.when(preferred("m2", kinds=["bargain"], labels=["red"]))
    _then_refused(story.when(invited("m1", "m2", play="p1")), Reason.NO_CONSENT, detail="labels")
    _then_allowed(story.when(preferred("m2", labels=["green"])).when(invited("m1", "m2", play="p1")))


@covers(Reason.PUBLISHER_NOT_ALLOWED)
def test_only_who_is_listed_for_invitations_may_ask_for_them() -> None:
    story = given(market(publishers={"shop-a": ["order"]}), model=False)
    story.when(invited("m1", "m2")).then_refused(Reason.PUBLISHER_NOT_ALLOWED)
