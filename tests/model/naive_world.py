"""The state of the naive model: dicts and lists that are searched from end to end, nothing else.

Written from RULES.md alone. It shares with the service only the contract in `events/`.
"""

import hashlib
from typing import Any

from events.limits import SEATS_PER_PAGE

Fields = dict[str, Any]
"""A record of the model: an offer, a group, an order, a decision."""

DEFAULTS: Fields = {"quantity": 1, "page": 1, "pages": 1, "status": "open"}


def decision(kind: str, **fields: Any) -> Fields:
    """Return a decision as it reads in JSON: what equals its default is left out."""
    kept = {name: value for name, value in fields.items() if value is not None and DEFAULTS.get(name) != value}
    return {"kind": kind, **kept}


class World:
    """Everything that the naive model remembers."""

    def __init__(self) -> None:
        self.config: Any = None
        self.now = 0
        self.position = (0, 0, 0)
        self.identities: list[Fields] = []
        self.offers: list[Fields] = []
        self.groups: list[Fields] = []
        self.orders: list[Fields] = []
        self.refunds: list[Fields] = []
        self.blocks: list[tuple[str, str]] = []
        self.timers: list[Fields] = []
        self.timers_made = 0
        self.groups_opened = 0
        self.pages: list[list[Fields]] = []
        self.to_dissolve: list[str] = []
        self.ended_orders: list[tuple[int, str]] = []
        self.over_groups: list[tuple[int, str]] = []
        self.settled_refunds: list[tuple[int, str]] = []

    # Looking things up

    def offer(self, offer_id: str) -> Fields | None:
        """Return an offer, or None."""
        return _named(self.offers, offer_id)

    def group(self, group_id: str) -> Fields | None:
        """Return a group, or None."""
        return _named(self.groups, group_id)

    def order(self, order_id: str) -> Fields | None:
        """Return an order, or None."""
        return _named(self.orders, order_id)

    def refund(self, refund_id: str) -> Fields | None:
        """Return a refund, or None."""
        return _named(self.refunds, refund_id)

    def must_order(self, order_id: str) -> Fields:
        """Return an order that exists."""
        found = self.order(order_id)
        assert found is not None, order_id
        return found

    def must_group(self, group_id: str) -> Fields:
        """Return a group that exists."""
        found = self.group(group_id)
        assert found is not None, group_id
        return found

    def seats(self, group: Fields) -> list[Fields]:
        """Return the orders seated in a group, in seat order."""
        return [self.must_order(order_id) for order_id in group["seats"]]

    def confirmed(self, group: Fields) -> list[Fields]:
        """Return the confirmed orders of an open group, in seat order."""
        return [order for order in self.seats(group) if order["state"] == "confirmed"]

    def held(self, group: Fields) -> list[Fields]:
        """Return the held orders of an open group, in seat order."""
        return [order for order in self.seats(group) if order["state"] == "held"]

    # Weights

    def confirmed_weight(self, group: Fields) -> int:
        """Return the confirmed weight of a group."""
        return sum(weight(group["rules"], order) for order in self.confirmed(group))

    def taken(self, group: Fields) -> int:
        """Return the weight of all seats, held ones included."""
        return sum(weight(group["rules"], order) for order in self.seats(group))

    # Members

    def keep_apart(self, one: str, other: str) -> bool:
        """Tell whether one of two members blocked the other."""
        return (one, other) in self.blocks or (other, one) in self.blocks

    # Stock

    def stock_left(self, offer: Fields, sku: str | None) -> int | None:
        """Return what is left of a variant, or None where stock is not kept."""
        if offer["stock"] is None:
            return None
        left: int = offer["stock"][sku or ""]
        return left

    def move_stock(self, order: Fields, delta: int) -> None:
        """Give the stock of an order back (positive) or take it (negative)."""
        offer = self.offer(order["offer"])
        assert offer is not None
        if offer["stock"] is not None:
            offer["stock"][order["sku"] or ""] += delta

    # Money

    def owe(self, order_id: str, payment: Fields, cause: str, about: Fields) -> Fields:
        """Note a refund and return its decision; `about` gives publisher, member and group."""
        refund = {
            "id": refund_id(order_id, payment["payment"], cause),
            "order": order_id,
            "amount_minor": payment["amount_minor"],
            "currency": payment["currency"],
            "publisher": about.get("publisher"),
            "member": about.get("member"),
            "status": "due",
        }
        assert self.refund(refund["id"]) is None, f"the refund {refund['id']} is due twice"
        self.refunds.append(refund)
        return decision(
            "refund.due",
            refund=refund["id"],
            order=order_id,
            payment=payment["payment"],
            amount_minor=payment["amount_minor"],
            currency=payment["currency"],
            cause=cause,
            publisher=about.get("publisher"),
            member=about.get("member"),
            group=about.get("group"),
        )

    # Ends

    def end_order(self, order: Fields, state: str, ended: str) -> None:
        """Let an order end: `state` is "filled" or "over", `ended` says why."""
        order["state"], order["ended"], order["ended_at"] = state, ended, self.now
        # Who ends twice at one instant, having rejoined in between, keeps the place of the first end.
        if (self.now, order["id"]) not in self.ended_orders:
            self.ended_orders.append((self.now, order["id"]))

    def has_ended(self, order_id: str, at: int) -> bool:
        """Tell whether an order ended at that instant and has not been seated again since."""
        order = self.order(order_id)
        return order is not None and order["state"] in ("filled", "over") and order["ended_at"] == at

    def end_group(self, group: Fields, state: str) -> None:
        """Let a group be over."""
        group["state"] = state
        self.over_groups.append((self.now, group["id"]))

    def add_timer(self, due: int, kind: str, subject: str) -> None:
        """Set a timer for a group or for an order's hold."""
        self.timers_made += 1
        self.timers.append({"due": due, "no": self.timers_made, "kind": kind, "subject": subject})


def weight(rules: Fields, order: Fields) -> int:
    """Return how much of a group under `rules` an order takes."""
    quantity: int = order["quantity"]
    return quantity if rules["count"] == "units" else 1


def refund_id(order_id: str, payment_id: str, cause: str) -> str:
    """Return the id of a refund: one for a price reduction, one for everything else."""
    what = "price_by_size" if cause == "price_by_size" else "whole"
    return "r-" + hashlib.sha256(f"{order_id}\n{payment_id}\n{what}".encode()).hexdigest()[:32]


def price_by_size(rules: Fields, size: int) -> int:
    """Return the unit price at a size."""
    price: int = rules["group_minor"]
    for tier_size, tier_price in rules["tiers"]:
        if tier_size <= size:
            price = tier_price
    return price


def payable(rules: Fields, leads: bool, quantity: int) -> int:
    """Return what a seat costs when it is taken."""
    if rules["hold_s"] == 0:
        return 0
    smallest = rules["size"]
    if rules["fill_if_at_least"] is not None:
        smallest = min(smallest, rules["fill_if_at_least"])
    unit = price_by_size(rules, smallest)
    if leads and rules["leader_minor"] is not None:
        unit = rules["leader_minor"]
    return unit * quantity


def fields_of(payment: Any) -> Fields:
    """Return a payment as a dict."""
    return {name: getattr(payment, name) for name in ("payment", "amount_minor", "currency")}


def in_pages(things: list[Any]) -> list[list[Any]]:
    """Cut a list into pages; an empty list is one empty page."""
    return [things[i : i + SEATS_PER_PAGE] for i in range(0, len(things), SEATS_PER_PAGE)] or [[]]


def _named(things: list[Fields], name: str) -> Fields | None:
    for thing in things:
        if thing["id"] == name:
            return thing
    return None
