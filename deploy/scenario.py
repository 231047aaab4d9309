"""A lively day in a market: what its members do, hour by hour, and how they answer to what the market decides.

Nothing here knows a broker or the time of day: the day is simulated, the same seed gives the same intentions, and
the shape is that of real records: few items that everybody wants and thousands that hardly anybody does, most
launches by somebody who finds no friend in time, groups of two more often than any other.
"""

import heapq
from bisect import bisect_left
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from events import decisions as d
from events.group import GroupDissolved, GroupDissolvedEvent
from events.market import MarketConfigured
from events.member import MemberBlocked, MemberBlockedEvent
from events.offer import (
    OfferPublished,
    OfferPublishedEvent,
    OfferTerms,
    OfferWithdrawn,
    OfferWithdrawnEvent,
)
from events.order import (
    OrderCancelled,
    OrderCancelledEvent,
    OrderJoined,
    OrderJoinedEvent,
    OrderPaid,
    OrderPaidEvent,
    OrderPosted,
    OrderPostedEvent,
    OrderWithdrawn,
    OrderWithdrawnEvent,
    Payment,
)
from events.record import Entry
from events.refund import RefundFailed, RefundFailedEvent, RefundSettled, RefundSettledEvent
from events.registry import AnyEvent
from events.times import NS_PER_S, format_time_ns, parse_time_ns

MARKET: Final = "demo"
PUBLISHER: Final = "local"
SOURCE: Final = "/demo/shop"
OPENS_AT: Final = "2026-11-11T08:00:00Z"
OPENS_NS: Final = parse_time_ns(OPENS_AT)
SELLING_S: Final = 14 * 3600
# Groups live for up to eight hours after the last launch; late payers can open a few more, a little later.
CLOSED_NS: Final = OPENS_NS + (SELLING_S + 10 * 3600) * NS_PER_S
ITEMS_MAX: Final = 2_500
LAUNCHES_PER_ITEM: Final = 8
MEMBERS: Final = 30_000
BLOCKS: Final = 200
# One passer-by for so many launches.
PASSERS_BY_RATIO: Final = 16
HOLD_S: Final = 900
MINUTE_S: Final = 60
HOUR_S: Final = 3600
CURRENCY: Final = "CNY"
SIZES: Final = (2, 3, 4, 5, 10)
SIZE_WEIGHTS: Final = (62, 18, 8, 9, 3)


class Item(NamedTuple):
    """An offer as the members see it."""

    offer: str
    size: int
    price_minor: int


class Act(NamedTuple):
    """An event that somebody has in mind for a moment of the day; `number` keeps acts of one moment in order."""

    at_ns: int
    number: int
    event: AnyEvent


