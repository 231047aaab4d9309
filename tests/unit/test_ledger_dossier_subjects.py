"""Dossiers by what the dispute is about: notice, invitation, sanction, assist; what is in them and what is shown."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from events.notice import NoticeFact, encode_fact
from services.ledger.dossier import contents as c
from services.ledger.dossier.check import verify_dossier
from services.ledger.dossier.gather import DossierRequest, concerned
from services.ledger.dossier.plainzip import read_zip
from services.ledger.note import SigningKey
from services.ledger.notices import Arrived, archive_notices
from tests.builders import (
    T0,
    JsonEvent,
    assist,
    bargain,
    claimed,
    consented,
    invited,
    joined,
    offer,
    payment,
    play_market,
    posted,
    sanctioned,
    voided,
)
from tests.dispute_market import decided, signed_ledger
from tests.dossier_tampering import made
from tests.ledger_records import open_store
from tests.model.both import MARKET_KEY
from tests.unit.test_ledger_notices import fact


def told_of(entry: str, member: str, notice: str = "ab" * 16, **data: object) -> NoticeFact:
    """A fact that a notice about an entry was sent to a member."""
    return fact(decision=f"{entry}/0", member=member, notice=notice, **data)


def names_in(raw: bytes) -> tuple[list[str], list[str]]:
    """The entries in a dossier, and the members of the notices in it."""
    files = read_zip(raw)
    entries = [json.loads(body)["entry"] for name, body in files.items() if name.startswith(c.ENTRIES)]
    notices = [json.loads(body)["data"]["member"] for name, body in files.items() if name.startswith(c.NOTICES)]
    return sorted(entries), notices


def ledger_with_notices(data: Path, *events: JsonEvent, facts: Sequence[NoticeFact]) -> SigningKey:
    key = signed_ledger(data, decided(*events))
    with open_store(data, market_key=MARKET_KEY) as store:
        archive_notices(store, "s1", [Arrived(number, encode_fact(each)) for number, each in enumerate(facts, 1)])
    return key


@pytest.mark.parametrize("disputed", ["ab" * 16, "ab" * 16 + ".1", "4.0.0"])
def test_a_dossier_of_a_dispute_about_a_notice_holds_the_notice_and_the_entry_it_tells_of(
    tmp_path: Path, disputed: str
) -> None:
    order = posted("o1", "m-1", payment=payment(payment="p1"))
    other = joined("o2", "m-2", payment=payment(payment="p2"))
    facts = (told_of("4.0.0", "m-1"), told_of("4.0.0", "m-2"), told_of("3.0.0", "m-1", "cd" * 16))
    dispute = claimed(disputed, "m-1", about="notice")
    key = ledger_with_notices(tmp_path, offer(), order, other, dispute, facts=facts)
    for audience in ("member", "auditor"):
        raw = made(tmp_path, key, audience=audience)
        assert verify_dossier(raw, key.verifier).sound
        entries, notices = names_in(raw)
        assert "4.0.0" in entries and "5.0.0" in entries
        assert notices == ["m-1"]
        page = read_zip(raw)[c.INDEX].decode()
        assert "Notices" in page and "to m-1 by email was sent" in page
    assert names_in(made(tmp_path, key, audience="merchant", reader="shop-a"))[1] == []


def test_the_members_dossier_of_a_dispute_about_an_invitation_shows_the_invitation(tmp_path: Path) -> None:
    invitation = invited("m-1", "m-2", invitation="i-1")
    facts = (told_of("3.0.0", "m-2"), told_of("3.0.0", "m-3"))
    dispute = claimed("i-1", "m-2", about="invitation")
    key = ledger_with_notices(tmp_path, consented("m-2"), invitation, dispute, facts=facts)
    raw = made(tmp_path, key)
    assert verify_dossier(raw, key.verifier).sound
    assert names_in(raw) == (["3.0.0", "4.0.0"], ["m-2"])
    assert "invitation i-1" in read_zip(raw)[c.INDEX].decode()


def test_a_refused_invitation_is_committed_to_but_not_shown(tmp_path: Path) -> None:
    key = ledger_with_notices(
        tmp_path,
        consented("m-2"),
        invited("m-1", "m-2", invitation="i-1"),
        invited("m-1", "m-2", invitation="i-2"),
        claimed("i-1", "m-1", about="invitation"),
        facts=(),
    )
    raw = made(tmp_path, key)
    assert verify_dossier(raw, key.verifier).sound
    assert names_in(raw)[0] == ["3.0.0", "5.0.0"], "the dispute is about i-1 alone"


def test_a_dossier_of_a_dispute_about_a_sanction_says_why_without_what_was_counted(tmp_path: Path) -> None:
    """One sanction on an operator's word, which may be read; then one that detection counted up to, which may not."""
    key = signed_ledger(
        tmp_path, decided(sanctioned("m-1"), posted("o1", "m-2"), claimed("2.0.0", "m-1", about="sanction"))
    )
    raw = made(tmp_path, key)
    assert verify_dossier(raw, key.verifier).sound
    assert names_in(raw)[0] == ["2.0.0", "4.0.0"]
    page = read_zip(raw)[c.INDEX].decode()
    assert "limited" in page and '\\"strikes\\"' in raw.decode("latin1")


def test_a_sanction_that_was_counted_up_to_stays_shut_but_is_explained(tmp_path: Path) -> None:
    standing = {"warn_at": 5, "limit_at": 10, "ban_at": 1_000}
    helped = [
        each
        for number in range(2)
        for each in (
            bargain(f"b{number}"),
            assist(f"b{number}", member="h-1", assist=f"a-{number}"),
            voided(f"b{number}", f"a-{number}", "h-1"),
        )
    ]
    records = decided(
        *helped, offer(), claimed("1.0.0", "h-1", about="sanction"), configured=play_market(standing=standing)
    )
    key = signed_ledger(tmp_path, records)
    raw = made(tmp_path, key)
    auditors = made(tmp_path, key, audience="auditor")
    assert verify_dossier(raw, key.verifier).sound and verify_dossier(auditors, key.verifier).sound
    assert b"member.warned" in auditors and b'\\"strikes\\"' in auditors
    assert b'\\"strikes\\"' not in raw and b"evidence" not in raw
    assert names_in(raw)[0] == names_in(auditors)[0]
    page = read_zip(raw)[c.INDEX].decode()
    assert "warn" in page.lower() and "警告" in page


def test_a_dossier_of_a_dispute_about_an_invitation_holds_the_invitation(tmp_path: Path) -> None:
    invitation = invited("m-1", "m-2", invitation="i-1")
    other = invited("m-3", "m-2", invitation="i-2")
    dispute = claimed("i-1", "m-2", about="invitation")
    with open_store(tmp_path) as store:
        store.append(decided(consented("m-2"), invitation, other, dispute))
        asked = DossierRequest(kind="dispute", name="d-1", audience="auditor", made_at_ns=T0)
        found = concerned(store, asked).entries
    assert [entry.name for entry in found] == ["3.0.0", "5.0.0"]


def test_a_dispute_about_an_assist_comes_with_its_play_and_no_other_assist(tmp_path: Path) -> None:
    events = (
        bargain(),
        assist(member="h-1", assist="a-1"),
        assist(member="h-2", assist="a-2"),
        claimed("a-1", "h-1", about="assist", play="b1"),
    )
    key = signed_ledger(tmp_path, decided(*events, configured=play_market()))
    raw = made(tmp_path, key, audience="auditor")
    assert verify_dossier(raw, key.verifier).entries == 3
    assert b"a-2" not in raw
