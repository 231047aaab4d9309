"""Plays: what every form has in common."""

import msgspec

from events import fair
from events.limits import ID_MAX_CHARS, PIECE_MAX_BYTES
from events.reasons import Reason
from events.times import format_time_ns
from services.matcher.domain.engine import Engine
from tests.builders import (
    DAY,
    MARKET_KEY,
    PLAY_FAMILIES,
    SHOP,
    T0,
    S,
    assist,
    bargain,
    event,
    joined,
    lottery,
    market,
    offer,
    payment,
    play_closed,
    play_market,
    posted,
    unlock,
    voided,
)
from tests.model.both import FACTS, ZONES
from tests.unit.rules.given import Scenario, covers, given_plays


@covers(Reason.PLAY_EXISTS)
def test_a_plays_id_is_used_once() -> None:
    given_plays(bargain()).when(unlock("b1")).then_refused(Reason.PLAY_EXISTS)


@covers(Reason.PLAY_FORM_UNKNOWN)
def test_a_form_that_the_rules_do_not_know_is_refused() -> None:
    given_plays().when(event("play.opened", play="x1", form="tombola")).then_refused(Reason.PLAY_FORM_UNKNOWN)


@covers(Reason.DRAWS_NOT_COMMITTED)
def test_no_play_opens_before_the_market_has_committed_to_the_secret_at_hand() -> None:
    story = Scenario(model=False)
    story.when(market(publishers={SHOP: PLAY_FAMILIES})).when(bargain()).then_refused(Reason.DRAWS_NOT_COMMITTED)
    story.when(play_market(secret_commitment="ab" * 32)).when(bargain()).then_refused(Reason.DRAWS_NOT_COMMITTED)
    story.when(play_market()).when(bargain()).then("play.opened")


@covers(Reason.PUBLISHER_NOT_ALLOWED)
def test_only_who_is_listed_for_it_opens_plays_but_the_operator_always_may() -> None:
    story = given_plays()
    story.when(play_market(publishers={SHOP: ["assist"]}))
    story.when(bargain()).then_refused(Reason.PUBLISHER_NOT_ALLOWED)
    story.when(bargain(), by="operator").then("play.opened")


def test_a_play_ends_at_its_time_or_after_its_ttl_whichever_comes_first_and_after_a_day_by_default() -> None:
    def ends_at(**fields: object) -> int:
        return given_plays().when(bargain(**fields)).one("play.opened")["ends_at"] - T0

    assert ends_at() == DAY
    assert ends_at(ttl_s=60) == 60 * S
    assert ends_at(ends_at=format_time_ns(T0 + 90 * S)) == 90 * S
    assert ends_at(ends_at=format_time_ns(T0 + 90 * S), ttl_s=60) == 60 * S
    assert ends_at(ends_at=format_time_ns(T0 + 90 * S), ttl_s=900) == 90 * S


@covers(Reason.PLAY_INCONSISTENT)
def test_a_play_does_not_end_before_it_has_begun() -> None:
    given_plays().when(bargain(ends_at=format_time_ns(T0))).then_refused(Reason.PLAY_INCONSISTENT)


@covers(Reason.PLAY_OVER)
def test_closing_twice_is_refused() -> None:
    story = given_plays(bargain(), play_closed("b1"))
    before = msgspec.json.encode(story.engine.state.plays)
    story.when(play_closed("b1")).then_refused(Reason.PLAY_OVER)
    assert msgspec.json.encode(story.engine.state.plays) == before, "nothing has changed"


def test_the_seed_is_committed_to_at_the_opening_and_shown_at_the_close() -> None:
    for opened in (bargain("p1"), lottery("p1"), unlock("p1")):
        story = given_plays().when(opened)
        commitment = story.one("play.opened")["seed_sha256"]
        seed = bytes.fromhex(story.when(play_closed("p1")).one("play.closed")["seed"])
        assert fair.seed_commitment(seed) == commitment
        assert seed == fair.seed_of(fair.secret_of(MARKET_KEY), "main", "play", "p1", 2, 0)


