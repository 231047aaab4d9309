"""What one publisher of chaos says: orders and what follows them, plausible as a whole and wrong in places."""

import random
from typing import Any, Final, Protocol

from events.times import format_time_ns
from tests import builders as make

Event = dict[str, Any]
OFFERS: Final = 4
MEMBERS: Final = 12
PRICE_MINOR: Final = 8_000


class Clock(Protocol):
    """Whoever tells the time."""

    def now_ns(self) -> int: ...


class Story:
    """One publisher's stream of events, from a seed: plausible as a whole, and wrong in places."""

    def __init__(self, publisher: str, chance: random.Random, clock: Clock, part: str = "") -> None:
        self.publisher = publisher
        # Orders and payments are unique; ids of events are only so within a publisher, and that must be enough.
        self._name, self._part = publisher + part, part
        self.chance = chance
        self._clock = clock
        self._orders: list[str] = []
        self._groups: list[str] = []
        self._refunds: list[str] = []
        self._sent: list[Event] = []
        self._made = 0

    def learn(self, outcome: dict[str, Any]) -> None:
        """Remember what an outcome names, to act on it later."""
        for told in (outcome, *outcome.get("also", ())):
            if told.get("kind") == "group.opened":
                self._groups.append(told["group"])
            if told.get("kind") == "refund.due":
                self._refunds.append(told["refund"])

    def offers(self) -> list[Event]:
        """Return the offers that this publisher lists."""
        chance = self.chance
        return [
            self._event(
                make.offer(
                    f"{self.publisher}-{i}",
                    size=chance.choice((2, 2, 3, 5)),
                    group_ttl_s=chance.choice((5, 20, 60, 600)),
                    hold_s=chance.choice((0, 3, 30)),
                    grace_s=chance.choice((0, 5)),
                    stock=chance.choice((None, 4, 1_000)),
                    limit_total=chance.choice((None, 2)),
                    merge=chance.choice(("allowed", "never")),
                    match=chance.choice(("earliest_deadline", "nearest_full")),
                    late_payment=chance.choice(("refund", "rejoin")),
                    leader_leaves=chance.choice(("promote", "dissolve", "forbid")),
                )
            )
            for i in range(OFFERS)
        ]

    def next(self) -> Event:
        """Return the next event: sometimes one that was sent before, sometimes other bytes under its id."""
        chance = self.chance
        if self._sent and chance.random() < 0.06:
            again = chance.choice(self._sent)
            return {**again, "subject": "changed"} if chance.random() < 0.2 else again
        event = self._event(self._plain())
        self._sent.append(event)
        return event

    def _event(self, event: Event) -> Event:
        self._made += 1
        return {**event, "id": f"e{self._part}-{self._made}", "time": format_time_ns(self._clock.now_ns())}

    def _plain(self) -> Event:
        chance = self.chance
        kind = chance.random()
        if kind < 0.55 or not self._orders:
            return self._order()
        order = chance.choice(self._orders[-20:])
        if kind < 0.80:
            return make.paid(order, chance.choice((PRICE_MINOR,) * 6 + (1,)), payment=f"p-{self._name}-{self._made}")
        if kind < 0.85:
            return make.withdrawn(order)
        if kind < 0.89:
            return make.cancelled(order)
        if kind < 0.92 and self._refunds:
            return make.refund_settled(chance.choice(self._refunds))
        if kind < 0.94 and self._groups:
            return make.dissolved(chance.choice(self._groups))
        if kind < 0.96:
            return make.offer_stocked(chance.choice((-1, 1, 5)), self._offer())
        if kind < 0.98:
            return make.blocked(self._member(), self._member())
        return make.event("order.posted", order="o 1", member=self._member(), offer=self._offer())

    def _order(self) -> Event:
        chance = self.chance
        order = f"o-{self._name}-{self._made}"
        self._orders.append(order)
        fields: dict[str, Any] = {"offer": self._offer(), "merge": chance.random() < 0.7}
        if chance.random() < 0.5:
            fields["payment"] = make.payment(PRICE_MINOR, payment=f"p-{self._name}-{self._made}")
        if chance.random() < 0.2 and self._groups:
            return make.joined(order, self._member(), group=chance.choice(self._groups), **fields)
        if chance.random() < 0.3:
            return make.joined(order, self._member(), **fields)
        return make.posted(order, self._member(), lead=chance.choice(("always", "if_needed")), **fields)

    def _offer(self) -> str:
        return f"{self.chance.choice(('shop-a', 'shop-b'))}-{self.chance.randrange(OFFERS)}"

    def _member(self) -> str:
        return f"m-{self.chance.randrange(MEMBERS)}"
