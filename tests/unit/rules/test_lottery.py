"""Lottery: tickets from assists and filled groups, prizes drawn at the close."""

from collections import Counter

from events.reasons import Reason
from tests.builders import (
    assist,
    cancelled,
    joined,
    lottery,
    offer,
    payment,
    play_closed,
    posted,
    voided,
)
from tests.unit.rules.given import Scenario, covers, given_plays

ACT = {"actor": "amy", "reason": "mistake", "ticket": "t-1"}


def winners(story: Scenario) -> list[tuple[str, str]]:
    return [(won["prize"], won["member"]) for won in story.every("play.won")]


def test_an_assist_gives_tickets_to_who_shared_and_prizes_are_drawn_at_the_close() -> None:
    story = given_plays(lottery(ttl_s=60))
    for n in range(9):
        story.when(assist("l1", f"h{n}", via=f"s{n % 3}")).then("assist.counted", "play.ticketed")
        assert story.one("play.ticketed")["member"] == f"s{n % 3}"
    assert story.one("play.ticketed")["total"] == 9
    story.when(assist("l1", via="s1"), at=60)
    closed = story.one("play.closed")
    assert (closed["tickets"], closed["entrants"], closed["winners"]) == (9, 3, 3)
    assert [prize for prize, _ in winners(story)] == ["kettle", "tea", "tea"]
    assert {member for _, member in winners(story)} == {"s0", "s1", "s2"}, "one prize a member"
    assert [won["draw"] for won in story.every("play.won")] == [1, 2, 3]


def test_a_member_may_win_several_times_where_the_lottery_says_so_but_never_twice_with_one_ticket() -> None:
    story = given_plays(lottery(prizes=[("tea", 5)], terms={"wins": "many"}))
    for n in range(4):
        story.when(assist("l1", f"h{n}", via="s1"))
    story.when(play_closed("l1"))
    assert story.one("play.closed")["winners"] == 4
    assert Counter(member for _, member in winners(story)) == {"s1": 4}


def test_with_fewer_entrants_than_prizes_each_wins_and_the_rest_is_not_drawn() -> None:
    story = given_plays(lottery(prizes=[("tea", 5)]), assist("l1", "h1", via="s1"), assist("l1", "h2", via="s2"))
    story.when(play_closed("l1"))
    assert story.one("play.closed")["winners"] == 2
    assert len(winners(story)) == 2


def test_without_tickets_nobody_wins() -> None:
    story = given_plays(lottery()).when(play_closed("l1"))
    story.then("play.closed")
    assert (story.one("play.closed")["tickets"], story.one("play.closed")["winners"]) == (0, 0)


def test_a_cancelled_lottery_draws_nothing_and_shows_its_seed_all_the_same() -> None:
    story = given_plays(lottery(), assist("l1", via="s1")).when(play_closed("l1", "cancelled", **ACT))
    story.then("play.closed")
    assert len(story.decisions[0]["seed"]) == 64
    assert story.decisions[0]["ticket"] == "t-1"


@covers(Reason.PLAY_INCOMPLETE)
def test_who_cancels_says_who_why_and_under_which_ticket() -> None:
    story = given_plays(lottery())
    story.when(play_closed("l1", "cancelled", actor="amy", reason="mistake")).then_refused(Reason.PLAY_INCOMPLETE)


def test_helpers_may_get_the_tickets_themselves_with_a_new_members_weight() -> None:
    story = given_plays(lottery(new_weight=3, terms={"tickets_to": "helper", "tickets_per_assist": 2}))
    story.when(assist("l1", "h1", signals={"account_age_days": 1}))
    assert (story.one("play.ticketed")["member"], story.one("play.ticketed")["tickets"]) == ("h1", 6)


@covers(Reason.VIA_REQUIRED)
def test_where_tickets_go_to_who_shared_it_must_be_said_who_did() -> None:
    given_plays(lottery()).when(assist("l1")).then_refused(Reason.VIA_REQUIRED)
    story = given_plays(lottery(member="owner")).when(assist("l1"))
    assert story.one("play.ticketed")["member"] == "owner"


