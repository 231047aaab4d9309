"""Random markets full of plays: the engine recovers from every crash, and what it decided is made again by the ledger.

The ledger's recount and its check of draws are written from the rules alone: they are the second implementation.
"""

import random
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from events.assist import AssistGiven
from events.play_decisions import ASSIST_DECISIONS, PLAY_DECISIONS
from events.record import (
    GENESIS,
    Record,
    Through,
    decode_entry,
    decode_record,
    encode_record,
    hash_bytes,
)
from services.ledger.audit import audit
from services.ledger.check_draw import check_draw, entries_in_ledger
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.domain.plays import assisting
from services.matcher.domain.plays.forms import FORMS
from services.matcher.domain.plays.judging import DETECTION, Detection, Verdict
from services.matcher.domain.plays.state import CLOSED, Play
from services.matcher.domain.turn import Turn
from tests import builders as b
from tests.builders import SHOP, T0, JsonEvent, S
from tests.ledger_records import INTAKE, MARKET, BuiltRecord, open_store
from tests.model.both import ALL_ZONES, FACTS, Both

MESSAGES: Final = 250
SEEDS: Final = range(12)
MEMBERS: Final = [f"m{n}" for n in range(30)]


def judge(turn: Turn, play: Play, data: AssistGiven) -> Verdict:
    """Hold or refuse some assists, always the same."""
    fate = sum(data.assist.encode()) % 9
    if fate < 2:
        return Verdict("held", 60, ("burst",))
    return Verdict("refused", 90, ("burst",)) if fate == 2 else Verdict("counted")


@pytest.fixture(autouse=True)
def detecting() -> Iterator[None]:
    own = DETECTION[:]
    DETECTION[:] = [Detection(judge, lambda *_: None)]
    yield
    DETECTION[:] = own


