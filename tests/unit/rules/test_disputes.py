"""Disputes (RULES.md section 11): from claim to remedy, who decides, what comes back, and what is overdue."""

import pytest

from events.reasons import Reason
from events.refund import of_resolution, refund_id
from tests.builders import (
    DAY,
    T0,
    S,
    answered,
    appealed,
    assist,
    bargain,
    cancelled,
    claimed,
    evidenced,
    joined,
    limited_self,
    offer,
    paid,
    payment,
    play_market,
    posted,
    refund_settled,
    resolved,
    sanctioned,
    ticked,
    withdrawn,
)
from tests.unit.rules.followed import FollowedScenario, given_followed
from tests.unit.rules.given import covers

CLAIM_S = 30 * 86_400
ANSWER_S = 3 * 86_400
RESOLVE_S = 10 * 86_400
APPEAL_S = 7 * 86_400


def filled_group(**configuration: object) -> FollowedScenario:
    """A group of two that is filled at second 0: orders o1 of m-1 and o2 of m-2, 80.00 CNY each."""
    first = posted("o1", "m-1", payment=payment(payment="p1"))
    second = joined("o2", "m-2", payment=payment(payment="p2"))
    scenario = given_followed(**configuration)
    for event in (offer(), first, second):
        scenario.when(event)
    assert "group.filled" in scenario.kinds
    return scenario


def a_dispute(**configuration: object) -> FollowedScenario:
    """A dispute d-1 about o1, answered by the shop."""
    return filled_group(**configuration).when(claimed("o1", "m-1"), at=1).when(answered(), at=2)


# Claims


def test_a_claim_about_an_order_says_until_when_it_is_answered_and_resolved() -> None:
    claim = filled_group().when(claimed("o1", "m-1"), at=60).one("dispute.opened")
    assert (claim["order"], claim["publisher"], claim["offer"]) == ("o1", "shop-a", "tea")
    assert claim["answer_until"] == T0 + (60 + ANSWER_S) * S
    assert claim["resolve_until"] == T0 + (60 + RESOLVE_S) * S


def test_a_claim_about_a_group_is_about_the_claimants_order_in_it() -> None:
    scenario = filled_group()
    group = scenario.group_of("o2")
    assert scenario.when(claimed(group, "m-2", about="group"), at=1).one("dispute.opened")["order"] == "o2"


@covers(Reason.SUBJECT_UNKNOWN, Reason.NOT_CONCERNED)
def test_nobody_disputes_what_is_not_known_or_not_theirs() -> None:
    scenario = filled_group()
    scenario.when(claimed("o9", "m-1")).then_refused(Reason.SUBJECT_UNKNOWN)
    scenario.when(claimed("o2", "m-1")).then_refused(Reason.NOT_CONCERNED)
    scenario.when(claimed("g9-0", "m-1", about="group")).then_refused(Reason.SUBJECT_UNKNOWN)
    scenario.when(claimed(scenario.group_of("o1"), "m-3", about="group")).then_refused(Reason.NOT_CONCERNED)


@covers(Reason.DISPUTE_EXISTS)
def test_one_thing_is_disputed_once_at_a_time_by_one_member() -> None:
    scenario = filled_group().when(claimed("o1", "m-1"), at=1)
    scenario.when(claimed("o2", "m-2")).then_refused(Reason.DISPUTE_EXISTS)
    scenario.when(claimed("o1", "m-1", "d-2")).then_refused(Reason.DISPUTE_EXISTS)
    scenario.when(claimed("o2", "m-2", "d-2")).then("dispute.opened")


@covers(Reason.CLAIM_TOO_LATE)
def test_the_claim_period_is_half_open_and_begins_when_the_order_ended() -> None:
    rules = {"claim_s": 1_000}
    scenario = filled_group(disputes=rules)
    scenario.when(claimed("o1", "m-1"), at=999.999999999).then("dispute.opened")
    scenario.when(claimed("o2", "m-2", "d-2"), at=1_000).then_refused(Reason.CLAIM_TOO_LATE)