def test_every_seat_of_a_filled_group_of_the_lotterys_offer_gets_tickets() -> None:
    story = given_plays(offer(), lottery(offer="tea", terms={"tickets_per_seat": 2}))
    story.when(posted("o1", "m1", payment=payment()))
    story.when(joined("o2", "m2", payment=payment()))
    story.then("seat.confirmed", "group.filled", "play.ticketed")
    assert (story.one("play.ticketed")["tickets"], story.one("play.ticketed")["total"]) == (2, 4)
    story.when(play_closed("l1"))
    assert story.one("play.closed")["entrants"] == 2
    assert {member for _, member in winners(story)} == {"m1", "m2"}


def test_each_page_of_a_large_group_gives_its_seats_their_tickets() -> None:
    terms = {"tickets_per_seat": 1}
    story = given_plays(offer(size=40, hold_s=0), lottery(offer="tea", prizes=[("tea", 100)], terms=terms))
    story.when(posted("o0", "m0"))
    for n in range(1, 40):
        story.when(joined(f"o{n}", f"m{n}"))
    assert [(x["page"], x["total"]) for x in story.every("play.ticketed")] == [(1, 32), (2, 40)]
    story.when(play_closed("l1"))
    assert {member for _, member in winners(story)} == {f"m{n}" for n in range(40)}
    pages = [len([d for d in entry["decisions"] if d["kind"] == "play.won"]) for entry in story.entries]
    assert pages == [0, 32, 8], "a page of draws an entry"


def test_groups_that_fill_after_the_close_give_nothing() -> None:
    story = given_plays(offer(hold_s=0), lottery(offer="tea", terms={"tickets_per_seat": 1}), posted("o1", "m1"))
    story.when(play_closed("l1"))
    story.when(joined("o2", "m2")).then("seat.confirmed", "group.filled")


def test_a_ticket_stays_when_its_seat_is_cancelled_after_the_fill() -> None:
    story = given_plays(offer(hold_s=0), lottery(offer="tea", terms={"tickets_per_seat": 1}), posted("o1", "m1"))
    story.when(joined("o2", "m2")).when(cancelled("o2")).when(play_closed("l1"))
    assert story.one("play.closed")["entrants"] == 2


@covers(Reason.PLAY_INCOMPLETE, Reason.OFFER_UNKNOWN, Reason.CAPACITY, Reason.PLAY_INCONSISTENT)
def test_groups_give_tickets_only_of_an_offer_that_is_listed_and_to_few_lotteries() -> None:
    given_plays().when(lottery(terms={"tickets_per_seat": 1})).then_refused(Reason.PLAY_INCOMPLETE)
    given_plays().when(lottery(offer="tea")).then_refused(Reason.OFFER_UNKNOWN)
    story = given_plays(offer())
    for n in range(8):
        story.when(lottery(f"l{n}", offer="tea", terms={"tickets_per_seat": 1})).then("play.opened")
    story.when(lottery("l8", offer="tea", terms={"tickets_per_seat": 1})).then_refused(Reason.CAPACITY)
    story.when(lottery("l9", prizes=[("a", 100_000), ("b", 1)])).then_refused(Reason.PLAY_INCONSISTENT)


def test_a_voided_assist_takes_its_tickets_off_the_list() -> None:
    story = given_plays(lottery(), assist("l1", "h1", via="s1", assist="a1"), assist("l1", "h2", via="s2"))
    story.when(voided("l1", "a1", "h1")).then("assist.voided", "play.corrected")
    assert story.one("play.corrected")["tickets"] == 1
    story.when(play_closed("l1"))
    assert (story.one("play.closed")["tickets"], story.one("play.closed")["entrants"]) == (1, 1)
    assert winners(story) == [("kettle", "s2")]


def test_tickets_voided_after_the_draw_are_a_claim_that_names_their_holder() -> None:
    story = given_plays(lottery(), assist("l1", "h1", via="s1", assist="a1")).when(play_closed("l1"))
    story.when(voided("l1", "a1", "h1")).then("assist.voided", "play.claimed")
    claim = story.one("play.claimed")
    assert (claim["member"], claim["tickets"]) == ("s1", 1)


def test_many_winners_are_drawn_in_pages_that_a_crash_does_not_change() -> None:
    story = given_plays(lottery(prizes=[("tea", 70)]))
    for n in range(100):
        story.when(assist("l1", f"h{n}", via=f"s{n}"))
    story.when(play_closed("l1"))  # given_plays tries a crash after each of the first entries
    assert len(set(winners(story))) == 70
    assert [len(entry["decisions"]) for entry in story.entries] == [1, 32, 32, 6]
