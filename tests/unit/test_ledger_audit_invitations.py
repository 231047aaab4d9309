"""The audit finds invitations without consent, against a block or over a cap, and none where the rules decided."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import decisions as d
from events.member_decisions import Choices, InvitationAllowed, MemberChose
from events.record import Record, Through, encode_record, hash_bytes
from services.ledger.audit import AuditReport, audit
from services.ledger.audit_accounts import Check
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests import builders as b
from tests.ledger_records import INTAKE, MARKET, JournalBuilder, open_store
from tests.model.both import FACTS

HOUR_S = 3_600
CHECKS = (Check.INVITED_WITHOUT_CONSENT, Check.INVITED_AGAINST_BLOCK, Check.INVITED_OVER_CAP)
RULES = {"inviter_per_day": 1, "invitee_per_day": 2, "pool_per_day": 3, "pause_s": 2 * HOUR_S}


def audited(data: Path, journal: JournalBuilder) -> AuditReport:
    """Archive a journal and audit it."""
    with open_store(data) as store:
        store.append(journal.records)
        return audit(store)


def told(**rules: Any) -> JournalBuilder:
    """A market in Shanghai, as its matcher would have it; the next entry is 2.0.0."""
    invitations = {**RULES, "inviter_per_day": 9, "pause_s": 0, **rules}
    journal = JournalBuilder()
    configured = b.market(timezone="Asia/Shanghai", invitations=invitations)
    return journal.input(d.MarketSet(rule_version=1, tzdata="2026f"), event=configured, publisher="operator")


def chose(journal: JournalBuilder, event: b.JsonEvent) -> JournalBuilder:
    """Add a member's word, which was accepted."""
    chosen = MemberChose(member=event["data"]["member"], about="consent", choices=Choices())
    return journal.input(chosen, event=event)


def allowed(
    journal: JournalBuilder, inviter: str = "m1", invitee: str = "m2", *, grant: int | None = None, **fields: Any
) -> JournalBuilder:
    """Let an invitation through, rightly or not."""
    event = b.invited(inviter, invitee, **fields)
    data = event["data"]
    return journal.input(
        InvitationAllowed(
            invitation=data["invitation"],
            inviter=inviter,
            invitee=invitee,
            channel=data["channel"],
            group=data.get("group"),
            pool=data.get("pool"),
            useful_until=journal.at_ns + b.DAY,
            link="x.y",
            grant=grant,
            publisher="shop-a",
        ),
        event=event,
    )


def only(data: Path, journal: JournalBuilder, check: Check, entry: str, words: str) -> None:
    """The audit finds this and nothing else."""
    report = audited(data, journal.seal())
    found = {name: [(x.entry, x.sentence) for x in r.examples] for name, r in report.checks.items() if r.faults}
    assert list(found) == [check], found
    assert len(found[check]) == 1 and found[check][0][0] == entry and words in found[check][0][1], found
    assert not report.clean


def test_an_invitation_that_was_agreed_to_adds_up_and_is_counted_as_checked(tmp_path: Path) -> None:
    report = audited(tmp_path, allowed(chose(told(), b.consented("m2"))).seal())
    assert report.clean
    assert [report.checks[check].checked for check in CHECKS] == [1, 1, 1]


def test_an_invitation_without_consent_is_found(tmp_path: Path) -> None:
    journal = allowed(chose(told(), b.consented("m2", channel="wechat")))
    only(tmp_path, journal, Check.INVITED_WITHOUT_CONSENT, "3.0.0", "has not agreed to invitations by email")


def test_an_invitation_after_a_withdrawal_is_found(tmp_path: Path) -> None:
    journal = chose(chose(told(), b.consented("m2")), b.withdrew("m2"))
    only(tmp_path, allowed(journal), Check.INVITED_WITHOUT_CONSENT, "4.0.0", "has not agreed")


def test_an_invitation_under_a_grant_that_was_used_up_is_found(tmp_path: Path) -> None:
    journal = chose(told(), b.consented("m2", one_time=True))
    journal = allowed(allowed(journal, grant=1), inviter="m3", grant=1)
    only(tmp_path, journal, Check.INVITED_WITHOUT_CONSENT, "4.0.0", "no one-time grant 1 left")


def test_an_invitation_against_preferences_is_found(tmp_path: Path) -> None:
    journal = chose(chose(told(), b.consented("m2")), b.preferred("m2", purposes=["result"]))
    only(tmp_path, allowed(journal), Check.INVITED_WITHOUT_CONSENT, "4.0.0", "wants no invitations")


@pytest.mark.parametrize(("who", "whom"), [("m1", "m2"), ("m2", "m1")])
def test_an_invitation_against_a_block_is_found(tmp_path: Path, who: str, whom: str) -> None:
    journal = chose(told(), b.consented("m2")).input(d.MemberNoted(member=who), event=b.blocked(who, whom))
    only(tmp_path, allowed(journal), Check.INVITED_AGAINST_BLOCK, "4.0.0", "keep apart")


