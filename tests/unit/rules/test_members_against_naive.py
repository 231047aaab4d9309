"""The rules of consent, invitations and own limits against naive ones, on whatever Hypothesis thinks of."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import T0, S, event, limited_self, market, offer, posted, withdrawn
from tests.unit.rules.given import Scenario
from tests.unit.rules.given import given as given_events
from tests.unit.rules.naive_members import NaiveLimits, NaiveMembers

RULES = {
    "inviter_per_day": 3,
    "invitee_per_day": 3,
    "pool_per_day": 4,
    "pause_s": 3_600,
    "warn_after": 2,
    "limit_after": 4,
    "refusals_window_s": 2 * 86_400,
    "limit_s": 86_400,
}
ZONE = "America/Havana"
START_S = 86_400 * 66
"""2026-03-08: the clock is changed in Havana that night, at midnight."""

members = st.sampled_from(["a", "b", "c"])
pools = st.sampled_from(["p", "q"])
channels = st.sampled_from(["email", "wechat"])
zones = st.sampled_from(["Asia/Shanghai", "America/Los_Angeles", "Pacific/Kiritimati", "Europe/Lisbon"])
pauses_s = st.sampled_from([1, 60, 3_600, 5 * 3_600, 13 * 3_600, 86_400])
pairs = st.tuples(members, members).filter(lambda pair: pair[0] != pair[1])


def _agreed(**given: Any) -> dict[str, Any]:
    return {"purpose": "invitation", "mechanism": "form", "text_hash": "0" * 64, **given}


said = st.one_of(
    st.builds(
        lambda m, c, once: ("member.consented", _agreed(member=m, channel=c, one_time=once)),
        members,
        channels,
        st.booleans(),
    ),
    st.builds(
        lambda m, c, p: ("member.withdrew", {"member": m, "channel": c, "purpose": p}),
        members,
        st.none() | channels,
        st.none() | st.sampled_from(["invitation", "digest"]),
    ),
    st.builds(lambda m, z: ("member.preferred", {"member": m, "timezone": z}), members, zones),
    st.builds(
        lambda m, p: ("member.preferred", {"member": m, "purposes": p}),
        members,
        st.sampled_from([["invitation"], ["result"], ["result", "invitation"]]),
    ),
    st.builds(lambda p, off: ("member.blocked", {"member": p[0], "other": p[1], "lifted": off}), pairs, st.booleans()),
    st.builds(
        lambda m, p, off: ("member.blocked", {"member": m, "pool": p, "lifted": off}), members, pools, st.booleans()
    ),
)
asked = st.builds(
    lambda pair, p, c: ("invitation.requested", {"inviter": pair[0], "invitee": pair[1], "pool": p, "channel": c}),
    pairs,
    pools,
    channels,
)
agreed_to_all = [("member.consented", _agreed(member=m, channel="email")) for m in ("a", "b", "c")]
stories = st.lists(st.tuples(pauses_s, said | asked | asked | asked), min_size=5, max_size=60)


@given(stories, st.booleans())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_invitations_are_decided_as_by_looking_through_all_that_happened(
    story: list[tuple[int, tuple[str, dict[str, Any]]]], begins_agreed: bool
) -> None:
    scenario = Scenario(model=False).when(market(timezone=ZONE, invitations=RULES), at=START_S)
    naive = NaiveMembers(ZONE, RULES)
    at_s = START_S
    for pause_s, (kind, data) in [*((1, said) for said in agreed_to_all if begins_agreed), *story]:
        at_s += pause_s
        if kind != "invitation.requested":
            naive.hear(T0 // S + at_s, kind, data)
            assert scenario.when(event(kind, **data), at=at_s).kinds in (["member.chose"], ["member.noted"])
            continue
        expected = naive.invite(T0 // S + at_s, data)
        scenario.when(event(kind, invitation=f"i{at_s}", **data), at=at_s)
        decided = scenario.decisions[0]
        names = ("kind", "reason", "grant", "refusals", "consequence")
        assert {name: decided[name] for name in names if name in decided} == expected


PRICES = {"cheap": 1_000, "dear": 4_000}
steps = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(sorted(PRICES))),
    st.tuples(st.just("order"), st.sampled_from(sorted(PRICES))),
    st.tuples(st.just("give up"), st.integers(0, 20)),
    st.tuples(st.just("groups"), st.none() | st.integers(0, 4)),
    st.tuples(st.just("spending"), st.none() | st.integers(0, 12).map(lambda n: n * 1_000)),
)


@given(st.lists(st.tuples(st.sampled_from([1, 3_600, 40_000, 86_400, 100_000]), steps), min_size=3, max_size=50))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_own_limits_hold_as_by_looking_through_all_that_happened(story: list[tuple[int, tuple[str, Any]]]) -> None:
    long = {"group_ttl_s": 300 * 86_400, "hold_s": 250 * 86_400, "size": 1_000}
    offers = [offer(name, group_minor=price, **long) for name, price in PRICES.items()]
    scenario = given_events(market(timezone=ZONE), *offers, model=False)
    naive = NaiveLimits(ZONE)
    at_s, taken = START_S, []
    for pause_s, (what, value) in story:
        at_s += pause_s
        now_s = T0 // S + at_s
        if what == "order":
            reason, reached = naive.order(now_s, f"o{at_s}", PRICES[value])
            scenario.when(posted(f"o{at_s}", "m1", offer=value), at=at_s)
            assert [decision.get("reason") for decision in scenario.every("refused")] == ([reason] if reason else [])
            assert sorted(decision["limit"] for decision in scenario.every("member.reminded")) == sorted(reached)
            taken += [] if reason else [f"o{at_s}"]
        elif what == "give up":
            if value < len(taken):
                order = taken.pop(value)
                naive.give_up(order)
                scenario.when(withdrawn(order), at=at_s)
                assert scenario.kinds[0] == "seat.released"
        else:
            naive.limit(now_s, what, value)
            most = value if what == "groups" or value is None else {"amount_minor": value, "currency": "CNY"}
            given_limit = {"remove": [what]} if value is None else {what: most}
            scenario.when(limited_self("m1", **given_limit), at=at_s).then("member.chose")