def test_an_order_that_still_has_its_seat_can_be_disputed_at_any_time() -> None:
    scenario = given_followed(offer(), posted("o1", "m-1"), disputes={"claim_s": 1})
    scenario.when(claimed("o1", "m-1"), at=600).then("dispute.opened")


def test_a_notice_is_taken_at_the_claimants_word_within_the_claim_period_of_when_it_is_said_to_have_come() -> None:
    scenario = given_followed()
    claim = claimed("n-1", "m-1", about="notice", happened_at="2025-12-01T00:00:00Z")
    scenario.when(claim, at=1).then_refused(Reason.CLAIM_TOO_LATE)
    scenario.when(claimed("n-1", "m-1", about="notice"), at=2).then("dispute.opened")


def test_disputes_have_a_capacity() -> None:
    scenario = filled_group(disputes={"capacity": 1}).when(claimed("o1", "m-1"))
    scenario.when(claimed("o2", "m-2", "d-2")).then_refused(Reason.CAPACITY)


# Answers and evidence


@covers(Reason.DISPUTE_UNKNOWN, Reason.ANSWER_TOO_LATE)
def test_an_answer_comes_before_its_deadline() -> None:
    scenario = filled_group().when(claimed("o1", "m-1"), at=0)
    scenario.when(answered("d-9")).then_refused(Reason.DISPUTE_UNKNOWN)
    scenario.when(answered(), at=ANSWER_S - 0.000000001).then("dispute.answered")
    scenario.when(answered(), at=ANSWER_S).then_refused(Reason.ANSWER_TOO_LATE)


@covers(Reason.EVIDENCE_KNOWN)
def test_evidence_is_a_commitment_and_counted() -> None:
    scenario = a_dispute().when(evidenced("ab" * 32))
    assert scenario.one("dispute.evidenced")["number"] == 1
    scenario.when(evidenced("ab" * 32)).then_refused(Reason.EVIDENCE_KNOWN)
    assert scenario.when(evidenced("cd" * 32)).one("dispute.evidenced")["number"] == 2


def test_a_dispute_takes_sixty_four_pieces_of_evidence() -> None:
    scenario = a_dispute()
    for number in range(64):
        scenario.when(evidenced(f"{number:064x}")).then("dispute.evidenced")
    scenario.when(evidenced("f" * 64)).then_refused(Reason.CAPACITY)


def test_a_missing_answer_is_told_once_at_its_deadline() -> None:
    scenario = filled_group().when(claimed("o1", "m-1"), at=0).when(ticked(), at=ANSWER_S - 0.000000001)
    assert scenario.every("dispute.overdue") == []
    assert scenario.when(ticked(), at=ANSWER_S).one("dispute.overdue")["stage"] == "answer"
    assert scenario.when(ticked(), at=ANSWER_S + 1).every("dispute.overdue") == []
    assert scenario.when(ticked(), at=RESOLVE_S).one("dispute.overdue")["stage"] == "resolution"
    assert scenario.when(ticked(), at=RESOLVE_S + 1).every("dispute.overdue") == []


# Resolutions


@covers(Reason.ANSWER_AWAITED, Reason.DISPUTE_OVER)
def test_nobody_decides_before_the_other_side_has_answered_or_its_time_is_over() -> None:
    scenario = filled_group().when(claimed("o1", "m-1"), at=0)
    scenario.when(resolved("refund"), at=1).then_refused(Reason.ANSWER_AWAITED)
    scenario.when(resolved("refund"), at=ANSWER_S).then("dispute.overdue", "dispute.resolved", "refund.due")
    scenario.when(resolved("refund")).then_refused(Reason.DISPUTE_OVER)


def test_a_refund_is_due_in_the_resolutions_entry_with_an_id_that_anyone_can_derive() -> None:
    scenario = a_dispute().when(resolved("refund", remedy={"amount_minor": 3_000}))
    scenario.then("dispute.resolved", "refund.due")
    due = scenario.one("refund.due", cause="dispute", amount_minor=3_000, order="o1", member="m-1")
    assert due["refund"] == refund_id("o1", "p1", of=of_resolution("d-1", 1))
    scenario.when(refund_settled(due["refund"])).then("refund.closed")


