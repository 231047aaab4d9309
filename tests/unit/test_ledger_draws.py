"""`ledger check-draw` makes every cut and draw again, finds whatever differs, and needs no secret for it."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from events.record import Entry, decode_entry, decode_record
from services.ledger.check_draw import DrawReport, check_draw, entries_in_ledger, export, read_file
from services.ledger.faults import BadQuestion, NotFound
from services.matcher.domain.plays.judging import DETECTION, Detection, Verdict
from tests.builders import (
    MARKET_KEY,
    assist,
    bargain,
    joined,
    lottery,
    offer,
    payment,
    play_closed,
    posted,
    unlock,
    voided,
)
from tests.ledger_plays import PlayJournal
from tests.ledger_records import MARKET

NEW = {"account_age_days": 0}


def a_bargain() -> PlayJournal:
    """Ten cuts with an extra weight for new members, one voided on the way, bought in the end."""
    journal = PlayJournal(bargain("p1", helper_limit=12, new_weight=3))
    for n in range(10):
        journal.add(assist("p1", f"h{n}", assist=f"a{n}", signals=NEW if n % 3 == 0 else None))
        if n == 5:
            journal.add(voided("p1", "a2", "h2"))
    return journal.add(play_closed("p1", "bought", order="B-1"))


def a_lottery() -> PlayJournal:
    """Tickets from assists, one of them held and counted later, one voided, and from the seats of a filled group."""
    terms = {"tickets_per_seat": 3, "tickets_per_assist": 2}
    journal = PlayJournal(offer(), lottery("p1", [("kettle", 1), ("tea", 40)], offer="tea", new_weight=2, terms=terms))
    held = Detection(lambda *_: Verdict("held", 60, ("burst",)), lambda *_: None)
    own = DETECTION[:]
    DETECTION[:] = [held]
    journal.add(assist("p1", "late", via="s0", assist="late", signals=NEW))
    DETECTION[:] = own
    for n in range(60):
        journal.add(assist("p1", f"h{n}", via=f"s{n % 50}", assist=f"a{n}", signals=NEW if n % 4 == 0 else None))
    journal.add(posted("o1", "m1", payment=payment()), joined("o2", "s7", payment=payment()))
    journal.add(voided("p1", "a9", "h9"), voided("p1", "late", "late", "count"))
    return journal.add(play_closed("p1"))


def a_lottery_with_many_wins() -> PlayJournal:
    journal = PlayJournal(lottery("p1", [("tea", 5)], terms={"wins": "many", "tickets_to": "helper"}))
    journal.add(*(assist("p1", f"h{n}", via="s") for n in range(7)))
    return journal.add(play_closed("p1"))


def an_unlock() -> PlayJournal:
    journal = PlayJournal(unlock("p1", tiers=[(2, "c2"), (4, "c4")]))
    journal.add(*(assist("p1", f"h{n}", assist=f"a{n}") for n in range(2)), voided("p1", "a0", "h0"))
    return journal.add(*(assist("p1") for _ in range(3)))


def a_drawn_group() -> PlayJournal:
    journal = PlayJournal(offer(size=40, winners=7), posted("o0", "m0", payment=payment()))
    return journal.add(*(joined(f"o{n}", f"m{n}", payment=payment()) for n in range(1, 40)))


PLAYS = (a_bargain, a_lottery, a_lottery_with_many_wins, an_unlock)


def entries_of(journal: PlayJournal) -> list[Entry]:
    """Every entry of a journal, as its record holds it."""
    return [decode_entry(raw) for record in journal.records for raw in decode_record(record.body).entries]


def checked(journal: PlayJournal, name: str = "p1", change: Callable[[str], str] = str) -> DrawReport:
    """Check a play over the journal's entries, after `change` to the text of each."""
    entries = [decode_entry(change(msgspec.json.encode(entry).decode()).encode()) for entry in entries_of(journal)]
    return check_draw(MARKET, name, lambda: entries)


@pytest.mark.parametrize("history", PLAYS)
def test_what_the_matcher_drew_is_drawn_again_without_its_secret(
    history: Callable[[], PlayJournal], tmp_path: Path
) -> None:
    with history().archive(tmp_path) as store:
        report = check_draw(MARKET, "p1", entries_in_ledger(store, "p1"))
        assert report.agrees, report.faults
        market, name, entries = read_file(msgspec.json.encode(export(store, "p1")))
    again = check_draw(market, name, entries)
    assert again == report, "the exported file leads to the same"
    for secret in (MARKET_KEY.hex(), MARKET_KEY.decode()):
        assert secret not in msgspec.json.encode(report).decode()


