"""Who may be told what, and when: the policy by itself."""

from typing import Any

import pytest

from events import decisions as d
from events import member_decisions as m
from events.member import QuietHours as Quiet
from events.times import NS_PER_S, parse_time_ns
from services.notifier.policy.choices import Choices, Permission, after_use
from services.notifier.policy.judge import (
    ChannelRules,
    Defer,
    MarketRules,
    Send,
    Suppress,
    Verdict,
    judge,
)
from services.notifier.policy.member_choices import choices_after, may_change_choices
from services.notifier.policy.purposes import PURPOSE_OF, SENTENCES, Kind, Notice, Purpose, Reason, notice_id
from services.notifier.policy.quiet import parse_quiet_hours
from services.notifier.zones import zone_of
from tests.builders import blocked
from tests.dispatch_setting import consent, entry, invited, notice

NOON = parse_time_ns("2026-03-02T12:00:00Z")
NIGHT = parse_time_ns("2026-03-02T23:30:00Z")
MORNING = parse_time_ns("2026-03-03T08:00:00Z")
H = 3_600 * NS_PER_S
EMAIL = ChannelRules(kind="email")
WEBHOOK = ChannelRules(kind="webhook", reaches_member=False)
WECHAT = ChannelRules(kind="wechat", takes_grant=True)
MARKET = MarketRules(zone="UTC", quiet=parse_quiet_hours("22:00-08:00"))


def result(**more: Any) -> Notice:
    return notice(**{"at_ns": NOON - H, "useful_until_ns": NOON + 7 * 24 * H, **more})


def invitation(**more: Any) -> Notice:
    return result(**{"kind": Kind.INVITED, "inviter": "m-9", "pool": "pool-1", "activity": "group", **more})


def chosen(**choices: Any) -> Choices:
    return Choices(chosen=m.Choices(**choices))


AGREED = chosen(consents=(consent(),))


def verdict(
    what: Notice,
    choices: Choices | None = None,
    channel: ChannelRules = EMAIL,
    now_ns: int = NOON,
    market: MarketRules = MARKET,
) -> Verdict:
    return judge(what, choices or Choices(), market, channel, zone_of, now_ns)


def test_a_result_goes_out_by_day() -> None:
    assert isinstance(verdict(result()), Send)


def test_a_result_waits_for_the_morning() -> None:
    assert verdict(result(), now_ns=NIGHT) == Defer(MORNING, Reason.QUIET_HOURS)


def test_what_the_market_calls_urgent_ignores_quiet_hours_and_invitations_never_do() -> None:
    urgent = MarketRules(zone="UTC", quiet=MARKET.quiet, urgent=frozenset({Kind.FILLED, Kind.INVITED}))
    assert isinstance(verdict(result(), now_ns=NIGHT, market=urgent), Send)
    assert verdict(invitation(), AGREED, now_ns=NIGHT, market=urgent) == Defer(MORNING, Reason.QUIET_HOURS)


def test_the_members_own_zone_and_hours_come_before_the_markets() -> None:
    in_shanghai = chosen(timezone="Asia/Shanghai")
    assert verdict(result(), in_shanghai, now_ns=parse_time_ns("2026-03-02T16:00:00Z")) == Defer(
        parse_time_ns("2026-03-03T00:00:00Z"), Reason.QUIET_HOURS
    )
    own = chosen(quiet=Quiet(begins="11:00", ends="13:00"))
    assert verdict(result(), own) == Defer(NOON + H, Reason.QUIET_HOURS)
    none = chosen(quiet=Quiet(begins="00:00", ends="00:00"))
    assert isinstance(verdict(result(), none, now_ns=NIGHT), Send)


@pytest.mark.parametrize("zone", [None, "Mars/Olympus"])
def test_without_a_valid_time_zone_it_is_quiet_all_day(zone: str | None) -> None:
    market = MarketRules(zone=zone, quiet=MARKET.quiet)
    assert verdict(result(), market=market) == Defer(NOON + H, Reason.NO_TIME_ZONE)


