"""The matcher's engine and the naive model side by side: every entry of one must be the entry of the other."""

import copy
from collections.abc import Iterable
from typing import Any

import msgspec

from events.record import decode_entry
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.builders import MARKET_KEY
from tests.model.auditor import Auditor
from tests.model.naive import EntryFields, NaiveMarket
from tests.model.naive_offers import Timezones
from tests.model.replayed import Replayed

FACTS = Facts(market_key=MARKET_KEY)
ALL_ZONES = pinned_zones()
ZONES = Zones(
    version="2026a", names=frozenset({"UTC", "Asia/Shanghai"}), file=ALL_ZONES.file, offsets=ALL_ZONES.offsets
)
"""Those that the naive model knows of."""


def as_fields(raw: bytes) -> EntryFields:
    """Return the bytes of an entry as the naive model writes entries."""
    entry = decode_entry(raw)
    fields: EntryFields = {"seq": entry.seq, "index": entry.index, "part": entry.part, "at": entry.at}
    if entry.publisher is not None:
        fields["publisher"] = entry.publisher
    if entry.event is not None:
        fields["event"] = bytes(entry.event)
    return {**fields, "decisions": msgspec.to_builtins(entry.decisions)}


def without_details(entries: list[EntryFields]) -> list[EntryFields]:
    """Return entries without the free text beside reasons, which no rule fixes."""
    stripped = copy.deepcopy(entries)
    for entry in stripped:
        for decision in entry["decisions"]:
            if decision["kind"] in ("refused", "malformed"):
                decision.pop("detail", None)
    return stripped


class Both:
    """One market, decided twice; a third engine follows by entries alone. Without `model` only engines are compared."""

    def __init__(self, *, model: bool = True) -> None:
        self.model = model
        self.zones = ZONES if model else ALL_ZONES
        self.engine = Engine("main", FACTS, self.zones)
        self.follower = Engine("main", FACTS, self.zones)
        self.replayed = Replayed(FACTS, self.zones)
        self.naive = NaiveMarket(MARKET_KEY, Timezones(ZONES.names, ZONES.version))
        self.auditor = Auditor()
        self.seq = 0

    def feed(
        self, at_ns: int, publisher: str, family: str, body: bytes, crashes: Iterable[int] = ()
    ) -> list[EntryFields]:
        """Let both decide one intake message; they must agree, and the books must balance.

        For each of `crashes`, another engine is tried that stops after so many entries and starts again from them.
        """
        self.seq += 1
        message = Message(seq=self.seq, at=at_ns, publisher=publisher, family=family, body=body)
        before = self.engine.snapshot() if crashes else b""
        raws = self.engine.process(message)
        for kept in crashes:
            if kept <= len(raws):
                self.check_crash(before, message, raws, kept)
        decided = [as_fields(raw) for raw in raws]
        for raw in raws:
            self.follower.evolve(raw)
        self.replayed.check(raws)
        self.auditor.follow(decided)
        if self.model:
            expected = self.naive.apply_body(self.seq, at_ns, publisher, family, body)
            self.compare(decided, expected, body)
            self.auditor.check(self.naive.world)
        return decided

    @staticmethod
    def compare(decided: list[EntryFields], expected: list[EntryFields], body: bytes) -> None:
        """Say where engine and model part."""
        ours, theirs = without_details(decided), without_details(expected)
        for got, wanted in zip(ours, theirs, strict=False):
            assert got == wanted, f"for {body[:2000]!r}\nthe engine decides {got}\nthe model         {wanted}"
        assert len(ours) == len(theirs), f"for {body[:2000]!r}\nthe engine decides {ours}\nthe model {theirs}"

    def check_crash(self, before: bytes, message: Message, raws: list[bytes], kept: int) -> None:
        """An engine that knows only the first `kept` entries of a message decides the others alike."""
        restarted = Engine.restore("main", FACTS, before, self.zones)
        for raw in raws[:kept]:
            restarted.evolve(raw)
        rest = restarted.finish()
        seq, index = restarted.state.decided
        rest += restarted.process(message, first_index=index + 1 if seq == message.seq else 0)
        assert [as_fields(raw) for raw in rest] == [as_fields(raw) for raw in raws[kept:]]
        assert rest == raws[kept:]
        assert canonical(restarted) == canonical(self.engine)

    def check_follower(self) -> None:
        """The state that follows from the entries alone is the state."""
        assert canonical(self.follower) == canonical(self.engine)

    def restart_from_entries(self) -> None:
        """Go on with an engine that has seen nothing but the entries."""
        self.check_follower()
        self.engine = Engine.restore("main", FACTS, self.follower.snapshot(), self.zones)
        self.engine, self.follower = self.follower, self.engine

    def restart_from_snapshot(self) -> None:
        """Go on with an engine that was restored from a snapshot."""
        self.engine = Engine.restore("main", FACTS, self.engine.snapshot(), self.zones)


def canonical(engine: Engine) -> Any:
    """Return an engine's state in a form that compares equal when the states are."""
    return msgspec.msgpack.decode(engine.snapshot(), strict=False)