def test_a_drawn_group_is_drawn_again(tmp_path: Path) -> None:
    journal = a_drawn_group()
    with journal.archive(tmp_path) as store:
        group = next(iter(journal.engine.state.groups))
        report = check_draw(MARKET, group, entries_in_ledger(store, group))
        assert report.agrees, report.faults
        assert len(report.figures["winners"]) == 7
        exported = msgspec.json.encode(export(store, group)).decode()
    lost = re.search(r'"order":"(o\d+)","member":"m\d+","publisher":"shop-a","won":false', exported)
    won = re.search(r'"order":"(o\d+)","member":"m\d+","publisher":"shop-a","price_minor":8000,"won":true', exported)
    assert lost is not None and won is not None
    swapped = exported.replace(lost[0], lost[0].replace("false", "true")).replace(
        won[0], won[0].replace("true", "false")
    )
    assert not check_draw(*_file(swapped)).agrees
    seeded = re.sub(r'"seed":"[0-9a-f]{64}"', f'"seed":"{"5d" * 32}"', exported)
    assert not check_draw(*_file(seeded)).agrees


def _file(text: str) -> tuple[str, str, Callable[[], list[Entry]]]:
    market, name, entries = read_file(text.encode())
    return market, name, lambda: list(entries())


def test_another_winner_than_the_seeds_is_found() -> None:
    report = checked(
        a_lottery(), change=lambda text: re.sub(r'("kind":"play.won".{0,60}"member":)"[a-z0-9]+"', r'\1"me"', text)
    )
    assert not report.agrees
    assert "told was kettle to me" in report.faults[0].sentence


def test_another_cut_than_the_seeds_is_found_and_the_price_that_it_leads_to() -> None:
    def one_more(text: str) -> str:
        return re.sub(r'("position":4,"cut_minor":)(\d+)', lambda m: f"{m[1]}{int(m[2]) + 1}", text)

    report = checked(a_bargain(), change=one_more)
    assert not report.agrees
    assert "the cut at position 4" in report.faults[0].sentence


def test_another_seed_than_the_one_committed_to_is_found() -> None:
    for history in PLAYS:
        report = checked(history(), change=lambda text: re.sub(r'"seed":"[0-9a-f]{64}"', f'"seed":"{"5d" * 32}"', text))
        assert not report.agrees
        assert "not the one committed to" in report.faults[0].sentence


def test_an_assist_that_was_left_out_is_found() -> None:
    journal = a_lottery()
    entries = [entry for entry in entries_of(journal) if b'"a17"' not in bytes(entry.event or b"")]
    report = check_draw(MARKET, "p1", lambda: entries)
    assert not report.agrees


def test_draws_that_were_left_out_are_found() -> None:
    entries = entries_of(a_lottery())[:-1]
    report = check_draw(MARKET, "p1", lambda: entries)
    assert "draws are told" in report.faults[-1].sentence


def test_a_reward_that_was_not_reached_or_not_told_is_found() -> None:
    early = checked(an_unlock(), change=lambda text: text.replace('"prize":"c2"', '"prize":"c4"', 1))
    assert not early.agrees
    untold = checked(an_unlock(), change=lambda text: text.replace('"prize":"c4"', '"prize":"c2"'))
    assert any("c4 is unlocked and was not told" in fault.sentence for fault in untold.faults)


def test_an_open_play_and_an_unknown_one_cannot_be_checked(tmp_path: Path) -> None:
    with PlayJournal(bargain("p1"), offer(), posted("o1")).archive(tmp_path) as store:
        with pytest.raises(NotFound, match="is open"):
            check_draw(MARKET, "p1", entries_in_ledger(store, "p1"))
        with pytest.raises(NotFound, match="no play and no group p2"):
            entries_in_ledger(store, "p2")
        with pytest.raises(NotFound, match="no play and no group p2"):
            export(store, "p2")
        with pytest.raises(NotFound, match="nothing is drawn"):
            check_draw(MARKET, "g4-0", entries_in_ledger(store, "g4-0"))


def test_a_file_that_is_no_export_is_refused() -> None:
    for content in (b"", b"{}", b"[1]", b'{"format":"x","market":"m","name":"p","entries":[]}'):
        with pytest.raises(BadQuestion):
            read_file(content)
