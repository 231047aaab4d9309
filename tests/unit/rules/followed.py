"""Scenarios of families that the naive model does not know: entries, snapshots, crashes, replays lead to one state."""

from typing import Any

from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.builders import JsonEvent, family_of, market
from tests.model.both import FACTS, ZONES, as_fields, canonical
from tests.model.replayed import Replayed
from tests.unit.rules.given import CRASHES_TRIED, Scenario


class FollowedScenario(Scenario):
    """A scenario whose engine is followed by one that only evolves, and restarted after each of its entries."""

    def __init__(self) -> None:
        super().__init__(compared=False)
        self.follower = Engine("main", FACTS, ZONES)
        self.replayed = Replayed(FACTS, ZONES)

    def _feed(self, publisher: str, family: str, body: bytes) -> list[dict[str, Any]]:
        self.seq += 1
        message = Message(seq=self.seq, at=self.now_ns, publisher=publisher, family=family, body=body)
        before = self.alone.snapshot()
        raws = self.alone.process(message)
        for raw in raws:
            self.follower.evolve(raw)
        assert canonical(self.follower) == canonical(self.alone)
        self.replayed.check(raws)
        for kept in range(min(len(raws), CRASHES_TRIED) + 1):
            self._check_crash(before, message, raws, kept)
        return [as_fields(raw) for raw in raws]

    def _check_crash(self, before: bytes, message: Message, raws: list[bytes], kept: int) -> None:
        restarted = Engine.restore("main", FACTS, before, ZONES)
        for raw in raws[:kept]:
            restarted.evolve(raw)
        rest = restarted.finish()
        seq, index = restarted.state.decided
        rest += restarted.process(message, first_index=index + 1 if seq == message.seq else 0)
        assert rest == raws[kept:]
        assert canonical(restarted) == canonical(self.alone)
        assert restarted.next_due_ns() == self.alone.next_due_ns()


def given_followed(*events: JsonEvent, **configuration: Any) -> FollowedScenario:
    """Return a scenario in which `events` have been decided at its beginning, in a market configured so."""
    scenario = FollowedScenario()
    if not events or family_of(events[0]) != "market":
        scenario.when(market(**configuration))
    for event in events:
        scenario.when(event)
    return scenario
