"""Detection: what speaks against an assist, and what does not."""

from events.reasons import Reason
from tests.builders import assist, bargain, lottery, play_closed, signals, unlock, voided
from tests.unit.rules.given import Scenario, given_watched

MINUTE = 60
HOUR = 3_600
DAY = 86_400


def long_bargain(play: str = "b1", member: str = "owner", **fields: object) -> dict[str, object]:
    """A bargain for many helpers over days."""
    terms = {"start_minor": 100_000, "floor_minor": 10_000}
    return bargain(play, member, **{"helper_limit": 500, "ttl_s": 10 * DAY, "terms": terms, **fields})


def help_all(
    story: Scenario, helpers: list[str], play: str = "b1", *, start: int = 0, gap: int = HOUR, **fields: object
) -> list[str]:
    """Let members help a play one after the other; return what became of each at once."""
    made = fields.pop("signals_of", None)
    found = []
    for place, helper in enumerate(helpers):
        own = {} if made is None else {"signals": made(helper)}  # type: ignore[operator]
        # Irregular, as people are: by a fixed pattern of thirds.
        at = start + place * gap + (place * 7_919 % 3 - 1) * gap // 3
        story.when(assist(play, helper, **{**own, **fields}), at=max(at, start))
        found.append(story.kinds[0].removeprefix("assist."))
    return found


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def reasons_of(story: Scenario) -> set[str]:
    """Return the signals that the held or refused assist of the last message shows."""
    held = [d for d in story.decisions if d["kind"] in ("assist.held", "assist.refused")]
    return {reason.partition(":")[0] for reason in held[-1]["reasons"]}


def counted_of(story: Scenario, play: str = "b1") -> int:
    return story.engine.state.plays.plays[play].counted


def usual_days(story: Scenario) -> None:
    """Let 40 plays get help as it usually comes: from old accounts that somebody called, over two days."""
    plays = names("usual", 40)
    story.when([long_bargain(play, f"{play}-owner") for play in plays])
    for hour in range(10):
        given = [
            assist(play, f"{play}-{hour}", via=f"{play}-owner", signals=signals(f"{play}{hour}", f"{play}{hour}", 500))
            for play in plays
        ]
        story.when(given, at=hour * 5 * HOUR)


def stopped(made: list[str]) -> int:
    """Return how many did not count at once."""
    return len([what for what in made if what != "counted"])


def doubted_in(story: Scenario, play: str) -> list[dict[str, object]]:
    """Return every doubt about assists of a play since the beginning."""
    decisions = [d for entry in story.history for d in entry["decisions"] if d["kind"] == "assist.doubted"]
    return [d for d in decisions if d["play"] == play]


# What honest people do


def test_a_household_that_shares_a_telephone_helps_and_counts() -> None:
    story = given_watched(long_bargain())
    family = names("family", 3)
    made = help_all(story, family, via="owner", signals_of=lambda _: signals("telephone", "home", 400))
    assert made == ["counted"] * 3


def test_a_dormitory_behind_one_network_helps_and_counts() -> None:
    story = given_watched(long_bargain())
    students = names("student", 40)
    made = help_all(story, students, via="owner", gap=600, signals_of=lambda who: signals(who, "dormitory", 300))
    assert made == ["counted"] * 40


def test_a_carrier_s_network_with_thousands_behind_it_speaks_against_nobody() -> None:
    plays = names("p", 40)
    story = given_watched(*(long_bargain(play, f"owner-{play}") for play in plays), long_bargain())
    for place, play in enumerate(plays):
        somebody = names(f"{play}-", 3)
        help_all(
            story,
            somebody,
            play,
            start=place * HOUR,
            via=f"owner-{play}",
            signals_of=lambda w: signals(w, "carrier", 0),
        )
    late = help_all(
        story, names("m", 12), start=100 * HOUR, via="owner", signals_of=lambda who: signals(who, "carrier", 0)
    )
    assert late == ["counted"] * 12


def test_who_never_launched_or_helped_anything_is_not_suspected_for_it() -> None:
    story = given_watched(long_bargain())
    assert help_all(story, names("new", 30), gap=2 * HOUR) == ["counted"] * 30


def test_friends_who_return_a_favour_count() -> None:
    story = given_watched(long_bargain("of-a", "a"), long_bargain("of-b", "b"))
    assert help_all(story, ["b", "x1", "x2"], "of-a", via="a") == ["counted"] * 3
    assert help_all(story, ["a", "y1", "y2"], "of-b", start=DAY, via="b") == ["counted"] * 3


def test_help_that_spreads_from_helper_to_helper_may_be_fast() -> None:
    story = given_watched(long_bargain())
    sharer = "owner"
    for n in range(40):
        story.when(assist("b1", f"m{n}", via=sharer), at=n * 10)
        assert story.kinds[0] == "assist.counted", story.decisions
        sharer = f"m{n}"


# Devices and networks