class Scenario:
    """The members of a market and the shop's payment backend, from the first launch to the last refund."""

    def __init__(self, launches: int, seed: int) -> None:
        """Have `launches` of them in one day's selling hours; the same `seed` gives the same intentions."""
        self._rng = Random(seed)
        self._acts: list[Act] = []
        self._numbers = 0
        self._friends: dict[str, list[str]] = {}
        items = min(ITEMS_MAX, launches // LAUNCHES_PER_ITEM + 1)
        self._items = [self._item(rank) for rank in range(items)]
        self._popularity = list(accumulate(1 / (rank + 8) ** 0.9 for rank in range(items)))
        self.offers = [self._offer(item) for item in self._items]
        self._prices = {item.offer: item for item in self._items}
        for _ in range(launches):
            self._launch(self._selling_moment())
        for _ in range(launches // PASSERS_BY_RATIO):
            self._pass_by(self._selling_moment())
        self._take_offers_down()

    @property
    def is_over(self) -> bool:
        """Whether nobody has anything in mind any more."""
        return not self._acts

    @property
    def next_at_ns(self) -> int:
        """When the next thing happens that somebody has in mind."""
        return self._acts[0].at_ns

    def blocks(self) -> list[MemberBlockedEvent]:
        """Return who keeps apart from whom, known before the market opens."""
        pairs = [self._rng.sample(range(MEMBERS), 2) for _ in range(BLOCKS)]
        return [
            MemberBlockedEvent(
                specversion="1.0",
                id=f"block-{number}",
                source=SOURCE,
                time=OPENS_AT,
                data=MemberBlocked(member=f"m{one}", other=f"m{other}"),
            )
            for number, (one, other) in enumerate(pairs)
        ]

    def take_due(self, until_ns: int) -> list[Act]:
        """Return what happens before `until_ns` and has not been taken yet, in order."""
        due = []
        while self._acts and self._acts[0].at_ns < until_ns:
            due.append(heapq.heappop(self._acts))
        return due

    def hear(self, entry: Entry) -> None:
        """Have members and backend answer, later in the day, to what was decided."""
        for decision in entry.decisions:
            match decision:
                case d.GroupOpened():
                    self._bring_friends(entry.at, decision)
                case d.SeatHeld():
                    self._pay(entry.at, decision)
                case d.SeatConfirmed() if self._rng.random() < 0.012:
                    self._later(entry.at, 5 * MINUTE_S, 2 * HOUR_S, OrderWithdrawn(order=decision.order))
                case d.GroupFilled():
                    self._regret(entry.at, decision)
                case d.RefundDue():
                    self._refund(entry.at, decision)
                case _:
                    pass

    # What the market offers

    def _item(self, rank: int) -> Item:
        size = self._rng.choices(SIZES, SIZE_WEIGHTS)[0]
        return Item(f"item-{rank + 1:04d}", size, self._rng.randrange(9, 200) * 100 + 90)

    def _offer(self, item: Item) -> OfferPublishedEvent:
        rng = self._rng
        scarce = rng.random() < 0.02
        data = OfferPublished(
            offer=item.offer,
            size=item.size,
            solo_minor=item.price_minor * 3 // 2,
            group_minor=item.price_minor,
            group_ttl_s=rng.choice((1, 2, 4, 8)) * HOUR_S,
            match=rng.choice(("earliest_deadline", "nearest_full")),
            late_payment=rng.choice(("refund", "refund", "rejoin")),
            fill_if_at_least=item.size - 1 if item.size >= 10 else None,
            stock=rng.randrange(5, 40) if scarce else None,
        )
        return OfferPublishedEvent(specversion="1.0", id=f"list-{item.offer}", source=SOURCE, time=OPENS_AT, data=data)

    def _take_offers_down(self) -> None:
        """Have the shop take down one offer after the other in the night; open groups run on.

        The market's clock only moves with events: these carry it past the last deadline.
        """
        after_ns = OPENS_NS + SELLING_S * NS_PER_S
        step_ns = (CLOSED_NS - after_ns) // len(self._items)
        for number, item in enumerate(self._items, 1):
            self._at(after_ns + number * step_ns, OfferWithdrawn(offer=item.offer))

    # What members do

    def _launch(self, at_ns: int) -> None:
        """Have somebody launch a group: with friends who may come, or alone and hoping for strangers."""
        rng = self._rng
        item = self._choose_item()
        order, member = self._name("o"), self._member()
        alone = rng.random() < 0.6
        strangers = alone or rng.random() < 0.7
        if not alone:
            come = sum(rng.random() < 0.75 for _ in range(item.size - 1)) + (rng.random() < 0.05)
            self._friends[order] = [self._member() for _ in range(come)]
        self._at(
            at_ns,
            OrderPosted(
                order=order,
                member=member,
                offer=item.offer,
                strangers=strangers,
                merge=strangers and rng.random() < 0.9,
                lead="if_needed" if alone else "always",
                payment=self._paid_first(item, order),
            ),
        )

    def _pass_by(self, at_ns: int) -> None:
        """Have somebody ask for a seat in any open group of an item, without wanting to launch one."""
        item, order = self._choose_item(), self._name("o")
        payment = self._paid_first(item, order)
        self._at(at_ns, OrderJoined(order=order, member=self._member(), offer=item.offer, merge=True, payment=payment))

    def _bring_friends(self, at_ns: int, opened: d.GroupOpened) -> None:
        item = self._prices[opened.offer]
        for member in self._friends.pop(opened.order, ()):
            order = self._name("o")
            data = OrderJoined(
                order=order,
                member=member,
                offer=opened.offer,
                group=opened.group,
                via=opened.member if opened.member != member else None,
                merge=True,
                payment=self._paid_first(item, order),
            )
            self._later(at_ns, 30, 45 * MINUTE_S, data)
        if self._rng.random() < 0.002:
            act = GroupDissolved(group=opened.group, actor="cs-7", reason="suspected-fraud", ticket=self._name("t"))
            self._later(at_ns, 10 * MINUTE_S, HOUR_S, act)

    def _pay(self, at_ns: int, seat: d.SeatHeld) -> None:
        """Have a member pay for a held seat: nearly always in time and right, and else in every wrong way."""
        rng, due_minor = self._rng, seat.payable_minor
        manner = rng.random()
        if manner < 0.03:
            return
        if manner < 0.06:
            late_s = (seat.hold_until - at_ns) // NS_PER_S + rng.randrange(10, HOUR_S)
            self._later(at_ns, late_s, late_s + 1, self._payment(seat.order, due_minor))
            return
        if manner < 0.075:
            self._later(at_ns, 5, MINUTE_S, self._payment(seat.order, due_minor - 100))
        self._later(at_ns, 2 * MINUTE_S, HOLD_S - MINUTE_S, self._payment(seat.order, due_minor))
        if manner > 0.99:
            self._later(at_ns, HOLD_S, HOUR_S, self._payment(seat.order, due_minor))

    def _regret(self, at_ns: int, filled: d.GroupFilled) -> None:
        for seat in filled.seats:
            if self._rng.random() < 0.008:
                self._later(at_ns, 10 * MINUTE_S, 3 * HOUR_S, OrderCancelled(order=seat.order))

    def _refund(self, at_ns: int, due: d.RefundDue) -> None:
        """Have the payment backend send money back; now and then it needs a second try."""
        if self._rng.random() < 0.02:
            self._later(at_ns, MINUTE_S, 10 * MINUTE_S, RefundFailed(refund=due.refund, reason="bank-away"))
            at_ns += 20 * MINUTE_S * NS_PER_S
        self._later(at_ns, MINUTE_S, 30 * MINUTE_S, RefundSettled(refund=due.refund, reference=self._name("bank")))

    # Small things

    def _selling_moment(self) -> int:
        return OPENS_NS + int(self._rng.uniform(0, SELLING_S) * NS_PER_S)

    def _choose_item(self) -> Item:
        point = self._rng.random() * self._popularity[-1]
        return self._items[bisect_left(self._popularity, point)]

    def _member(self) -> str:
        return f"m{self._rng.randrange(MEMBERS)}"

    def _paid_first(self, item: Item, order: str) -> Payment | None:
        if self._rng.random() < 0.7:
            return None
        return Payment(payment=f"pay-{order}", amount_minor=item.price_minor, currency=CURRENCY)

    def _payment(self, order: str, amount_minor: int) -> OrderPaid:
        return OrderPaid(order=order, payment=self._name("pay-"), amount_minor=amount_minor, currency=CURRENCY)

    def _name(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    def _later(self, at_ns: int, least_s: int, most_s: int, data: "_Payload") -> None:
        self._at(at_ns + self._rng.randrange(least_s * 1000, most_s * 1000) * 1_000_000, data)

    def _at(self, at_ns: int, data: "_Payload") -> None:
        name = self._name("e")
        event = _EVENT_OF[type(data)](specversion="1.0", id=name, source=SOURCE, time=format_time_ns(at_ns), data=data)
        heapq.heappush(self._acts, Act(at_ns, self._numbers, event))


def configuration() -> MarketConfigured:
    """Return the configuration of the demo's market: time is what the events say, so that a day takes a minute."""
    return MarketConfigured(
        clock="event",
        timezone="Asia/Shanghai",
        publishers={PUBLISHER: ["order", "offer", "group", "refund"]},
        offer_defaults=OfferTerms(currency=CURRENCY, hold_s=HOLD_S, grace_s=MINUTE_S, merge="allowed"),
    )


_Payload = (
    OrderPosted
    | OrderJoined
    | OrderPaid
    | OrderWithdrawn
    | OrderCancelled
    | GroupDissolved
    | OfferWithdrawn
    | RefundSettled
    | RefundFailed
)
_EVENT_OF: Final[dict[type, type]] = {
    OrderPosted: OrderPostedEvent,
    OrderJoined: OrderJoinedEvent,
    OrderPaid: OrderPaidEvent,
    OrderWithdrawn: OrderWithdrawnEvent,
    OrderCancelled: OrderCancelledEvent,
    GroupDissolved: GroupDissolvedEvent,
    OfferWithdrawn: OfferWithdrawnEvent,
    RefundSettled: RefundSettledEvent,
    RefundFailed: RefundFailedEvent,
}