@covers(Reason.REFUND_TOO_LARGE, Reason.NOTHING_TO_REFUND)
def test_no_refund_is_larger_than_what_was_paid_and_not_refunded_yet() -> None:
    scenario = a_dispute()
    scenario.when(resolved("refund", remedy={"amount_minor": 8_001})).then_refused(Reason.REFUND_TOO_LARGE)
    scenario.when(resolved("refund", remedy={"amount_minor": 5_000})).then("dispute.resolved", "refund.due")
    scenario.when(appealed()).when(resolved("refund", remedy={"amount_minor": 3_001}, actor="cs-8"))
    scenario.then_refused(Reason.REFUND_TOO_LARGE)
    assert scenario.when(resolved("refund", actor="cs-8")).one("refund.due")["amount_minor"] == 3_000
    scenario.when(claimed("o2", "m-2", "d-2")).when(answered("d-2"))
    scenario.when(cancelled("o2"))
    scenario.when(resolved("refund", "d-2")).then_refused(Reason.NOTHING_TO_REFUND)


def test_an_order_that_got_everything_back_is_owed_nothing_when_it_is_cancelled() -> None:
    a_dispute().when(resolved("refund")).when(cancelled("o1")).then("seat.released")


def test_an_order_that_got_a_part_back_is_owed_the_rest_when_it_is_cancelled() -> None:
    scenario = a_dispute().when(resolved("refund", remedy={"amount_minor": 3_000})).when(cancelled("o1"))
    assert scenario.one("refund.due")["amount_minor"] == 5_000


@covers(Reason.ORDER_STILL_SEATED)
def test_an_order_in_an_open_group_is_released_not_refunded() -> None:
    scenario = given_followed(offer(), posted("o1", "m-1", payment=payment()), claimed("o1", "m-1"), answered())
    scenario.when(resolved("refund")).then_refused(Reason.ORDER_STILL_SEATED)


@covers(Reason.REMEDY_UNSUITED, Reason.REMEDY_DONE)
def test_a_remedy_suits_what_is_disputed_and_changes_something() -> None:
    scenario = a_dispute()
    scenario.when(resolved("assist_voided", remedy={"assist": "a-1"})).then_refused(Reason.REMEDY_UNSUITED)
    scenario.when(resolved("refund", verdict="rejected")).then_refused(Reason.REMEDY_UNSUITED)
    scenario.when(resolved("refund", remedy={"order": "o2"})).then_refused(Reason.NOT_CONCERNED)
    scenario.when(resolved("refund", remedy={"order": "o9"})).then_refused(Reason.ORDER_UNKNOWN)
    scenario.when(resolved("seat")).then_refused(Reason.REMEDY_DONE)
    scenario.when(resolved()).then("dispute.resolved")
    other = given_followed(claimed("n-1", "m-1", about="notice"), answered())
    other.when(resolved("refund", remedy={"order": "o1"})).then_refused(Reason.REMEDY_UNSUITED)


def released_from_open_group(**terms: object) -> FollowedScenario:
    """A group of three with o1 in it that o2 of m-2 left; d-1 is about o2 and answered."""
    scenario = given_followed(offer(size=3, **terms), posted("o1", "m-1"), joined("o2", "m-2"))
    if terms.get("hold_s") != 0:
        scenario.when(paid("o2", payment="p2"))
    return scenario.when(withdrawn("o2")).when(claimed("o2", "m-2")).when(answered())


def test_a_restored_seat_is_held_again_in_a_group_still_open_and_paid_anew() -> None:
    scenario = released_from_open_group()
    scenario.when(resolved("seat"), at=10).then("dispute.resolved", "seat.held")
    assert scenario.one("seat.held")["hold_until"] == T0 + (10 + 900) * S
    scenario.when(paid("o2", payment="p2")).then_refused(Reason.PAYMENT_KNOWN)
    scenario.when(paid("o2", payment="p3")).then("seat.confirmed")


def test_a_restored_seat_whose_hold_ends_is_free_again() -> None:
    scenario = released_from_open_group().when(paid("o1")).when(resolved("seat"), at=10).when(ticked(), at=910)
    assert scenario.one("seat.released", order="o2")["cause"] == "hold_ended"


