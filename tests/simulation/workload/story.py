"""One publisher's stream of events, from a seed: which comes next, and what is wrong with it."""

import random
from collections.abc import Callable
from typing import Final

from events.times import NS_PER_S, format_time_ns
from tests.simulation.loop import SimulationLoop
from tests.simulation.setting import OPERATOR, Setting
from tests.simulation.workload import disputes, members, orders, plays
from tests.simulation.workload.town import Event, Town

Act = Callable[["Story"], Event]
_SHOP_ACTS: Final[dict[str, tuple[tuple[Act, int], ...]]] = {
    "orders": (
        *((orders.posted, 50), (orders.paid, 25), (orders.paid_again, 4), (orders.posted_again, 4)),
        *((orders.left, 10), (orders.refund, 4), (orders.group_act, 2), (orders.offer_act, 4), (orders.junk, 3)),
    ),
    "plays": ((plays.opened, 20), (plays.helped, 80), (plays.reviewed, 10), (plays.closed, 6)),
    "members": (
        *((members.consented, 25), (members.withdrew, 6), (members.invited, 50), (members.chose, 10)),
        *((members.apart, 7), (members.reported, 4), (members.sanctioned, 1)),
    ),
    "disputes": ((disputes.claimed, 35), (disputes.argued, 30), (disputes.resolved, 30)),
}
_OPERATOR_ACTS: Final[dict[str, tuple[tuple[Act, int], ...]]] = {
    "orders": ((orders.group_act, 10), (orders.offer_act, 20)),
    "plays": ((plays.reviewed, 10), (plays.closed, 3)),
    "members": ((members.sanctioned, 10), (members.reported, 2), (members.consented, 3)),
    "disputes": ((disputes.resolved, 20), (disputes.argued, 5)),
}
_SHARES: Final = {"orders": 8, "plays": 3, "members": 3, "disputes": 2}
"""How many events there are of each kind; those that a seed has a taste for are five times as many."""
_TASTE_TIMES: Final = 5
_TALKED_OF_EARLY: Final = 0.1
"""How often others act on a thing before the event that makes it is published."""
_FAR_S: Final = (-100_000, -61, 31, 400)
"""How far an event's time lies from the truth, where it does: beyond every window, and beyond the narrow ones."""


class Story:
    """What one publisher says."""

    def __init__(
        self,
        publisher: str,
        chance: random.Random,
        loop: SimulationLoop,
        setting: Setting,
        town: Town,
        part: str = "",
    ) -> None:
        self.publisher = publisher
        self.chance = chance
        self.town = town
        self.is_forgetful = setting.is_forgetful
        self._setting = setting
        # Orders and payments are unique; ids of events are only so within a publisher, and that must be enough.
        self._name, self._part = publisher + part, part
        self._loop = loop
        self._sent: list[Event] = []
        self._made = 0
        acts = _OPERATOR_ACTS if publisher == OPERATOR else _SHOP_ACTS
        self._acts: list[Act] = []
        self._weights: list[float] = []
        for kind, weighed in acts.items():
            share = _SHARES[kind] * (_TASTE_TIMES if kind == setting.taste else 1)
            total = sum(weight for _, weight in weighed)
            self._acts += [act for act, _ in weighed]
            self._weights += [share * weight / total for _, weight in weighed]

    def now_ns(self) -> int:
        """Return the true time."""
        return self._loop.now_ns()

    def name(self, prefix: str) -> str:
        """Return a name that nothing else has."""
        self._made += 1
        return f"{prefix}-{self._name}-{self._made}"

    def offers(self) -> list[Event]:
        """Return the offers that this publisher lists."""
        return [self._event(event) for event in orders.listings(self)]

    def next(self) -> Event:
        """Return the next event: sometimes one that was sent before, sometimes other bytes under its id."""
        chance = self.chance
        if self._sent and chance.random() < 0.06:
            again = chance.choice(self._sent)
            return {**again, "subject": "changed"} if chance.random() < 0.2 else again
        if self.publisher == OPERATOR and chance.random() < 0.05:
            event = self._event(self._setting.market(participation=chance.choice((None, {"groups": 3}))))
        else:
            event = self._event(chance.choices(self._acts, self._weights)[0](self))
            if chance.random() < _TALKED_OF_EARLY:
                self.town.note(event)
        self._sent.append(event)
        return event

    def _event(self, event: Event) -> Event:
        self._made += 1
        far_s = self.chance.choice(_FAR_S) if self.chance.random() < 0.02 else 0
        # In a market that goes by the events' own time the far future would end everything at once.
        at_ns = self.now_ns() + (min(far_s, 31) if self._setting.clock == "event" else far_s) * NS_PER_S
        return {**event, "id": f"e{self._part}-{self._made}", "time": format_time_ns(at_ns)}
