"""Unlock: assists unlock rewards, tier by tier."""

from events.reasons import Reason
from tests.builders import assist, play_closed, unlock, voided
from tests.unit.rules.given import covers, given_plays


def test_so_many_assists_unlock_a_reward_and_more_the_next_until_the_last_closes_the_play() -> None:
    story = given_plays(unlock(tiers=[(2, "c2"), (3, "c3")]))
    story.when(assist("u1")).then("assist.counted", "play.advanced")
    assert (story.one("play.advanced")["missing"], story.one("play.advanced")["helpers"]) == (1, 1)
    story.when(assist("u1")).then("assist.counted", "play.advanced", "play.won")
    assert story.one("play.won")["prize"] == "c2" and story.one("play.advanced")["missing"] == 1
    story.when(assist("u1")).then("assist.counted", "play.advanced", "play.won", "play.closed")
    assert story.one("play.won")["prize"] == "c3"
    assert (story.one("play.closed")["cause"], story.one("play.closed")["missing"]) == ("complete", 0)


def test_at_its_end_a_play_gives_nothing_more_and_says_how_much_was_missing() -> None:
    story = given_plays(unlock(ttl_s=60), assist("u1"))
    story.when(assist("u1"), at=60).then("play.closed", "refused")
    assert (story.decisions[0]["cause"], story.decisions[0]["missing"]) == ("ended", 1)


def test_a_new_member_counts_as_many_times_as_the_play_says_and_may_unlock_several_rewards() -> None:
    story = given_plays(
        unlock(tiers=[(1, "c1"), (2, "c2"), (9, "c9")], helper_limit=5, new_weight=3, new_within_days=30)
    )
    story.when(assist("u1", signals={"account_age_days": 29}))
    assert [won["prize"] for won in story.every("play.won")] == ["c1", "c2"]
    assert story.one("assist.counted")["new_member"] is True
    story.when(assist("u1", signals={"account_age_days": 30}))
    assert story.one("play.advanced")["reached"] == 4


def test_a_voided_assist_takes_back_the_reward_that_it_had_unlocked() -> None:
    story = given_plays(unlock(), assist("u1", "h1", assist="a1"), assist("u1", "h2"))
    story.when(voided("u1", "a1", "h1")).then("assist.voided", "play.corrected")
    corrected = story.one("play.corrected")
    assert (corrected["revoked"], corrected["reached"], corrected["missing"]) == (["c2"], 1, 1)
    story.when(assist("u1")).then("assist.counted", "play.advanced", "play.won")


def test_an_assist_voided_after_the_close_claims_what_would_not_have_been_unlocked() -> None:
    story = given_plays(unlock(tiers=[(2, "c2")]), assist("u1", "h1", assist="a1"), assist("u1", "h2", assist="a2"))
    story.when(voided("u1", "a1", "h1")).then("assist.voided", "play.claimed")
    assert story.one("play.claimed")["prizes"] == ["c2"]
    story.when(voided("u1", "a2", "h2")).then("assist.voided", "play.claimed")
    assert "prizes" not in story.one("play.claimed"), "a reward is claimed once"


@covers(Reason.PLAY_INCONSISTENT, Reason.PLAY_INCOMPLETE)
def test_tiers_rise_and_are_within_reach() -> None:
    given_plays().when(unlock(tiers=[(2, "a"), (2, "b")])).then_refused(Reason.PLAY_INCONSISTENT)
    given_plays().when(unlock(helper_limit=3)).then_refused(Reason.PLAY_INCONSISTENT)
    given_plays().when(unlock(helper_limit=2, new_weight=2)).then("play.opened")
    given_plays().when(unlock(member=None)).then_refused(Reason.PLAY_INCOMPLETE)
    given_plays().when(unlock(tiers=[])).then_refused(Reason.PLAY_INCONSISTENT)


@covers(Reason.NOTHING_TO_BUY)
def test_there_is_nothing_to_buy_where_nothing_has_a_price() -> None:
    given_plays(unlock()).when(play_closed("u1", "bought")).then_refused(Reason.NOTHING_TO_BUY)