def test_a_restored_seat_of_an_offer_that_takes_no_money_is_confirmed_at_once_and_may_fill_the_group() -> None:
    scenario = released_from_open_group(hold_s=0).when(joined("o3", "m-3"))
    scenario.when(resolved("seat")).then("dispute.resolved", "seat.confirmed", "group.filled")


def test_no_seat_is_restored_in_a_group_that_is_over_full_or_of_another_offer() -> None:
    scenario = released_from_open_group().when(offer("cake")).when(posted("c1", "m-5", offer="cake"))
    cake = scenario.group_of("c1")
    scenario.when(resolved("seat", remedy={"group": cake})).then_refused(Reason.GROUP_OF_OTHER_OFFER)
    scenario.when(resolved("seat", remedy={"group": "g9-9"})).then_refused(Reason.GROUP_UNKNOWN)
    scenario.when(joined("o4", "m-4")).when(joined("o5", "m-5"))
    scenario.when(resolved("seat")).then_refused(Reason.GROUP_FULL)
    for order in ("o1", "o4", "o5"):
        scenario.when(paid(order))
    scenario.when(resolved("seat")).then_refused(Reason.GROUP_OVER)


# A second person


@covers(Reason.SAME_ACTOR)
def test_what_an_incident_touched_waits_for_a_second_other_person_where_the_market_says_so() -> None:
    scenario = filled_group(disputes={"second_approver": ["bulk"]})
    scenario.when(claimed("o1", "m-1", incident="i-1"), at=1)
    scenario.when(resolved("refund", actor="cs-7")).then("dispute.proposed")
    scenario.when(resolved("refund", actor="cs-7")).then_refused(Reason.SAME_ACTOR)
    scenario.when(resolved("refund", actor="cs-8")).then("dispute.resolved", "refund.due")
    decided = scenario.one("dispute.resolved")
    assert (decided["actor"], decided["second"]) == ("cs-7", "cs-8")


def test_another_proposal_takes_the_place_of_the_first() -> None:
    scenario = filled_group(disputes={"second_approver": ["bulk"]})
    scenario.when(claimed("o1", "m-1", incident="i-1"))
    scenario.when(resolved("refund", actor="cs-7"))
    scenario.when(resolved("refund", remedy={"amount_minor": 1}, actor="cs-8")).then("dispute.proposed")
    scenario.when(resolved("refund", actor="cs-7")).then("dispute.proposed")
    scenario.when(resolved("refund", actor="cs-8")).then("dispute.resolved", "refund.due")


def test_one_person_is_enough_where_the_market_says_nothing() -> None:
    scenario = filled_group().when(claimed("o1", "m-1", incident="i-1"))
    scenario.when(resolved("refund")).then("dispute.resolved", "refund.due")


def test_what_is_proposed_is_checked_again_when_it_is_completed() -> None:
    scenario = filled_group(disputes={"second_approver": ["bulk"]})
    scenario.when(claimed("o1", "m-1", incident="i-1")).when(resolved("refund", actor="cs-7"))
    scenario.when(cancelled("o1"))
    scenario.when(resolved("refund", actor="cs-8")).then_refused(Reason.NOTHING_TO_REFUND)


# Appeals


@covers(Reason.DISPUTE_NOT_OVER, Reason.APPEALED_BEFORE, Reason.APPEAL_TOO_LATE)
def test_a_resolution_can_be_appealed_once_before_its_deadline() -> None:
    scenario = a_dispute().when(appealed()).then_refused(Reason.DISPUTE_NOT_OVER)
    scenario.when(resolved(), at=10)
    reopened = scenario.when(appealed(), at=9 + APPEAL_S).one("dispute.appealed")
    assert reopened["resolve_until"] == T0 + (9 + APPEAL_S + RESOLVE_S) * S
    scenario.when(resolved(), at=10 + APPEAL_S).then_refused(Reason.SAME_ACTOR)
    scenario.when(resolved(actor="cs-8"), at=11 + APPEAL_S).then("dispute.resolved")
    scenario.when(appealed()).then_refused(Reason.APPEALED_BEFORE)
    other = filled_group(disputes={"appeal_s": 0}).when(claimed("o1", "m-1")).when(answered())
    other.when(resolved())
    assert other.kinds == ["dispute.resolved", "dispute.closed"]
    other.when(appealed()).then_refused(Reason.APPEAL_TOO_LATE)