class RandomPlays:
    """Draws events about few plays and members, most often ones that the rules allow."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.plays: list[str] = []
        self.assists: list[tuple[str, str, str]] = []
        self.orders = 0

    def event(self) -> JsonEvent:
        pick = self.chance.choices(
            [self._open, self._assist, self._void, self._close, self._order], [5, 70, 14, 2, 10]
        )[0]
        return pick() if self.plays or pick == self._order else self._open()

    def _open(self) -> JsonEvent:
        chance = self.chance
        name = f"p{len(self.plays)}"
        self.plays.append(name)
        common: dict[str, Any] = {
            "ttl_s": chance.choice([40, 120, 400]),
            "new_weight": chance.choice([1, 3]),
            "new_only": chance.random() < 0.1,
        }
        form = chance.choice(["bargain", "lottery", "lottery", "unlock"])
        owner = chance.choice(MEMBERS)
        if form == "bargain":
            terms = {
                "start_minor": chance.choice([20, 500]),
                "floor_minor": 8,
                "share_percent": chance.choice([1, 50, 100]),
            }
            return b.bargain(name, owner, helper_limit=chance.choice([1, 4, 9]), terms=terms, **common)
        if form == "unlock":
            return b.unlock(name, owner, chance.choice([[(2, "c2"), (5, "c5")], [(1, "c1")]]), **common)
        rules = {
            "tickets_to": chance.choice(["sharer", "helper"]),
            "tickets_per_assist": chance.choice([0, 1, 2]),
            "tickets_per_seat": chance.choice([0, 2]),
            "wins": chance.choice(["one", "many"]),
        }
        prizes = chance.choice([[("a", 1), ("b", 2)], [("a", 40)]])
        return b.lottery(name, prizes, offer="tea", member=chance.choice([None, owner]), terms=rules, **common)

    def _assist(self) -> JsonEvent:
        play, member = self.chance.choice(self.plays[-4:]), self.chance.choice(MEMBERS)
        name = f"a{len(self.assists)}"  # of its own, since the judge goes by it
        event = b.assist(play, member, via=self.chance.choice([None, *MEMBERS]), assist=name)
        if self.chance.random() < 0.3:
            event["data"]["signals"] = {"account_age_days": self.chance.choice([0, 6, 7])}
        self.assists.append((play, name, member))
        return event

    def _void(self) -> JsonEvent:
        if not self.assists:
            return self._assist()
        return b.voided(*self.chance.choice(self.assists[-8:]), self.chance.choice(["void", "count"]))

    def _close(self) -> JsonEvent:
        act = {"actor": "amy", "reason": "mistake", "ticket": "t-1"}
        return b.play_closed(
            self.chance.choice(self.plays), self.chance.choice(["bought", "early", "cancelled"]), **act
        )

    def _order(self) -> JsonEvent:
        self.orders += 1
        paid = b.payment() if self.chance.random() < 0.8 else None
        return b.posted(f"o{self.orders}", self.chance.choice(MEMBERS), lead="if_needed", payment=paid)


@lru_cache(maxsize=len(SEEDS))
def records_of(seed: int) -> tuple[list[BuiltRecord], Both]:
    """Let a random market be decided, crashes tried on the way; return its journal and the engines."""
    chance, inputs, both = random.Random(seed), RandomPlays(seed), Both(model=False)
    records: list[BuiltRecord] = []
    caps = chance.choice([None, {"per_helper_day": 20, "per_pair_week": 9}])
    winners = chance.choice([None, 2])
    events = [b.play_market(assist_caps=caps), b.offer(size=3, winners=winners, group_ttl_s=50)]
    at_ns = T0
    for event in [*events, *(inputs.event() for _ in range(MESSAGES))]:
        at_ns += chance.choice([0, 0, 1, 4]) * S
        family = b.family_of(event)
        publisher = "operator" if family == "market" else SHOP
        body = b.encode(event, at_ns)
        decided = both.feed(at_ns, publisher, family, body, crashes=chance.choice([(), (), (0, 1, 2)]))
        if chance.random() < 0.1:
            both.check_follower()
            both.restart_from_snapshot()
        entries = [msgspec.Raw(_raw(fields)) for fields in decided]
        through = Through(seq=both.seq, events=1, at=at_ns, hash=hash_bytes(body))
        prev = records[-1].hash if records else GENESIS
        made = encode_record(
            Record(v=1, market=MARKET, prev=prev, intake=INTAKE, rule=1, through=through, entries=entries)
        )
        records.append(BuiltRecord(both.seq, at_ns, hash_bytes(made), made))
    return records, both


def _raw(fields: dict[str, Any]) -> bytes:
    event = {"event": msgspec.Raw(fields["event"])} if "event" in fields else {}
    return msgspec.json.encode({**fields, **event})


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_market_of_plays_adds_up_and_every_draw_agrees(seed: int, tmp_path: Path) -> None:
    records, both = records_of(seed)
    with open_store(tmp_path) as store:
        store.append(records)
        report = audit(store)
        assert report.clean, {check: result.examples[:1] for check, result in report.checks.items() if result.faults}
        closed = [play.play for play in both.engine.state.plays.plays.values() if play.status == CLOSED]
        assert closed, "some plays have ended"
        for play in closed:
            draw = check_draw(MARKET, play, entries_in_ledger(store, play))
            assert draw.agrees, (play, draw.form, draw.faults[:3])


def test_the_random_markets_show_everything_that_can_be_decided_about_plays() -> None:
    shown: Counter[tuple[str, str]] = Counter()
    for seed in SEEDS:
        for record in records_of(seed)[0]:
            for raw in decode_record(record.body).entries:
                shown.update((d.__struct_config__.tag, getattr(d, "form", "")) for d in decode_entry(raw).decisions)
    kinds = {kind for kind, _ in shown}
    assert {kind.__struct_config__.tag for kind in (*PLAY_DECISIONS, *ASSIST_DECISIONS)} <= kinds
    for form in FORMS:
        assert shown["play.closed", form] > 9 and shown["play.corrected", form] > 2, shown
    assert shown["play.won", "lottery"] > 9 and shown["play.claimed", "lottery"] > 0, shown


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_decided_of_a_plain_assist_is_what_the_general_rules_decide(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, caps = RandomPlays(seed), {"per_helper_day": 12, "per_pair_week": 2}
    events = [b.play_market(assist_caps=caps), b.offer(size=3, group_ttl_s=50)]
    events += [inputs.event() for _ in range(MESSAGES)]
    told = [(b.family_of(event), T0 + n * S, b.encode(event, T0 + n * S)) for n, event in enumerate(events)]

    def decided() -> list[bytes]:
        engine = Engine(MARKET, FACTS, ALL_ZONES)
        return [
            entry
            for seq, (family, at_ns, body) in enumerate(told, 1)
            for entry in engine.process(Message(seq, at_ns, "operator" if family == "market" else SHOP, family, body))
        ]

    plainly = decided()
    monkeypatch.setattr(assisting, "find_plain", lambda *_: None)
    assert decided() == plainly
    assert sum(b'"kind":"assist.counted"' in entry for entry in plainly) > 10
