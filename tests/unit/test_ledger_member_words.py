"""The ledger tells members' choices and invitations in words, and finds them by member."""

from pathlib import Path

import pytest

from events.member import QuietHours
from events.member_decisions import Choices, Consent, InvitationAllowed, InvitationRefused, MemberReminded, SelfLimit
from events.reasons import Reason
from events.times import parse_time_ns
from services.ledger.member_words import choices_in_words
from services.ledger.show import show
from services.ledger.words import decision_in_words
from tests import builders as b
from tests.ledger_records import JournalBuilder, open_store
from tests.unit.test_ledger_audit_invitations import allowed, chose, told

AT_NS = parse_time_ns("2026-11-26T10:00:00Z")
AT = "2026-11-26T10:00:00.000000Z"


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(), "nothing"),
        (Choices(registered_at=AT_NS), f"registered since {AT}"),
        (
            Choices(
                consents=(
                    Consent(purpose="invitation", channel="email", standing=True),
                    Consent(purpose="invitation", channel="wechat", granted=5, lapsed=3),
                    Consent(purpose="digest", channel="wechat", granted=1),
                    Consent(purpose="reminder", channel="sse", withdrawn_at=AT_NS),
                    Consent(purpose="reminder", channel="nats", granted=1, lapsed=1),
                )
            ),
            (
                "agrees to invitation by email; agrees to invitation by wechat 2 more times; "
                "agrees to digest by wechat once more; does not agree to reminder by sse, nats"
            ),
        ),
        (
            Choices(
                purposes=(),
                kinds=("group", "bargain"),
                labels=("green",),
                language="zh",
                timezone="Asia/Shanghai",
                quiet=QuietHours(begins="22:00", ends="08:00"),
                pools_blocked=("hangzhou",),
            ),
            (
                "wants only nothing; wants to hear only of group, bargain; wants only what is labelled green; "
                "language zh; time zone Asia/Shanghai; quiet from 22:00 to 08:00; keeps away from pools hangzhou"
            ),
        ),
        (
            Choices(
                limits=(
                    SelfLimit(name="groups", most=2, changes_at=AT_NS, then_most=None),
                    SelfLimit(name="spending", most=100, currency="CNY", changes_at=AT_NS, then_most=900),
                    SelfLimit(name="assists", most=3),
                )
            ),
            (
                f"groups joined a week: at most 2, from {AT} no limit; "
                f"spending a week: at most 1.00 CNY, from {AT} 9.00 CNY; "
                "assists given a week: at most 3"
            ),
        ),
    ],
)
def test_choices_are_told_in_short(choices: Choices, words: str) -> None:
    assert choices_in_words(choices) == words


def test_a_reminder_says_whose_limit_was_reached() -> None:
    reminded = MemberReminded(
        member="m1", limit="spending", set_by="market", used=900, most=900, currency="CNY", week_ends=AT_NS
    )
    assert decision_in_words(reminded) == (
        f"member m1 is to be reminded: 9.00 CNY of 9.00 CNY, the market's limit on spending in the week until {AT}"
    )


def _refused(**fields: object) -> InvitationRefused:
    named = {"invitation": "i1", "inviter": "m1", "invitee": "m2", "channel": "email", "publisher": "shop-a"}
    return InvitationRefused(**{**named, "reason": Reason.NO_CONSENT, **fields})  # type: ignore[arg-type]


def test_a_refused_invitation_says_why_and_what_follows_for_the_inviter() -> None:
    why = (
        "invitation i1 of m2 by m1, by email, is refused, no_consent: The member has not agreed to such invitations by"
    )
    assert decision_in_words(_refused(detail="kinds")) == f"{why} this channel. (kinds)"
    warned = _refused(refusals=5, consequence="warned")
    assert decision_in_words(warned).endswith("; the inviter is warned after 5 refusals")
    limited = _refused(refusals=10, consequence="limited", until=AT_NS)
    assert decision_in_words(limited).endswith(f"; after 10 refusals the inviter may not invite until {AT}")


def test_an_allowed_invitation_says_to_what_and_under_which_consent() -> None:
    invitation = InvitationAllowed(
        invitation="i1",
        inviter="m1",
        invitee="m2",
        channel="wechat",
        group="g1-0",
        pool="hangzhou",
        useful_until=AT_NS,
        link="x.y",
        grant=3,
        publisher="shop-a",
    )
    assert decision_in_words(invitation) == (
        "invitation i1 of m2 by m1, by wechat, to group g1-0, pool hangzhou is allowed under one-time grant 3 "
        f"until {AT}"
    )


@pytest.mark.parametrize("member", ["m1", "m2"])
def test_an_invitation_is_found_under_inviter_and_invitee(tmp_path: Path, member: str) -> None:
    journal: JournalBuilder = allowed(chose(told(), b.consented("m2")), invitation="i7").seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        entries = list(show(store, "member", member))
    assert [entry.entry for entry in entries][-1] == "3.0.0"
    assert "invitation i7 of m2 by m1, by email, to pool hangzhou is allowed under a standing" in entries[-1].outcome[0]
    assert "reported invitation.requested: invitation i7, inviter m1, invitee m2, pool hangzhou" in entries[-1].cause
