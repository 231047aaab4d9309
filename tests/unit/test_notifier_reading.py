"""What an entry says to whom: amounts exactly, and each thing once."""

from typing import Any

import msgspec

from events import decisions as d
from events import member_decisions as m
from events import play_decisions as p
from events.decision import Decision
from events.dispute_decisions import DisputeOverdue
from events.record import Entry
from events.standing_decisions import MemberLimited, MemberReinstated
from events.times import format_time_ns
from services.notifier.policy.entries import only_seats, tells_beyond_results
from services.notifier.policy.known import KnownMarket, net
from services.notifier.policy.purposes import OPERATOR, Kind, Notice, Purpose
from services.notifier.policy.reading import USEFUL_FOR_S, Source, notices_of
from services.notifier.texts.texts import Texts
from tests.dispatch_setting import configured, entry, filled, invited, listed, opened, refund
from tests.notifier_journal import AT_NS, SHOP

NS = 10**9


def read(*entries: Entry, known: KnownMarket | None = None) -> list[Notice]:
    market = known or KnownMarket()
    found: list[Notice] = []
    for each in entries:
        found += notices_of(Source(each, 1, USEFUL_FOR_S), market)
        market.learn(each)
    return found


def test_a_full_group_says_what_each_saved_and_that_nothing_remains() -> None:
    (one,) = read(configured(1), listed(2, solo_minor=10_050), opened(3), filled(4))
    assert one.kind is Kind.FILLED
    assert one.decision == "4.0.0/0"
    assert one.fields["price_minor"] == 8_000
    assert one.fields["saved_minor"] == 2_050
    assert one.fields["remains_minor"] == 0
    assert one.fields["currency"] == "CNY"


def test_where_nothing_is_paid_through_the_market_the_price_by_size_remains_to_be_paid() -> None:
    tiers = [{"size": 3, "price_minor": 7_000}]
    terms = listed(2, hold_s=0, tiers=tiers, size=2, max_size=5, close="at_deadline", leader_minor=5_000)
    seats = [d.SeatRef(order=f"o-{at}", member=f"m-{at}", publisher=SHOP, quantity=2) for at in range(3)]
    closing = d.GroupFilled(group="g-1", offer="tea", cause="deadline", size=3, seats=seats)
    leader, follower, _ = read(configured(1), terms, opened(3), entry(4, closing))
    assert (leader.fields["remains_minor"], leader.fields["saved_minor"]) == (10_000, 10_000)
    assert (follower.fields["remains_minor"], follower.fields["saved_minor"]) == (14_000, 6_000)


def test_without_a_price_for_buying_alone_nothing_is_said_of_saving() -> None:
    (one,) = read(configured(1), listed(2, solo_minor=None), opened(3), filled(4))
    assert one.fields["saved_minor"] is None


def test_a_group_counts_under_the_terms_that_it_opened_under() -> None:
    changed = {"specversion": "1.0", "type": "groupbuy.offer.changed.v1", "id": "e-c", "source": "/t"}
    dearer = entry(
        4, d.OfferListed(offer="tea", edition=2), event={**changed, "data": {"offer": "tea", "solo_minor": 1}}
    )
    (one,) = read(configured(1), listed(2), opened(3), dearer, filled(5))
    assert one.fields["saved_minor"] == 2_000


def test_terms_that_an_offer_leaves_out_come_from_the_market() -> None:
    defaults = {"solo_minor": 9_000}
    (one,) = read(configured(1, offer_defaults=defaults), listed(2, solo_minor=None), opened(3), filled(4))
    assert one.fields["saved_minor"] == 1_000


def test_two_seats_of_one_member_are_told_together() -> None:
    seats = [d.SeatRef(order=f"o-{at}", member="ann", publisher=SHOP, price_minor=8_000) for at in range(2)]
    closing = d.GroupFilled(group="g-1", offer="tea", cause="target", size=2, seats=seats)
    (one,) = read(configured(1), listed(2), opened(3), entry(4, closing))
    assert one.fields["orders"] == ["o-0", "o-1"]
    assert (one.fields["price_minor"], one.fields["saved_minor"]) == (16_000, 4_000)


