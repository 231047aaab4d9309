"""An engine, followed: another reads its entries alone, others crash between them, and a snapshot is read each time."""

from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.model.both import FACTS, canonical

ZONES = pinned_zones()


class Followed:
    """One market, decided once, and every state that must be the same."""

    def __init__(self) -> None:
        self.engine = Engine("main", FACTS, ZONES)
        self.follower = Engine("main", FACTS, ZONES)

    def feed(self, message: Message) -> list[bytes]:
        """Decide a message; whoever knows the entries, all or the first of them, gets to the same state and rest."""
        before = self.engine.snapshot()
        raws = self.engine.process(message)
        for raw in raws:
            self.follower.evolve(raw)
        wanted = canonical(self.engine)
        assert canonical(self.follower) == wanted, "the state that follows from the entries alone"
        assert canonical(Engine.restore("main", FACTS, self.engine.snapshot(), ZONES)) == wanted, "a snapshot"
        for kept in range(len(raws) + 1):
            self._crash(before, message, raws, kept)
        return raws

    def _crash(self, before: bytes, message: Message, raws: list[bytes], kept: int) -> None:
        restarted = Engine.restore("main", FACTS, before, ZONES)
        for raw in raws[:kept]:
            restarted.evolve(raw)
        rest = restarted.finish()
        seq, index = restarted.state.decided
        rest += restarted.process(message, first_index=index + 1 if seq == message.seq else 0)
        assert rest == raws[kept:], f"what is decided after a crash behind entry {kept}"
        assert canonical(restarted) == canonical(self.engine)