def test_a_members_zone_that_does_not_exist_is_not_replaced_by_the_markets() -> None:
    assert verdict(result(), chosen(timezone="Mars/Olympus")) == Defer(NOON + H, Reason.NO_TIME_ZONE)


def test_a_message_deferred_past_its_usefulness_is_suppressed_with_that_reason() -> None:
    late = result(useful_until_ns=MORNING)
    assert verdict(late, now_ns=NIGHT) == Suppress(Reason.PAST_USEFULNESS)
    assert verdict(late, now_ns=MORNING) == Suppress(Reason.PAST_USEFULNESS)
    assert isinstance(verdict(result(useful_until_ns=MORNING + 1), now_ns=NIGHT), Defer)


def test_nobody_gets_an_invitation_without_having_agreed_to_it() -> None:
    assert verdict(invitation()) == Suppress(Reason.NO_CONSENT)
    assert verdict(invitation(), chosen(consents=(consent(channel="wechat"),))) == Suppress(Reason.NO_CONSENT)
    assert verdict(invitation(), chosen(consents=(consent(purpose="result"),))) == Suppress(Reason.NO_CONSENT)
    sent = verdict(invitation(), AGREED)
    assert isinstance(sent, Send) and sent.permission == Permission("invitation", "email")


def test_consent_withdrawn_after_the_decision_stops_the_message_even_if_given_again() -> None:
    withdrawn = consent(withdrawn_at=NOON - H + 1)
    assert verdict(invitation(), chosen(consents=(withdrawn,))) == Suppress(Reason.NO_CONSENT)
    before = consent(withdrawn_at=NOON - 2 * H)
    assert isinstance(verdict(invitation(), chosen(consents=(before,))), Send)


def test_an_invitation_under_a_one_time_grant_needs_no_second_one() -> None:
    used_up = consent(standing=False, granted=1, lapsed=1)
    sent = verdict(invitation(grant=1), chosen(consents=(used_up,)))
    assert isinstance(sent, Send) and sent.permission == Permission("invitation", "email", 1)
    withdrawn = consent(standing=False, granted=1, lapsed=1, withdrawn_at=NOON)
    assert verdict(invitation(grant=1), chosen(consents=(withdrawn,))) == Suppress(Reason.NO_CONSENT)


def test_a_result_needs_no_consent_but_one_that_was_taken_back_counts() -> None:
    taken_back = consent(purpose="result", standing=False, withdrawn_at=NOON - 2 * H)
    assert verdict(result(), chosen(consents=(taken_back,))) == Suppress(Reason.NO_CONSENT)


def test_each_message_through_wechat_takes_a_grant_and_without_one_there_is_none() -> None:
    assert verdict(result(), channel=WECHAT) == Suppress(Reason.NO_GRANT)
    choices = chosen(consents=(consent(purpose="result", channel="wechat", standing=False, granted=2),))
    for number in (1, 2):
        sent = verdict(result(), choices, WECHAT)
        assert isinstance(sent, Send) and sent.permission == Permission("result", "wechat", number)
        choices = after_use(choices, sent.permission)
    assert verdict(result(), choices, WECHAT) == Suppress(Reason.NO_GRANT)


def test_who_is_blocked_is_not_heard_of_either_way() -> None:
    for choices in (
        Choices(chosen=AGREED.chosen, blocked=frozenset({"m-9"})),
        Choices(chosen=AGREED.chosen, blocked_by=frozenset({"m-9"})),
        chosen(consents=(consent(),), pools_blocked=("pool-1",)),
    ):
        assert verdict(invitation(), choices) == Suppress(Reason.BLOCKED)