def test_the_refund_of_a_group_that_ends_is_told_with_its_end_and_not_again() -> None:
    seat = d.SeatRef(order="o-1", member="ann", publisher=SHOP)
    expired = d.GroupExpired(group="g-1", offer="tea", missing=1, seats=[seat])
    due = d.RefundDue(
        refund="r-1",
        order="o-1",
        payment="p-1",
        amount_minor=8_000,
        currency="CNY",
        cause="expired",
        publisher=SHOP,
        member="ann",
    )
    (one,) = read(entry(1, expired, due))
    assert (one.kind, one.fields["missing"], one.fields["refund_minor"]) == (Kind.EXPIRED, 1, 8_000)


def test_a_refund_by_itself_is_told_and_one_of_nobody_is_not() -> None:
    (one,) = read(refund(1))
    assert (one.kind, one.member, one.fields["refund_minor"]) == (Kind.REFUND_DUE, "m-1", 500)
    nobody = d.RefundDue(
        refund="r", order="o", payment="p", amount_minor=1, currency="CNY", cause="unknown_order", publisher=SHOP
    )
    assert read(entry(2, nobody)) == []


def test_an_invitation_is_useful_no_longer_than_the_matcher_says() -> None:
    (one,) = read(invited(1, useful_until=AT_NS + 5 * NS))
    assert (one.kind, one.useful_until_ns, one.inviter, one.via) == (Kind.INVITED, AT_NS + 5 * NS, "m-9", "email")


class Resolved(Decision, tag="dispute.resolved", kw_only=True):
    """As the family of disputes decides it."""

    dispute: str
    member: str
    verdict: str


def test_a_claimant_hears_of_each_step_of_a_dispute() -> None:
    resolved: Any = Resolved(dispute="d-1", member="ann", verdict="upheld")
    (one,) = read(entry(1, resolved))
    assert (one.kind, one.member, one.fields["step"], one.fields["verdict"]) == (
        Kind.DISPUTE,
        "ann",
        "resolved",
        "upheld",
    )


def test_a_cut_price_and_a_won_prize_are_results() -> None:
    cut = p.PriceCut(
        play="p-1",
        member="ann",
        position=1,
        cut_minor=5,
        remaining_minor=95,
        price_minor=995,
        currency="CNY",
        helpers=1,
        helpers_left=9,
        publisher=SHOP,
    )
    won = p.PlayWon(play="p-2", form="lottery", member="bob", prize="tea", draw=1, helpers=3, publisher=SHOP)
    nobody = p.PlayWon(play="p-2", form="lottery", prize="tea", draw=2, helpers=3, publisher=SHOP)
    one, two = read(entry(1, cut, won, nobody))
    assert (one.kind, one.fields["cut_minor"], one.fields["remains_minor"]) == (Kind.PRICE_CUT, 5, 95)
    assert (two.kind, two.member, two.fields["prize"]) == (Kind.DRAW, "bob", "tea")


def test_a_group_whose_winners_are_drawn_tells_each_member_whether_it_has_won_and_what_goes_back() -> None:
    winner = d.SeatRef(order="o-1", member="ann", publisher=SHOP, price_minor=8_000, won=True)
    loser = d.SeatRef(order="o-2", member="bob", publisher=SHOP, won=False)
    closing = d.GroupFilled(group="g-1", offer="tea", cause="target", size=2, seats=[winner, loser], seed="00")
    due = d.RefundDue(
        refund="r-1",
        order="o-2",
        payment="p-2",
        amount_minor=8_000,
        currency="CNY",
        cause="not_drawn",
        publisher=SHOP,
        member="bob",
    )
    one, two = read(configured(1), listed(2, solo_minor=10_000), opened(3), entry(4, closing, due))
    assert (one.kind, one.fields["won"], one.fields["prize"], one.fields["price_minor"]) == (
        Kind.DRAW,
        True,
        "tea",
        8_000,
    )
    assert (two.kind, two.fields["won"], two.fields["prize"], two.fields["refund_minor"]) == (
        Kind.DRAW,
        False,
        None,
        8_000,
    )
    told = Texts().render(two.kind, two.fields, two.member, "en")
    assert "not won" in told.title
    assert "80.00 CNY of what you paid goes back" in told.body
    assert "saved" not in told.body


