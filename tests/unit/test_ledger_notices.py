"""The ledger tells what members were told, and the audit finds an invitation that should not have been sent."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import decisions as d
from events import member_decisions as m
from events import play_decisions as p
from events.member import QuietHours
from events.notice import (
    DEFERRED,
    DELIVERED,
    FAILED,
    SENT,
    SUPPRESSED,
    NoticeData,
    NoticeFact,
    ToldData,
    ToldFact,
    ToldOfRecord,
    encode_fact,
)
from events.times import parse_time_ns
from services.ledger.audit import AuditReport, audit
from services.ledger.audit_accounts import Check
from services.ledger.audit_notices import is_within
from services.ledger.history import FoundEntry, entries_of, scan
from services.ledger.notices import (
    Arrived,
    archive_notices,
    archived_through,
    notices_of_entry,
    notices_of_member,
    sent_invitations,
    why_of_entry,
    why_told,
)
from services.ledger.store import LedgerStore
from tests import builders as b
from tests.dispatch_setting import entry
from tests.ledger_records import JournalBuilder, open_store

NOON = parse_time_ns("2026-03-02T12:00:00Z")
NIGHT = parse_time_ns("2026-03-02T23:30:00Z")
CHECKS = (Check.SENT_WITHOUT_CONSENT, Check.SENT_OVER_CAP, Check.SENT_IN_QUIET_HOURS)
CONSENT = m.Consent(purpose="invitation", channel="email", standing=True)


def fact(kind: str = SENT, number: int = 1, at_ns: int = NOON, **data: Any) -> NoticeFact:
    named = {
        "at_ns": at_ns,
        "notice": "a" * 32,
        "decision": "3.0.0/0",
        "record": 3,
        "as_of": 3,
        "member": "m2",
        "purpose": "invitation",
        "kind": "invited",
        "channel": "email",
        "inviter": "m1",
        "zone": "UTC",
        "quiet": "22:00-08:00",
        "judged_at_ns": at_ns,
    }
    found = NoticeData(**{**named, **data})
    return NoticeFact(
        type=kind,  # type: ignore[arg-type]
        id=f"{found.notice}.{number}",
        source="/groupbuy/main/notifier",
        time="2026-03-02T12:00:00Z",
        data=found,
    )


def archived(store: LedgerStore, *facts: NoticeFact, stream: str = "s1") -> None:
    start = archived_through(store, stream) + 1
    archive_notices(store, stream, [Arrived(start + at, encode_fact(each)) for at, each in enumerate(facts)])


def history(choices: m.Choices, **allowed: Any) -> JournalBuilder:
    """A market in which m2 has chosen, m1's invitation is allowed (entry and record 3),"""
    journal = JournalBuilder()
    journal.input(d.MarketSet(rule_version=1, tzdata="2026f"), event=b.market(), publisher="operator").seal()
    consented = b.event(
        "member.consented",
        member="m2",
        purpose="invitation",
        channel="email",
        mechanism="form",
        text_hash="0" * 64,
    )
    journal.input(
        m.MemberChose(member="m2", about="consent", choices=choices), event=consented, publisher="operator"
    ).seal()
    invitation = {"invitation": "i-1", "inviter": "m1", "invitee": "m2", "channel": "email", "pool": "pool-1"}
    decision = m.InvitationAllowed(
        **{**invitation, "useful_until": NIGHT * 2, "link": "l", "publisher": "shop-a", **allowed}
    )
    requested = {k: v for k, v in {**invitation, **allowed}.items() if k in invitation}
    return journal.input(decision, event=b.event("invitation.requested", **requested)).seal()


def audited(tmp_path: Path, journal: JournalBuilder, *facts: NoticeFact) -> AuditReport:
    with open_store(tmp_path) as store:
        store.append(journal.records)
        archived(store, *facts)
        return audit(store)


def faults(report: AuditReport) -> list[int]:
    return [report.checks[check].faults for check in CHECKS]


def checked(report: AuditReport) -> list[int]:
    return [report.checks[check].checked for check in CHECKS]


def test_an_invitation_that_was_agreed_to_and_sent_by_day_is_checked_and_in_order(tmp_path: Path) -> None:
    report = audited(tmp_path, history(m.Choices(consents=(CONSENT,))), fact())
    assert (checked(report), faults(report)) == ([1, 1, 1], [0, 0, 0])


def test_what_was_put_off_or_not_sent_is_no_invitation_that_was_sent(tmp_path: Path) -> None:
    facts = (fact(DEFERRED, at_ns=NIGHT), fact(SUPPRESSED, 2), fact(FAILED, 3))
    assert checked(audited(tmp_path, history(m.Choices()), *facts)) == [0, 0, 0]