def test_many_accounts_on_one_device_are_held_and_the_first_ones_doubted() -> None:
    story = given_watched(long_bargain())
    made = help_all(story, names("farm", 8), via="owner", signals_of=lambda _: signals("phone", None, 100))
    assert made[:3] == ["counted"] * 3
    assert "held" in made[3:5] and set(made[5:]) == {"held"}
    assert reasons_of(story) >= {"shared_device"}
    assert counted_of(story) == 0, "those that had counted are taken back"


def test_a_dozen_accounts_on_one_device_are_refused() -> None:
    story = given_watched(long_bargain())
    made = help_all(story, names("farm", 20), via="owner", signals_of=lambda _: signals("phone", None, 100))
    assert made[-1] == "refused"
    story.one("assist.refused", score=100)


def test_accounts_linked_through_several_devices_are_one_cluster() -> None:
    story = given_watched(long_bargain())
    accounts = names("farm", 12)
    for n, account in enumerate(accounts):  # each device is shared by two neighbours
        story.when(assist("b1", account, via="owner", signals=signals(f"phone{n // 2}")), at=n * HOUR)
    first = help_all(story, ["farm1b"], start=20 * HOUR, via="owner", signals_of=lambda _: signals("phone0"))
    assert first == ["held"]
    assert "paired_devices" in reasons_of(story)


def test_a_device_that_many_accounts_used_anywhere_speaks_against_each_of_them() -> None:
    plays = names("p", 16)
    story = given_watched(*(long_bargain(play, f"owner-{play}") for play in plays))
    made = []
    for place, play in enumerate(plays):
        made += help_all(
            story,
            [f"farm{place}"],
            play,
            start=place * HOUR,
            via=f"owner-{play}",
            signals_of=lambda _: signals("phone"),
        )
    assert made[:8] == ["counted"] * 8 and made[-1] == "held"
    assert reasons_of(story) == {"device_accounts"}


def test_young_accounts_on_one_network_are_held_where_accounts_are_old_elsewhere() -> None:
    story = given_watched(long_bargain())
    usual_days(story)
    made = help_all(
        story, names("farm", 16), start=50 * HOUR, gap=600, via="owner", signals_of=lambda w: signals(w, "cellar", 1)
    )
    assert made[-1] == "held"
    assert {"shared_network", "network_alike", "young_accounts"} <= reasons_of(story)


# Pace


def test_a_burst_of_help_that_nobody_called_is_held() -> None:
    story = given_watched(long_bargain())
    made = help_all(story, names("m", 30), start=DAY, gap=3)
    assert made[:7] == ["counted"] * 7 and made[-1] == "held"
    assert "burst" in reasons_of(story)
    assert counted_of(story) == 0


def test_help_that_comes_suddenly_after_a_quiet_day_stands_out_the_more() -> None:
    story = given_watched(long_bargain())
    help_all(story, ["first"], via="owner")
    help_all(story, names("m", 30), start=DAY, gap=5, via="owner")
    assert {"burst", "sudden"} <= reasons_of(story)


def test_help_at_an_even_pace_is_held_in_the_end() -> None:
    story = given_watched(long_bargain())
    for n in range(30):
        story.when(assist("b1", f"m{n}"), at=n * HOUR)
    assert story.kinds[0] == "assist.held"
    assert reasons_of(story) == {"steady_pace"}


# Circles


def test_a_ring_that_helps_only_itself_is_held_and_its_first_help_doubted() -> None:
    ring = names("ring", 9)
    story = given_watched(*(long_bargain(f"of-{member}", member) for member in ring))
    made = {}
    for place, member in enumerate(ring):
        others = [other for other in ring if other != member]
        made[member] = help_all(story, others, f"of-{member}", start=place * 9 * HOUR, gap=HOUR, via=member)
    assert made["ring0"] == ["counted"] * 8, "nothing is known at first"
    assert stopped(made["ring8"]) >= 6
    assert {"returned_help", "same_helpers"} <= reasons_of(story)
    assert sum(counted_of(story, f"of-{member}") for member in ring) <= 8