def test_a_play_of_a_name_that_is_used_again_has_another_seed() -> None:
    story = given_plays(bargain(), order_memory_s=0, replay_window_s=60, future_slack_s=0)
    first = story.when(play_closed("b1")).one("play.closed")["seed"]
    story.when(bargain("b2"), at=61)
    story.when(bargain("b1"), at=62).then("play.opened")
    assert story.when(play_closed("b1")).one("play.closed")["seed"] != first


def test_the_secret_and_the_seeds_of_open_plays_are_in_no_entry_and_no_snapshot() -> None:
    story = given_plays(lottery(), bargain(), assist("b1"), assist("l1", via="s1"))
    secret = fair.secret_of(MARKET_KEY)
    seeds = [fair.seed_of(secret, "main", "play", name, seq, 0) for name, seq in (("l1", 2), ("b1", 3))]
    log = repr(story.history).encode() + story.engine.snapshot()
    for hidden in (secret, MARKET_KEY, *seeds):
        assert hidden not in log and hidden.hex().encode() not in log and repr(hidden).encode() not in log


def test_a_hundred_plays_that_end_in_one_instant_end_in_bounded_pieces() -> None:
    story = given_plays(*(bargain(f"b{n}", ttl_s=60) for n in range(100)))
    story.when(bargain("late"), at=60)
    assert [len(entry["decisions"]) for entry in story.entries] == [32, 32, 32, 4, 1]


def test_no_entry_of_draws_or_ends_or_tickets_passes_its_bound_whatever_the_names() -> None:
    long = "x" * (ID_MAX_CHARS - 4)
    tickets = {"tickets_per_seat": 1}
    by = f"{long}shop"
    story = given_plays(publishers={by: PLAY_FAMILIES}).when(offer(f"{long}off", size=64, winners=1), by=by)
    for n in range(8):
        prizes = [(f"{long}{n:03d}", 64)]
        story.when(lottery(f"{long}l{n:02d}", prizes, offer=f"{long}off", ttl_s=60, terms=tickets), by=by)
    story.when(posted(f"{long}o000", f"{long}m000", offer=f"{long}off", payment=payment()), by=by)
    for n in range(1, 64):
        who = {"order": f"{long}o{n:03d}", "member": f"{long}m{n:03d}", "offer": f"{long}off"}
        story.when(joined(**who, payment=payment(payment=f"{long}p{n:03d}")), by=by)
    assert len(story.every("play.ticketed")) == 2 * 8
    story.when(offer("other"), at=60, by=by)
    assert len(story.every("play.won")) == 8 * 64
    for entry in story.history:
        assert len(msgspec.json.encode(entry["decisions"])) <= PIECE_MAX_BYTES


def test_a_play_is_forgotten_some_time_after_its_end_and_its_assists_with_it() -> None:
    story = given_plays(bargain(), assist(), assist(), order_memory_s=0, replay_window_s=60, future_slack_s=0)
    story.when(play_closed("b1"))
    plays = story.engine.state.plays
    assert (plays.assists, len(plays.plays)) == (2, 1)
    story.when(bargain("b2"), at=61)
    assert (plays.assists, list(plays.plays)) == (0, ["b2"])


def test_a_snapshot_in_the_middle_of_everything_goes_on_alike() -> None:
    story = given_plays(bargain(helper_limit=40), lottery(), unlock(), assist("b1", "h1", assist="a1"))
    for n in range(30):
        story.when([assist("b1"), assist("l1", via=f"s{n}")])
    other = Engine.restore("main", FACTS, story.engine.snapshot(), ZONES)
    assert msgspec.msgpack.decode(other.snapshot()) == msgspec.msgpack.decode(story.engine.snapshot())
    story.restart(from_snapshot=True)
    story.when(voided("b1", "a1", "h1")).then("assist.voided", "play.corrected")
    story.when(play_closed("l1"))
    assert len(story.every("play.won")) == 3