def test_an_invitation_to_a_pool_that_was_blocked_is_found(tmp_path: Path) -> None:
    journal = chose(chose(told(), b.consented("m2")), b.pool_blocked("m2", "hangzhou"))
    only(tmp_path, allowed(journal), Check.INVITED_AGAINST_BLOCK, "4.0.0", "keeps away from pool hangzhou")


def test_an_invitation_over_the_inviters_cap_is_found_and_one_on_the_next_day_is_none(tmp_path: Path) -> None:
    journal = chose(chose(told(inviter_per_day=1), b.consented("m2")), b.consented("m3"))
    journal = allowed(allowed(journal).wait(HOUR_S), invitee="m3").wait(16 * HOUR_S)
    only(tmp_path, allowed(journal), Check.INVITED_OVER_CAP, "5.0.0", "number 2 of inviter m1 on that day, 1 are")


def test_an_invitation_over_the_invitees_cap_is_found(tmp_path: Path) -> None:
    journal = chose(told(), b.consented("m2"))
    for inviter in ("a", "b", "c"):
        journal = allowed(journal, inviter=inviter)
    only(tmp_path, journal, Check.INVITED_OVER_CAP, "5.0.0", "number 3 of invitee m2")


def test_an_invitation_over_a_pools_cap_is_found(tmp_path: Path) -> None:
    journal = told(pool_per_day=1)
    for invitee in ("m2", "m3"):
        journal = allowed(chose(journal, b.consented(invitee)), inviter=f"of-{invitee}", invitee=invitee)
    only(tmp_path, journal, Check.INVITED_OVER_CAP, "5.0.0", "number 2 of pool hangzhou")


def test_an_invitation_within_the_pause_between_two_members_is_found(tmp_path: Path) -> None:
    journal = allowed(chose(told(pause_s=HOUR_S), b.consented("m2"))).wait(HOUR_S - 1)
    only(tmp_path, allowed(journal), Check.INVITED_OVER_CAP, "4.0.0", "the pause between the two was not kept")


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_rules_decide_adds_up(tmp_path: Path, seed: int) -> None:
    journal, kinds = _decided(random.Random(seed))
    report = audited(tmp_path, journal)
    assert report.clean, [x for r in report.checks.values() for x in r.examples]
    assert report.checks[Check.INVITED_OVER_CAP].checked == kinds["invitation.allowed"] > 5
    assert kinds["invitation.refused"] > 5


def _decided(chance: random.Random) -> tuple[JournalBuilder, dict[str, int]]:
    """Let the matcher's rules decide a random story of invitations; return it and how many there were of each kind."""
    engine = Engine(MARKET, FACTS, pinned_zones())
    journal = JournalBuilder()
    kinds = {"invitation.allowed": 0, "invitation.refused": 0}
    now = b.T0
    for seq, event in enumerate(_story(chance), start=1):
        now += chance.choice([1, 60, HOUR_S, 7 * HOUR_S]) * b.S
        body, family = b.encode(event, now), b.family_of(event)
        publisher = "operator" if family == "market" else "shop-a"
        raws = engine.process(Message(seq, now, publisher, family, body))
        for kind in kinds:
            kinds[kind] += sum(raw.count(b'"kind":"%b"' % kind.encode()) for raw in raws)
        through = Through(seq=seq, events=1, at=now, hash=hash_bytes(body))
        prev = journal.records[-1].hash if journal.records else "0" * 64
        entries = [msgspec.Raw(raw) for raw in raws]
        journal.add(
            encode_record(
                Record(v=1, market=MARKET, prev=prev, intake=INTAKE, rule=1, through=through, entries=entries)
            )
        )
    return journal, kinds


def _story(chance: random.Random) -> list[b.JsonEvent]:
    members, zones = ["a", "b", "c", "d"], ["America/Havana", "Pacific/Kiritimati", "Europe/Berlin"]
    story = [b.market(timezone="Asia/Shanghai", invitations=RULES), *map(b.consented, members)]
    for _ in range(150):
        one, other = chance.sample(members, 2)
        pool, lifted = chance.choice(["p", "q"]), chance.random() < 0.7
        said = [
            b.consented(one, one_time=chance.random() < 0.5),
            b.withdrew(one, channel=chance.choice([None, "email"])),
            b.preferred(one, timezone=chance.choice(zones)),
            b.preferred(one, purposes=chance.choice([["invitation"], ["result"]])),
            b.blocked(one, other, lifted=lifted),
            b.pool_blocked(one, pool, lifted=lifted),
        ]
        asked = b.invited(one, other, pool=pool)
        story.append(asked if chance.random() < 0.75 else chance.choice(said))
    return story
