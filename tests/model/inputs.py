"""Random intake messages for a small world in which everything collides.

What is random is one function, `pick`, so that a seeded generator and Hypothesis can both drive it. The naive
model's state is looked at to choose names, amounts and moments that matter: exact deadlines, exact prices.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from events.times import format_time_ns
from tests import builders as b
from tests.builders import T0, JsonEvent, S, encode
from tests.model import naive_draw
from tests.model.naive_world import Fields, World, payable

TASTES = ("mixed", "merging", "large")
"""Every rule at once; many short groups that may merge; few groups with many seats."""
POOLS = [None, None, None, "north"]
PUBLISHERS = ["shop-a", "shop-a", "shop-b"]
MANNERS = ["one"] * 24 + ["batch"] * 3 + ["mixed", "again", "again", "id reused", "bytes", "astray", "person"]
ALL_FAMILIES = ["offer", "order", "group", "refund", "member", "market", "clock"]


class Pick(Protocol):
    """Chooses one of some options."""

    def __call__(self, options: Sequence[Any], /) -> Any: ...


class Inputs:
    """Makes the next intake message, given the state of the world."""

    def __init__(self, pick: Pick, clock: str = "broker", taste: str = "mixed") -> None:
        """`clock` is the market's; `taste` is one of TASTES."""
        self.pick = pick
        self.clock = clock
        self.taste = taste
        self.members = [f"m{n}" for n in range(1, {"mixed": 10, "merging": 21, "large": 31}[taste])]
        self.now = T0
        self.orders_made = 0
        self.payments_made = 0
        self.events_made = 0
        self.sent: list[tuple[str, str, bytes]] = []

    # Messages

    def configuration(self) -> tuple[int, str, str, bytes]:
        """Return the first message of a market."""
        return self.now, "operator", "market", self._encode(self._market())

    def message(self, world: World) -> tuple[int, str, str, bytes]:
        """Return (broker time, publisher, family, body) of the next message."""
        self.now = max(self.now, world.now) + self._step(world)
        at = self.now - self.pick([0] * 30 + [5 * S])
        manner = self.pick(
            ["one"] * 24 + ["batch"] * 3 + ["mixed", "again", "again", "id reused", "bytes", "astray", "person"]
        )
        if manner == "again" and self.sent:
            return (at, *self.pick(self.sent[-12:]))
        if manner == "id reused" and self.sent:
            publisher, family, body = self.pick(self.sent[-12:])
            return at, publisher, family, self._with_other_bytes(body)
        if manner == "bytes":
            return at, "shop-a", "order", self.pick([b"", b"[]", b"{}", b"\xff", b'{"a":1', b"[1,{}]", b"  "])
        if manner == "person":
            named = b.posted(self._order_id(world), "13812345678", **self._order_fields(world, leads=True))
            return at, self.pick(["shop-a", "stranger"]), self.pick(["order", "offer"]), self._encode(named)
        if manner == "mixed":
            events = [{**self._event(world), "publisher": self.pick(PUBLISHERS)} for _ in range(self.pick([1, 2, 4]))]
            return self._sent(at, "gateway", "mixed", events)
        event = self._event(world)
        family = b.family_of(event)
        publisher = self._publisher(family)
        if manner == "astray":
            return at, self.pick(["shop-a", "stranger"]), self.pick(["order", "offer", "nonsense"]), self._encode(event)
        events = [event]
        while manner == "batch" and len(events) < self.pick([2, 3, 6]):
            events += [more for more in [self._event(world)] if b.family_of(more) == family]
        return self._sent(at, publisher, family, events)

    def _sent(self, at: int, publisher: str, family: str, events: list[JsonEvent]) -> tuple[int, str, str, bytes]:
        raws = [self._encode(event) for event in events]
        body = raws[0] if len(raws) == 1 else b"[" + b",".join(raws) + b"]"
        self.sent.append((publisher, family, body))
        return at, publisher, family, body

    def _publisher(self, family: str) -> str:
        if family in ("market", "member"):
            return "operator"
        return "matcher" if family == "clock" else self.pick(PUBLISHERS)

    def _encode(self, event: JsonEvent) -> bytes:
        self.events_made += 1
        shift = self.pick([0] * 120 + [-61 * S, 301 * S, -1])
        return encode({**event, "id": f"e{self.events_made}"}, self.now + shift)

    def _with_other_bytes(self, body: bytes) -> bytes:
        document = json.loads(body)
        events = document if isinstance(document, list) else [document]
        events[-1]["data"]["note"] = f"n{self.events_made}"
        return json.dumps(document, separators=(",", ":")).encode()

    def _step(self, world: World) -> int:
        """Return how far the clock moves: often not at all, often exactly onto a deadline."""
        how = self.pick(["stay"] * 34 + ["second"] * 4 + ["timer"] * 3 + ["hold"] * 2 + ["far"])
        moments = []
        if how == "timer":
            moments = [timer["due"] for timer in world.timers]
        if how == "hold":
            moments = [order["hold_until"] for order in world.orders if order["state"] == "held"]
        ahead = sorted(moment - self.now for moment in moments if moment > self.now)[:4]
        if ahead:
            return max(0, int(self.pick(ahead)) + int(self.pick([0, 0, 0, -1, 1])))
        far = int(self.pick([20 * S, 100 * S]))
        return {"stay": 0, "second": S, "far": far}.get(how, 2 * S)

    # Events

    def _event(self, world: World) -> JsonEvent:
        make: Callable[[World], JsonEvent] = self.pick(self._makers(world))
        return make(world)

    def _makers(self, world: World) -> list[Callable[[World], JsonEvent]]:
        """Return what may be made next, each as often as it is likely."""
        if world.config is None and self.pick([True, True, False]):
            return [lambda _: self._market()]
        if len(self._standing(world)) < 2:
            return [self._offer, self._offer, self._posted]
        return (
            [self._posted] * {"mixed": 20, "merging": 60, "large": 4}[self.taste]
            + [self._joined] * (90 if self.taste == "large" else 30)
            + [self._paid] * 35
            + [self._leaving] * (60 if self.taste == "large" else 8)
            + [self._changed] * 5
            + [self._refund, self._offer, self._offer_change, self._stocked, self._blocked] * 3
            + [self._group_act, self._withdrawn_offer, self._ticked, self._reconfigured]
        )

    def _market(self) -> JsonEvent:
        pick = self.pick
        return b.market(
            clock=self.clock,
            replay_window_s=60,
            future_slack_s=pick([300, 0]),
            publishers={"shop-a": ALL_FAMILIES, "shop-b": ["order", "offer"]},
            offer_defaults=pick([None, {"hold_s": 5, "size": 2}, {"tiers": [{"size": 3, "price_minor": 90}]}]),
            identity_capacity=pick([1_000] * 19 + [12]),
            order_capacity=pick([1_000] * 19 + [9]),
            offer_capacity=pick([100] * 19 + [2]),
            order_memory_s=pick([1_000, 1_000, 0, 15, 60]),
            secret_commitment=pick([naive_draw.secret_commitment()] * 19 + [None]),
        )

    def _reconfigured(self, _: World) -> JsonEvent:
        event = self._market()
        wrong = self.pick([{}] * 6 + [{"clock": "event"}, {"timezone": "Asia/Shanghai"}, {"timezone": "Mars/Base"}])
        event["data"].update(wrong, **self.pick([{}, {}, {"rule_version": 2}]))
        return event

    def _terms(self) -> Fields:
        if self.taste == "merging":
            return self._terms_for_merging()
        if self.taste == "large":
            return self._terms_for_large_groups()
        pick = self.pick
        size = pick([2, 3, 3, 4, 5])
        free = pick([False] * 7 + [True])
        return {
            "size": pick([size] * 15 + [None]),
            "group_minor": pick([100] * 9 + [0]),
            "leader_minor": pick([None, None, 70, 120]),
            "tiers": pick([None, None, [{"size": 2, "price_minor": 90}], self._two_tiers(size)]),
            "count": pick([None, None, "units"]),
            "group_ttl_s": pick([10, 20, 20, 60]),
            "hold_s": 0 if free else pick([5, 10, 30]),
            "grace_s": pick([None, 5]),
            "limit_at_once": pick([None] * 5 + [1, 2]),
            "limit_total": pick([None] * 5 + [2, 3]),
            "strangers": pick([None, None, None, "never"]),
            "leader_leaves": pick([None, "promote", "dissolve", "forbid"]),
            "fill_if_at_least": pick([None, None, 1, 2]),
            "match": pick([None, "nearest_full"]),
            "merge": pick(["allowed", "allowed", None]),
            "withdraw": pick([None, None, "until_paid", "never"]),
            "late_payment": pick([None, "rejoin", "rejoin"]),
            "closes_at": pick([None] * 9 + [format_time_ns(self.now + pick([30, 90]) * S)]),
            "opens_at": pick([None] * 12 + [format_time_ns(self.now + 5 * S)]),
            **pick([{}, {}, {"close": "at_deadline"}, {"close": "at_deadline", "max_size": size + 2}]),
            **pick([{}] * 5 + [{"winners": 1}, {"winners": 2}]),
        }

    def _terms_for_merging(self) -> Fields:
        pick = self.pick
        return {
            "size": pick([3, 4, 5]),
            "group_minor": 100,
            "leader_minor": pick([None, 70]),
            "tiers": pick([None, [{"size": 2, "price_minor": 90}]]),
            "count": pick([None, "units"]),
            "group_ttl_s": pick([10, 20]),
            "hold_s": pick([0, 5, 10]),
            "match": pick([None, "nearest_full"]),
            "merge": "allowed",
            "late_payment": "rejoin",
            **pick([{}, {}, {"close": "at_deadline"}]),
        }

    def _terms_for_large_groups(self) -> Fields:
        pick = self.pick
        return {
            "size": pick([12, 40]),
            "group_minor": 100,
            "tiers": pick([None, [{"size": 10, "price_minor": 90}]]),
            "group_ttl_s": pick([60, 200]),
            "hold_s": pick([0, 20, 100]),
            "leader_leaves": pick([None, "dissolve"]),
            "fill_if_at_least": pick([None, 10]),
            "merge": "allowed",
            "late_payment": "rejoin",
            **pick([{}, {"close": "at_deadline"}]),
            **pick([{}, {}, {"winners": 7}]),
        }

    def _two_tiers(self, size: int) -> list[Fields]:
        return [{"size": size, "price_minor": 95}, {"size": size + 1, "price_minor": self.pick([80, 80, 99])}]

    def _offer(self, world: World) -> JsonEvent:
        stocked: list[Fields] = [{"stock": 5}, {"stock": 12}, {"skus": {"red": 9, "blue": 4}}]
        stock = self.pick([{}] * 3 + stocked) if self.taste == "mixed" else {}
        return b.offer(f"f{len(world.offers) + self.pick([1] * 5 + [0])}", **{**self._terms(), **stock})

    def _offer_id(self, world: World) -> str:
        """Return an offer, most often one that stands."""
        every = [offer["id"] for offer in world.offers]
        chosen: str = self.pick(self.pick([self._standing(world)] * 19 + [every, ["f0"]]) or ["f0"])
        return chosen

    def _standing(self, world: World) -> list[str]:
        """Return the offers that take orders now."""
        return [
            offer["id"]
            for offer in world.offers
            if offer["status"] == "open" and (offer["rules"]["closes_at"] or self.now + 1) > self.now
        ]

    def _offer_change(self, world: World) -> JsonEvent:
        terms = self._terms()
        kept = self.pick(["size", "leader_minor", "hold_s", "limit_total", "merge", "late_payment", "close", "count"])
        return b.offer_changed(self._offer_id(world), **{kept: terms.get(kept)})

    def _stocked(self, world: World) -> JsonEvent:
        sku = self.pick([None, None, "red", "green"])
        return b.offer_stocked(self.pick([5, 5, -1, -3]), self._offer_id(world), sku=sku)

    def _withdrawn_offer(self, world: World) -> JsonEvent:
        return b.offer_withdrawn(self._offer_id(world), open_groups=self.pick([None, "dissolve"]))

    def _order_fields(self, world: World, leads: bool) -> Fields:
        """Return what an order asks for: most often something that can be had, paid rightly if paid beforehand."""
        pick = self.pick
        offer_id = self._offer_id(world)
        offer = world.offer(offer_id)
        quantity = pick([1, 1, 1, 1, 2, 3])
        price = 100 if offer is None else payable(offer["rules"], leads, quantity)
        skus = sorted((offer or {"stock": None})["stock"] or {})
        without = pick([None] * 30 + ["red"])
        return {
            "offer": offer_id,
            "quantity": quantity,
            "sku": without if "" in skus or not skus else pick([*skus * 5, None, "white"]),
            "pool": pick(POOLS),
            "strangers": pick([None] * 9 + [False]),
            "merge": pick([True] * 7 + [None]),
            "payment": self._payment(price) if price and pick([0, 1, 1]) else None,
        }

    def _order_id(self, world: World, known: int = 1) -> str:
        """Return a new order id, or (`known` in 8) one that is known already."""
        if world.orders and self.pick([True] * known + [False] * (8 - known)):
            chosen: str = self.pick(world.orders[-10:])["id"]
            return chosen
        self.orders_made += 1
        return f"o{self.orders_made}"

    def _payment(self, amount: int) -> Fields:
        if self.pick([True] * 5 + [False]) or self.payments_made == 0:
            self.payments_made += 1
        amount = max(0, amount + self.pick([0] * 15 + [-1, 1]))
        currency = self.pick(["CNY"] * 20 + ["EUR"])
        return {"payment": f"p{self.payments_made}", "amount_minor": amount, "currency": currency}

    def _posted(self, world: World) -> JsonEvent:
        lead = self.pick([None, None, "if_needed"])
        fields = self._order_fields(world, leads=lead is None)
        return b.posted(self._order_id(world), self.pick(self.members), **fields, lead=lead)

    def _joined(self, world: World) -> JsonEvent:
        still_open = [group for group in world.groups if group["state"] == "open"]
        known = self.pick([still_open] * 15 + [world.groups[-6:]]) or still_open
        if not known:
            return self._posted(world)
        chosen = self.pick(known)
        fields = self._order_fields(world, leads=False)
        group = self.pick([None, chosen["id"], chosen["id"], self.pick([chosen["id"]] * 9 + ["g0-0"])])
        fields.update(self.pick([{"offer": chosen["offer"], "pool": chosen["pool"]}] * 15 + [{}]))
        if fields["payment"] is not None:
            price = payable(chosen["rules"], leads=False, quantity=fields["quantity"])
            fields["payment"]["amount_minor"] = max(0, price + self.pick([0] * 15 + [-1, 1]))
        return b.joined(self._order_id(world), self.pick(self.members), **fields, group=group)

    def _paid(self, world: World) -> JsonEvent:
        if not world.orders:
            return b.paid("o1", **self._payment(100))
        held = [order for order in world.orders if order["state"] == "held"]
        unpaid = [order for order in world.orders if order["payment"] is None][-8:]
        order = self.pick(self.pick([held] * 9 + [world.orders[-8:]]) or unpaid or world.orders)
        return b.paid(self.pick([order["id"]] * 19 + ["o0"]), **self._payment(order["payable"]))

    def _leaving(self, world: World) -> JsonEvent:
        make: Any = self.pick([b.withdrawn, b.withdrawn, b.cancelled, b.released])
        seated = [order["id"] for order in world.orders if order["state"] in ("held", "confirmed")]
        event: JsonEvent = make(self.pick([self._order_id(world, known=7), *seated[-9:]]))
        return event

    def _changed(self, world: World) -> JsonEvent:
        pick = self.pick
        changes = pick([{"quantity": pick([1, 2, 3])}, {"sku": pick(["red", "blue"])}, {"merge": True}, {}])
        return b.order_changed(self._order_id(world, known=7), strangers=pick([None, None, True, False]), **changes)

    def _group_act(self, world: World) -> JsonEvent:
        group = self.pick(world.groups[-4:])["id"] if world.groups else "g0-0"
        make: Any = self.pick([b.completed, b.dissolved])
        event: JsonEvent = make(group)
        return event

    def _refund(self, world: World) -> JsonEvent:
        refund = self.pick(world.refunds[-6:])["id"] if world.refunds and self.pick([1, 1, 1, 0]) else "r-0"
        make: Any = self.pick([b.refund_settled, b.refund_settled, b.refund_failed])
        event: JsonEvent = make(refund)
        return event

    def _blocked(self, _: World) -> JsonEvent:
        return b.blocked(self.pick(self.members), self.pick(self.members), lifted=self.pick([None, True]))

    def _ticked(self, _: World) -> JsonEvent:
        return b.ticked()