def test_a_resolution_is_final_when_the_time_for_an_appeal_is_over_and_is_forgotten() -> None:
    scenario = a_dispute().when(resolved(), at=10)
    scenario.when(ticked(), at=10 + APPEAL_S).then("dispute.closed", "clock.advanced")
    scenario.when(appealed()).then_refused(Reason.APPEAL_TOO_LATE)
    scenario.when(claimed("o1", "m-1", "d-2")).then_refused(Reason.DISPUTE_EXISTS)
    scenario.when(resolved()).then_refused(Reason.DISPUTE_OVER)
    assert scenario.engine.next_due_ns() is None
    scenario.when(claimed("n-1", "m-1", "d-3", about="notice"), at=11 + APPEAL_S + CLAIM_S)
    assert list(scenario.engine.state.disputes.known) == ["d-3"] == list(scenario.engine.state.disputes.claims.values())


# Plays and assists


def a_bargain(**configuration: object) -> FollowedScenario:
    """A bargain b1 of `owner` that h-1 helped with a-1."""
    scenario = FollowedScenario()
    scenario.when(play_market(**configuration)).when(bargain())
    return scenario.when(assist(member="h-1", assist="a-1"))


@covers(Reason.REMEDY_INCOMPLETE)
def test_an_assist_is_disputed_with_its_play_by_whoever_gave_or_got_it() -> None:
    scenario = a_bargain()
    scenario.when(claimed("a-1", "owner", about="assist")).then_refused(Reason.REMEDY_INCOMPLETE)
    scenario.when(claimed("a-9", "owner", about="assist", play="b1")).then_refused(Reason.SUBJECT_UNKNOWN)
    scenario.when(claimed("a-1", "owner", about="assist", play="b9")).then_refused(Reason.SUBJECT_UNKNOWN)
    scenario.when(claimed("a-1", "m-9", about="assist", play="b1")).then_refused(Reason.NOT_CONCERNED)
    scenario.when(claimed("b1", "m-9", about="play")).then_refused(Reason.NOT_CONCERNED)
    scenario.when(claimed("a-1", "h-1", about="assist", play="b1")).then("dispute.opened")
    scenario.when(claimed("a-1", "owner", "d-2", about="assist", play="b1")).then("dispute.opened")
    assert scenario.one("dispute.opened")["publisher"] == "shop-a"


def test_a_resolution_voids_an_assist_in_its_entry_and_waits_for_a_second_person_where_the_market_says_so() -> None:
    scenario = a_bargain(disputes={"second_approver": ["void"]})
    scenario.when(claimed("a-1", "owner", about="assist", play="b1")).when(answered())
    scenario.when(resolved("assist_voided")).then_refused(Reason.REMEDY_INCOMPLETE)
    scenario.when(resolved("assist_voided", remedy={"member": "h-1"})).then("dispute.proposed")
    second = resolved("assist_voided", remedy={"member": "h-1"}, actor="cs-8")
    scenario.when(second).then("dispute.resolved", "assist.voided", "play.corrected")
    voided = scenario.one("assist.voided")
    assert (voided["was"], voided["actor"], voided["ticket"]) == ("counted", "cs-8", "d-1")
    assert "assist.voided" in [each["kind"] for each in scenario.outcome["also"]]


def test_an_assist_that_counts_cannot_be_counted_and_one_that_is_void_cannot_be_voided() -> None:
    scenario = a_bargain().when(claimed("b1", "owner", about="play")).when(answered())
    remedy = {"assist": "a-1", "member": "h-1"}
    scenario.when(resolved("assist_counted", remedy=remedy)).then_refused(Reason.ASSIST_NOT_HELD)
    scenario.when(resolved("assist_voided", remedy=remedy)).then("dispute.resolved", "assist.voided", "play.corrected")
    scenario.when(appealed(actor="owner"))
    scenario.when(resolved("assist_voided", remedy=remedy, actor="cs-8")).then_refused(Reason.ASSIST_VOIDED)