@pytest.mark.parametrize(
    "choices",
    [
        m.Choices(),
        m.Choices(consents=(msgspec.structs.replace(CONSENT, standing=False),)),
        m.Choices(consents=(msgspec.structs.replace(CONSENT, channel="wechat"),)),
        m.Choices(consents=(msgspec.structs.replace(CONSENT, purpose="result"),)),
        m.Choices(consents=(msgspec.structs.replace(CONSENT, withdrawn_at=NIGHT * 2),)),
        m.Choices(consents=(CONSENT,), pools_blocked=("pool-1",)),
    ],
)
def test_an_invitation_sent_without_consent_is_found(tmp_path: Path, choices: m.Choices) -> None:
    assert faults(audited(tmp_path, history(choices), fact(DELIVERED))) == [1, 0, 0]


def test_an_invitation_sent_under_a_one_time_grant_is_in_order(tmp_path: Path) -> None:
    grant = m.Consent(purpose="invitation", channel="email", granted=1, lapsed=1)
    assert faults(audited(tmp_path, history(m.Choices(consents=(grant,)), grant=1), fact())) == [0, 0, 0]
    none = tmp_path / "none"
    assert faults(audited(none, history(m.Choices(consents=(grant,)), grant=2), fact())) == [1, 0, 0]


def test_an_invitation_that_nothing_allows_or_that_was_sent_twice_is_over_the_cap(tmp_path: Path) -> None:
    journal = history(m.Choices(consents=(CONSENT,)))
    assert faults(audited(tmp_path, journal, fact(), fact(number=2))) == [0, 1, 0]
    with open_store(tmp_path) as store:
        archived(store, fact(number=3, decision="99.0.0/0"))
        assert faults(audit(store)) == [0, 2, 0]


def test_an_invitation_that_failed_and_was_sent_again_counts_once(tmp_path: Path) -> None:
    again = fact(number=3, round=2, first="x")
    assert faults(audited(tmp_path, history(m.Choices(consents=(CONSENT,))), fact(FAILED), again)) == [0, 0, 0]


def test_an_invitation_sent_in_quiet_hours_is_found(tmp_path: Path) -> None:
    journal = history(m.Choices(consents=(CONSENT,)))
    assert faults(audited(tmp_path, journal, fact(at_ns=NIGHT))) == [0, 0, 1]


def test_the_members_own_hours_and_zone_count_whatever_the_notifier_says(tmp_path: Path) -> None:
    own = m.Choices(consents=(CONSENT,), quiet=QuietHours(begins="11:00", ends="13:00"), timezone="UTC")
    assert faults(audited(tmp_path, history(own), fact(quiet=None, zone="Asia/Shanghai"))) == [0, 0, 1]
    elsewhere = m.Choices(consents=(CONSENT,), timezone="America/New_York")
    assert faults(audited(tmp_path / "b", history(elsewhere), fact(at_ns=NIGHT))) == [0, 0, 0]


def test_consent_that_is_given_only_later_does_not_count(tmp_path: Path) -> None:
    journal = history(m.Choices())
    later = m.MemberChose(member="m2", about="consent", choices=m.Choices(consents=(CONSENT,)))
    journal.input(later, event=b.event("member.withdrew", member="m2"), publisher="operator").seal()
    assert faults(audited(tmp_path, journal, fact())) == [1, 0, 0]
    assert faults(audited(tmp_path / "b", journal, fact(as_of=4))) == [0, 0, 0]


def test_quiet_hours_are_told_by_the_local_clock() -> None:
    assert is_within("22:00-08:00", "Asia/Shanghai", parse_time_ns("2026-03-01T14:00:00Z"))
    assert not is_within("22:00-08:00", "Asia/Shanghai", parse_time_ns("2026-03-02T00:00:00Z"))
    assert is_within("01:00-02:30", "Europe/Berlin", parse_time_ns("2026-03-29T00:59:59Z"))
    assert not is_within("01:00-02:30", "Europe/Berlin", parse_time_ns("2026-03-29T01:00:00Z"))