def test_the_same_strangers_in_play_after_play_are_held() -> None:
    pool = names("paid", 8)
    plays = names("p", 6)
    story = given_watched(*(long_bargain(play, f"customer-{play}") for play in plays))
    made = [
        help_all(story, pool, play, start=place * DAY // 2, gap=HOUR, via=f"customer-{play}")
        for place, play in enumerate(plays)
    ]
    assert made[0] == ["counted"] * 8
    assert stopped(made[-1]) >= 6
    assert "same_helpers" in reasons_of(story)


def test_helpers_who_met_before_in_the_plays_of_strangers_are_held_however_thinly_spread() -> None:
    pool = names("paid", 30)
    plays = names("p", 30)
    story = given_watched(*(long_bargain(play, f"customer-{play}") for play in plays))
    made = []
    for place, play in enumerate(plays):
        helpers = [pool[(place * 7 + step * step * 3) % 30] for step in range(10)]
        made.append(
            help_all(
                story, list(dict.fromkeys(helpers)), play, start=place * 4 * HOUR, gap=1_000, via=f"customer-{play}"
            )
        )
    assert stopped(made[0]) == 0
    assert stopped(made[-1]) * 2 > len(made[-1])
    assert "helpers_met_before" in reasons_of(story)


def test_accounts_that_all_move_to_new_devices_at_once_are_held() -> None:
    victims = names("m", 8)
    story = given_watched(long_bargain("old", "other"), long_bargain())
    help_all(story, victims, "old", via="other", signals_of=lambda who: signals(f"own-{who}", f"home-{who}", 500))
    made = help_all(
        story, victims, start=3 * DAY, via="owner", signals_of=lambda who: signals(f"new-{who}", f"far-{who}", 500)
    )
    assert made[-1] == "held"
    assert "moved_accounts" in reasons_of(story)


def test_who_comes_back_to_the_own_device_has_not_moved() -> None:
    victims = names("m", 8)
    story = given_watched(long_bargain("old", "a"), long_bargain("stolen", "b"), long_bargain("again", "c"))
    help_all(story, victims, "old", via="a", signals_of=lambda who: signals(f"own-{who}", f"home-{who}"))
    story.when(assist("stolen", "m0", via="b", signals=signals("thief", "far")), at=2 * DAY)
    story.when(assist("again", "m0", via="c", signals=signals("own-m0", "home-m0")), at=4 * DAY)
    assert story.kinds[0] == "assist.counted"


def test_help_that_nobody_was_notified_of_stands_out_where_others_were() -> None:
    story = given_watched(long_bargain())
    usual_days(story)
    made = help_all(story, names("x", 16), start=50 * HOUR, gap=1_000, signals_of=lambda who: signals(who, "cellar", 1))
    assert made[-1] == "held"
    assert "not_notified" in reasons_of(story)


def test_in_a_market_without_notices_their_absence_speaks_against_nobody() -> None:
    story = given_watched(long_bargain())
    made = help_all(story, names("x", 16), gap=1_000, signals_of=lambda who: signals(who, who, 1))
    assert made == ["counted"] * 16


# What becomes of it


def test_what_is_doubted_is_taken_back_visibly_and_can_be_counted_again() -> None:
    story = given_watched(long_bargain())
    for n in range(4):
        event = assist("b1", f"farm{n}", assist=f"a{n}", via="owner", signals=signals("phone"))
        story.when(event, at=n * HOUR)
    held = story.one("assist.held")
    taken_back = story.every("assist.doubted")
    assert [d["position"] for d in taken_back] == [1, 2, 3, 4][: len(taken_back)] and len(taken_back) >= 3
    assert all(d["because"].endswith(".0") and d["score"] >= 33 for d in taken_back)
    last = story.every("play.corrected")[-1]
    assert last["helpers"] == held["helpers"] - len(taken_back) and last["remaining_minor"] == 90_000
    story.when(voided("b1", "a0", "farm0", verdict="count")).then("assist.counted", "price.cut")
    story.when(voided("b1", "a1", "farm1")).then("assist.voided")
    story.when(voided("b1", "a1", "farm1")).then_refused(Reason.ASSIST_VOIDED)


def test_what_is_doubted_in_a_play_that_is_over_goes_on_counting_until_a_review() -> None:
    story = given_watched(long_bargain("first", "c1"), long_bargain("second", "c2"))
    pool = names("paid", 8)
    help_all(story, pool, "first", via="c1")
    story.when(play_closed("first"), at=20 * HOUR)
    help_all(story, pool, "second", start=2 * DAY, via="c2")
    over = doubted_in(story, "first")
    assert over and all(d["over"] for d in over)
    assert counted_of(story, "first") == 8, "a play that is over stays as it ended"
    assert counted_of(story, "second") == 0


def test_a_reward_is_not_unlocked_by_help_that_is_held() -> None:
    story = given_watched(unlock(tiers=((6, "coupon"),)))
    help_all(story, names("farm", 12), "u1", via="owner", signals_of=lambda _: signals("phone"))
    assert not [d for entry in story.history for d in entry["decisions"] if d["kind"] == "play.won"]


def test_in_a_lottery_that_is_everybody_s_each_sharer_s_help_is_looked_at_by_itself() -> None:
    story = given_watched(lottery("l1", ttl_s=10 * DAY))
    help_all(story, names("a", 3), "l1", via="sharer-a", signals_of=lambda _: signals("phone"))
    others = help_all(story, names("b", 3), "l1", start=9 * HOUR, via="sharer-b", signals_of=signals)
    assert others == ["counted"] * 3
    made = help_all(story, names("c", 6), "l1", start=15 * HOUR, via="sharer-a", signals_of=lambda _: signals("phone"))
    assert made[-1] == "held"
    assert story.one("assist.held")["member"] == "c5"


def test_detection_can_be_set_by_the_market() -> None:
    strict = given_watched(long_bargain(), standing={"hold_points": 40, "refuse_points": 80})
    made = help_all(strict, names("m", 4), via="owner", signals_of=lambda _: signals("phone"))
    assert made == ["counted", "counted", "held", "refused"]