def test_an_invitation_is_disputed_while_it_is_remembered() -> None:
    given_followed(claimed("i-1", "m-1", about="invitation")).then_refused(Reason.SUBJECT_UNKNOWN)


# Sanctions


def test_only_a_sanction_in_force_is_disputed_and_reinstating_its_member_waits_for_a_second_person() -> None:
    scenario = given_followed(disputes={"second_approver": ["reinstate"]})
    claim = claimed("4.0.0", "m-1", about="sanction")
    scenario.when(claim).then_refused(Reason.SUBJECT_UNKNOWN)
    scenario.when(sanctioned("m-1", "banned"))
    scenario.when(claimed("4.0.0", "m-1", about="sanction")).when(answered(party="platform"))
    other = resolved("member_reinstated", remedy={"member": "m-2"})
    scenario.when(other).then_refused(Reason.NOT_CONCERNED)
    scenario.when(resolved("member_reinstated")).then("dispute.proposed")
    scenario.when(resolved("member_reinstated", actor="cs-8")).then("dispute.resolved", "member.reinstated")
    reinstated = scenario.one("member.reinstated")
    assert (reinstated["was"], reinstated["cause"], reinstated["ticket"]) == ("banned", "operator", "d-1")
    scenario.when(appealed()).when(resolved("member_reinstated", actor="cs-9"))
    scenario.then_refused(Reason.NOT_SANCTIONED)


# Who is told


def test_the_shop_and_the_member_hear_of_it_but_not_who_decided() -> None:
    from events.outcomes import news_of, results_of
    from events.record import decode_entry

    scenario = filled_group()
    raw = scenario.alone
    scenario.when(claimed("o1", "m-1"))
    entry = _last_entry(scenario)
    assert [name for name, _ in news_of(decode_entry(entry))] == ["shop-a"]
    assert [name for name, _ in results_of(decode_entry(entry))] == ["m-1"]
    scenario.when(answered()).when(resolved("refund"))
    results = list(results_of(decode_entry(_last_entry(scenario))))
    assert {name for name, _ in results} == {"m-1"}
    assert not any({"actor", "second", "publisher"} & document.keys() for _, document in results)
    assert raw is scenario.alone


def test_the_operator_who_resolves_hears_what_it_brought_about() -> None:
    scenario = a_dispute().when(resolved("refund"))
    assert [other["kind"] for other in scenario.outcome["also"]] == ["refund.due"]


def _last_entry(scenario: FollowedScenario) -> bytes:
    import msgspec

    fields = {**scenario.entries[-1], "event": msgspec.Raw(scenario.entries[-1]["event"])}
    return msgspec.json.encode(fields)


@pytest.mark.parametrize("field", ["dispute", "disputed", "member", "actor", "reason", "ticket", "statement"])
@pytest.mark.parametrize("person", ["13812345678", "+8613812345678", "110101199003072316", "li.lei@example.com"])
def test_no_field_of_a_claim_lets_a_person_into_the_log(field: str, person: str) -> None:
    scenario = filled_group().when({**claimed("o1", "m-1"), "data": {**claimed("o1", "m-1")["data"], field: person}})
    entry = scenario.entries[-1]
    # Order and payment numbers of 11 or 18 digits are legal: an id alone names nobody.
    is_number_in_id = field not in ("member", "statement") and person.isdigit()
    assert is_number_in_id or person.encode() not in entry.get("event", b"")


def test_deadlines_ring_in_the_order_of_their_times_in_one_instant() -> None:
    scenario = filled_group()
    scenario.when(claimed("o1", "m-1"), at=1).when(claimed("o2", "m-2", "d-2"), at=2)
    scenario.when(ticked(), at=2 * DAY / S * 5)
    assert [each["dispute"] for each in scenario.every("dispute.overdue")] == ["d-1", "d-2"]


def test_a_restored_seat_does_not_pass_the_members_own_limit_on_spending() -> None:
    scenario = released_from_open_group()
    scenario.when(limited_self("m-2", spending={"amount_minor": 1_000, "currency": "CNY"}))
    scenario.when(resolved("seat")).then_refused(Reason.SELF_LIMIT_SPENDING)