def test_a_members_story_tells_what_it_was_told_and_what_not(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        archived(
            store,
            fact(DEFERRED, 1, reason="quiet_hours", until_ns=NOON),
            fact(SENT, 2, at_ns=NOON + 1, permission="standing"),
            fact(SUPPRESSED, 1, notice="b" * 32, member="m3", reason="no_consent"),
            fact(FAILED, 1, notice="c" * 32, member="m3", attempts=8, why="status 500"),
        )
        told = [notice.sentence for notice in notices_of_member(store, "m2")]
        others = [notice.sentence for notice in notices_of_member(store, "m3")]
        assert len(list(notices_of_entry(store, "3.0.0"))) == 4
        assert list(notices_of_member(store, "m4")) == []
    what = "an invitation (invited) to m2 by email"
    assert told == [
        f"{what} was put off until 2026-03-02T12:00:00.000000Z: it was within the member's quiet hours",
        f"{what} was sent, under the member's consent (standing)",
    ]
    assert others[0].endswith("was not sent: the member had not agreed to it, or no longer")
    assert others[1].endswith("could not be sent after 8 tries: status 500")


def test_why_a_member_was_told_has_an_answer() -> None:
    answer = why_told([fact(DEFERRED, 1, reason="quiet_hours", until_ns=NOON), fact(SENT, 2)])
    assert answer[0] == "it is about decision 3.0.0/0 in record 3, an invitation by m1"
    assert "was put off" in answer[1] and "was sent" in answer[2]
    assert why_told([]) == ["nothing was told: it is no news of theirs, or it is not told yet"]


def test_why_of_an_entry_is_answered_for_each_member_and_notice(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        archived(
            store,
            fact(DEFERRED, 1, reason="quiet_hours", until_ns=NOON),
            fact(SUPPRESSED, 1, notice="b" * 32, member="m3", reason="blocked"),
            fact(SENT, 2),
        )
        about = FoundEntry(3, b"", entry(3, d.ClockAdvanced()))
        assert len(why_of_entry(store, about)) == 5
        (cause, sentence) = why_of_entry(store, about, "m3")
        nothing = why_of_entry(store, about, "m4")
    assert cause.startswith("it is about decision 3.0.0/0") and "had blocked" in sentence
    assert nothing == why_told([])


def test_a_fact_is_archived_once_and_what_is_none_keeps_its_place_only(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        messages = [Arrived(1, encode_fact(fact())), Arrived(2, b"{stray"), Arrived(5, encode_fact(fact(number=2)))]
        assert archive_notices(store, "s1", messages) == (2, 1)
        assert archived_through(store, "s1") == 5
        assert archived_through(store, "s2") == 0, "a recreated stream begins anew"
        assert len(list(notices_of_member(store, "m2"))) == 2


def test_many_sent_invitations_come_in_the_order_of_what_was_known(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        archived(store, *(fact(number=at + 1, as_of=10_000 - at % 700) for at in range(1_300)))
        found = [each.data.as_of for each in sent_invitations(store)]
    assert len(found) == 1_300 and found == sorted(found)


def told(number: int, *records: tuple[int, list[str]], **data: Any) -> Arrived:
    """A fact about many members."""
    of = [ToldOfRecord(record=record, members=members) for record, members in records]
    found = ToldData(at_ns=NOON + number, as_of=of[-1].record, told=of, **data)
    fact = ToldFact(id=f"s.{number}", source="/groupbuy/main/notifier", time="2026-03-02T12:00:00Z", data=found)
    return Arrived(number, encode_fact(fact))


def test_a_result_on_the_own_subject_is_found_in_the_fact_that_lists_many(tmp_path: Path) -> None:
    due = {"payment": "pay-1", "amount_minor": 500, "currency": "CNY", "cause": "withdrawn", "publisher": "shop-a"}
    journal = JournalBuilder()
    for number, member in enumerate(("m1", "m2", "m3"), start=1):
        journal.due(d.RefundDue(refund=f"r-{number}", order=f"o-{number}", member=member, **due)).seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        # Record 2 in two facts, as one with very many members would stand; record 3 is not told yet.
        arrived = [told(1, (1, ["m1", "m8"]), (2, ["m9"])), told(2, (2, ["m2"]))]
        assert archive_notices(store, "s1", arrived) == (2, 0)
        assert [notice.sentence for notice in notices_of_member(store, "m2")] == [
            "a result (refund.due) to m2 by nats was delivered"
        ]
        assert list(notices_of_member(store, "m3")) == []
        (found,) = entries_of(store, "member", "m1")
        assert why_of_entry(store, found)[1].endswith("a result (refund.due) to m1 by nats was delivered")
        assert why_of_entry(store, found, "m8") == why_told([]), "whose result is in another entry of the record"


def test_who_has_not_won_is_found_among_all_who_were_told_of_the_draw(tmp_path: Path) -> None:
    given = {"play": "p-1", "publisher": "shop-a"}
    ticket = p.PlayTicketed(member="m1", position=1, tickets=1, total=1, helpers=1, **given)
    over = p.PlayClosed(form="lottery", cause="ended", seed="00", helpers=1, winners=1, **given)
    journal = JournalBuilder()
    journal.due(ticket).seal()
    journal.due(over).seal()
    with open_store(tmp_path) as store:
        store.append(journal.records)
        (closing,) = (found for found in scan(store) if isinstance(found.entry.decisions[0], p.PlayClosed))
        draw = {"decision": f"{closing.name}/0", "kind": "draw", "play": "p-1"}
        archive_notices(store, "s1", [told(1, (2, ["m0", "m1"]), **draw), told(2, (2, ["m5"]), **draw)])
        assert [notice.sentence for notice in notices_of_member(store, "m1")] == [
            "a result (draw, not won) to m1 by nats was delivered"
        ]
        assert [notice.entry for notice in notices_of_member(store, "m1")] == [closing.name]
        assert why_of_entry(store, closing)[-1].startswith("3 members who held tickets were told")
        assert "(draw, not won) to m5" in why_of_entry(store, closing, "m5")[1]