def test_a_reminder_is_of_use_until_its_week_ends() -> None:
    reminded = m.MemberReminded(
        member="m-1", limit="groups", set_by="member", used=3, most=3, week_ends=AT_NS + 60 * NS
    )
    (one,) = read(entry(1, reminded))
    assert (one.kind, one.useful_until_ns) == (Kind.LIMIT_REACHED, AT_NS + 60 * NS)


def test_what_is_remembered_of_a_market_can_be_written_down_and_read_again() -> None:
    market, rows = KnownMarket(), {}
    for each in (configured(1), listed(2), opened(3), opened(4, group="g-2")):
        for change in market.learn(each):
            rows[(change.kind, change.name)] = change.body
    for change in market.learn(filled(5, group="g-2")):
        assert change.body is None
        del rows[(change.kind, change.name)]
    again = KnownMarket()
    again.load((kind, name, body) for (kind, name), body in rows.items() if body is not None)
    assert (again.offers, again.groups, again.zone) == (market.offers, market.groups, market.zone)
    assert read(filled(6), known=again) == read(filled(6), known=market)


def test_of_a_group_that_opened_and_ended_at_once_nothing_is_written_down_and_of_others_what_came_of_them() -> None:
    market = KnownMarket()
    before = [change for each in (listed(1), opened(2)) for change in market.learn(each)]
    assert net(before) == before
    after = [
        change
        for each in (opened(3, group="g-2"), filled(4, group="g-1"), filled(5, group="g-2"), opened(6, group="g-3"))
        for change in market.learn(each)
    ]
    assert [(change.name, change.body is None) for change in net(after)] == [("g-1", True), ("g-3", False)]


def test_a_change_of_standing_is_told_to_its_member_without_what_it_was_counted_from() -> None:
    given = {"member": "ann", "ground": "assists_held", "strikes": 3, "evidence_entries": ["1.0.0"]}
    limited = entry(4, MemberLimited(**given, until=AT_NS))
    back = entry(5, MemberReinstated(member="ann", cause="expired", was="limited"))
    told = read(limited, back)
    assert [(one.member, one.kind, one.fields["step"]) for one in told] == [
        ("ann", Kind.STANDING, "limited"),
        ("ann", Kind.STANDING, "reinstated"),
    ]
    assert told[0].fields["until"] == format_time_ns(AT_NS)
    assert told[0].fields.keys() == {"step", "until"}


def test_an_overdue_dispute_is_told_to_its_claimant_and_to_the_operators() -> None:
    overdue = entry(4, DisputeOverdue(dispute="d-1", stage="answer", member="ann"))
    claimant, operator = read(overdue)
    assert (claimant.member, claimant.kind, claimant.fields["step"]) == ("ann", Kind.DISPUTE, "overdue")
    assert (operator.member, operator.purpose) == (OPERATOR, Purpose.OPERATOR_ALERT)
    assert "nobody has answered" in Texts().render(operator.kind, operator.fields, OPERATOR, "en").body.lower()


def test_what_no_channel_for_results_needs_is_known_before_it_is_read() -> None:
    from tests.notifier_journal import confirmed, expired

    def raw(each: Entry) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(each))

    assert only_seats(raw(confirmed(1)))
    assert not any(
        only_seats(raw(each)) for each in (confirmed(1, 4, fills=5), expired(2, [("ann", SHOP)]), refund(3), invited(4))
    )
    assert [tells_beyond_results(each) for each in (invited(1), filled(2), refund(3))] == [True, False, False]
