"""What the ledger makes of doubts and sanctions, and how it sets counted assists against notices."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.main import main
from events.notice import SENT, NoticeData, NoticeFact
from services.ledger.audit import audit
from services.ledger.check_draw import check_draw, entries_in_ledger
from services.ledger.history import FoundEntry, scan
from services.ledger.reconcile import reconcile
from services.ledger.sharing import sharing_tree
from services.ledger.store import LedgerStore
from services.ledger.words import decision_in_words
from tests.builders import assist, bargain, play_closed, play_market, reinstated, reported, sanctioned, signals, voided
from tests.ledger_plays import PlayJournal
from tests.ledger_records import MARKET

HOUR = 3_600


def farmed() -> PlayJournal:
    """A bargain with honest help, and one that a device with many accounts helps; then a review, and a sanction."""
    terms = {"start_minor": 90_000, "floor_minor": 10_000}
    journal = PlayJournal(play_market(standing={}))
    journal.add(*(bargain(play, f"of-{play}", helper_limit=100, terms=terms) for play in ("fair", "farmed")))
    for n in range(3):
        journal.wait(600).add(assist("fair", f"h{n}", via="of-fair"))
    for n in range(6):
        journal.wait(600).add(assist("farmed", f"x{n}", assist=f"a{n}", signals=signals("phone")))
    journal.add(voided("farmed", "a0", "x0", verdict="count"), voided("farmed", "a1", "x1"))
    journal.add(reported("x2", "h1"), sanctioned("x2", "banned"), reinstated("x2"))
    return journal.add(play_closed("farmed"))


@pytest.fixture
def store(tmp_path: Path) -> LedgerStore:
    """A ledger with that story."""
    return farmed().archive(tmp_path)


def test_the_recount_agrees_with_doubts(store: LedgerStore) -> None:
    report = audit(store)
    assert report.clean, report
    assert any(b'"assist.doubted"' in found.raw for found in scan(store))


def test_cuts_are_made_again_where_some_were_taken_back(store: LedgerStore) -> None:
    report = check_draw(MARKET, "farmed", entries_in_ledger(store, "farmed"))
    assert report.agrees, report


def test_the_sharing_tree_shows_what_is_held(store: LedgerStore) -> None:
    tree = sharing_tree(store, "farmed")
    assert {helper.member: helper.status for helper in tree.tree}["x2"] == "held"
    assert tree.counted == 1


def test_standing_is_told_in_words(store: LedgerStore) -> None:
    told = [decision_in_words(decision) for found in scan(store) for decision in found.entry.decisions]
    assert any("at position 1 of play farmed is held for review" in words for words in told)
    assert any("member x2 is banned until" in words and "ticket t-1" in words for words in told)
    assert any("member x2 is reinstated, banned before" in words for words in told)
    assert any("member x2 has been reported by 1 member" in words for words in told)


def test_counted_assists_are_set_against_notices(store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = {"kind": "invitation.allowed", "play": "fair", "invitee": "h0"}
    sent = [{"at": farmed().at_ns, "decisions": [notice]}] * 2
    real = list(scan(store))
    notices = [FoundEntry(99, json.dumps(entry, separators=(",", ":")).encode(), real[0].entry) for entry in sent]
    monkeypatch.setattr("services.ledger.reconcile.scan", lambda _: iter(real + notices))
    found = {play.play: play for play in reconcile(store)}
    assert (found["fair"].counts, found["fair"].notices, found["fair"].shared, found["fair"].excess) == (3, 2, 3, 1)
    assert found["farmed"].counts == 1, "what was doubted counts no more"
    assert sum(day.taken_back for day in found["farmed"].days) == 3


def test_where_it_is_known_what_was_sent_an_invitation_that_was_only_allowed_is_no_notice(
    store: LedgerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = list(scan(store))
    notice = {"kind": "invitation.allowed", "play": "fair", "invitee": "h0"}
    raw = json.dumps({"at": farmed().at_ns, "decisions": [notice]}, separators=(",", ":")).encode()
    allowed = [FoundEntry(99, raw, real[n].entry) for n in (0, 1)]
    day_later_ns = farmed().at_ns + 86_400 * 10**9
    data = NoticeData(
        at_ns=day_later_ns,
        notice="n",
        decision=f"{allowed[1].name}/0",
        record=1,
        as_of=1,
        member="h0",
        purpose="invitation",
        kind="invitation",
        channel="push",
    )
    sent = NoticeFact(type=SENT, id="1", source="/notifier", time="2026-01-01T00:00:00Z", data=data)
    monkeypatch.setattr("services.ledger.reconcile.scan", lambda _: iter(real + allowed))
    monkeypatch.setattr("services.ledger.reconcile.sent_invitations", lambda _: iter([sent, sent]))
    found = next(play for play in reconcile(store) if play.play == "fair")
    assert (found.notices, found.excess, found.notices_are) == (1, 2, "sent")
    assert [(day.counted, day.notices) for day in found.days] == [(3, 0), (0, 1)], "on the day on which it was sent"


def test_a_play_whose_count_outruns_its_notices_comes_first(store: LedgerStore) -> None:
    assert [play.play for play in reconcile(store)] == ["fair", "farmed"]


def test_reconcile_prints_facts(
    store: LedgerStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()

    def run(*arguments: str) -> Any:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", "reconcile", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    assert [play["play"] for play in json.loads(run("--json"))["plays"]] == ["fair", "farmed"]
    assert "play fair: 3 assists count, 0 notices were allowed, 3 name who shared it; 3 more" in run()