def test_what_the_member_does_not_want_is_not_sent() -> None:
    consents = (consent(),)
    assert verdict(result(), chosen(purposes=("invitation",))) == Suppress(Reason.NOT_WANTED)
    assert verdict(invitation(), chosen(consents=consents, kinds=("bargain",))) == Suppress(Reason.NOT_WANTED)
    labels = chosen(consents=consents, labels=("tea",))
    assert verdict(invitation(labels=("shoes",)), labels) == Suppress(Reason.NOT_WANTED)
    assert isinstance(verdict(invitation(labels=("tea", "shoes")), labels), Send)
    assert isinstance(verdict(invitation(labels=("shoes",)), chosen(consents=consents, labels=())), Send)


def test_a_backend_gets_results_at_once_and_whatever_the_member_prefers() -> None:
    assert isinstance(verdict(result(), chosen(purposes=()), WEBHOOK, NIGHT), Send)
    agreed = chosen(consents=(consent(channel="webhook"),))
    assert verdict(invitation(), agreed, WEBHOOK, NIGHT) == Defer(MORNING, Reason.QUIET_HOURS)


def test_operators_are_told_at_once() -> None:
    alert = notice("$operator", Kind.ENDPOINT_DISABLED, at_ns=NIGHT, useful_until_ns=NIGHT + H)
    assert verdict(alert, now_ns=NIGHT) == Send()


def test_every_kind_has_a_purpose_and_every_reason_two_sentences() -> None:
    assert PURPOSE_OF.keys() == set(Kind)
    assert set(PURPOSE_OF.values()) == set(Purpose)
    assert SENTENCES.keys() == set(Reason)
    assert all(english.endswith(".") and chinese.endswith("。") for english, chinese in SENTENCES.values())


def test_unknown_purposes_and_kinds_are_refused() -> None:
    for strange in ("advert", "", "RESULT"):
        with pytest.raises(ValueError, match="is not a valid"):
            Purpose(strange)
        with pytest.raises(ValueError, match="is not a valid"):
            Kind(strange)


def test_a_notice_is_the_same_for_the_same_decision_member_purpose_and_channel_only() -> None:
    one = notice_id(result(), "email")
    assert one == notice_id(result(useful_until_ns=1, fields={"offer": "other"}), "email")
    others = {
        notice_id(result(), "wechat"),
        notice_id(result(member="m-2"), "email"),
        notice_id(result(decision="3.0.0/2"), "email"),
        notice_id(result(kind=Kind.INVITED), "email"),
    }
    assert len(others | {one}) == 5


def test_the_last_choice_of_a_member_counts_and_blocks_are_kept_beside_it() -> None:
    known: dict[str, Choices] = {}
    before = known.get
    event = blocked("m-1", "m-2")
    for each in (
        entry(1, m.MemberChose(member="m-1", about="consent", choices=AGREED.chosen)),
        entry(2, d.MemberNoted(member="m-1"), event=event),
        entry(3, m.MemberChose(member="m-1", about="preferences", choices=m.Choices(language="zh"))),
    ):
        assert may_change_choices(each)
        choices_after(each, known, lambda member: before(member) or Choices())
    assert known["m-1"] == Choices(chosen=m.Choices(language="zh"), blocked=frozenset({"m-2"}))
    assert known["m-2"] == Choices(blocked_by=frozenset({"m-1"}))
    lifted = entry(4, d.MemberNoted(member="m-1"), event=blocked("m-1", "m-2", lifted=True))
    choices_after(lifted, known, lambda _: Choices())
    assert (known["m-1"].blocked, known["m-2"].blocked_by) == (frozenset(), frozenset())


def test_an_allowed_invitation_moves_the_grants_on() -> None:
    granted = consent(standing=False, granted=2)
    known = {"m-1": chosen(consents=(granted,))}
    choices_after(invited(1, grant=1), known, lambda _: Choices())
    (after,) = known["m-1"].chosen.consents or ()
    assert (after.granted, after.lapsed) == (2, 1)
