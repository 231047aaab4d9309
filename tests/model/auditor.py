"""Invariants that hold whatever the rules are, checked from the entries and the model's state after every message."""

from collections import defaultdict
from typing import Any

import msgspec

from tests.model.naive_world import Fields, World

CLOSINGS = {"group.filled": "filled", "group.expired": "expired", "group.dissolved": "dissolved"}
PAYING = ("order.posted", "order.joined", "order.paid")
REFUNDS_ON_ARRIVAL = (
    "unknown_order",
    "order_refused",
    "second_payment",
    "no_payment_due",
    "wrong_currency",
    "wrong_amount",
    "late_payment",
)
Money = tuple[str, str]
"""(order, payment)."""


class Auditor:
    """Keeps books of seats and money from the entries alone."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.answered: set[tuple[int, int]] = set()
        self.last_position = (0, 0, -1)
        self.last_at = 0
        self.paid_in: dict[Money, int] = defaultdict(int)
        self.refunded: dict[Money, int] = defaultdict(int)
        self.seated: dict[Money, int] = defaultdict(int)
        self.payment_of: dict[str, str] = {}

    def follow(self, entries: list[Fields]) -> None:
        """Book entries in their order."""
        for entry in entries:
            self._check_position(entry)
            for decision in entry["decisions"]:
                self._book_group(decision)
                self._book_money(decision)
            self._book_payment_in(entry)

    def check(self, world: World) -> None:
        """Check what must hold between two messages."""
        for group in world.groups:
            if group["state"] == "open":
                seated = world.taken(group)
                assert seated <= group["rules"]["max_size"], f"{group['id']} seats {seated}"
                assert group["seats"], f"{group['id']} is open and empty"
                assert group["deadline"] > world.now, f"{group['id']} is open past its deadline"
                members = [order["member"] for order in world.seats(group)]
                assert len(set(members)) == len(members), f"{group['id']} seats a member twice"
            known = self.ends.get(group["id"])
            assert (known is None) == (group["state"] == "open"), f"{group['id']}: {known}, {group['state']}"
        for offer in world.offers:
            assert all(left >= 0 for left in (offer["stock"] or {}).values()), f"{offer['id']}: {offer['stock']}"
        for money, amount in self.paid_in.items():
            elsewhere = self.refunded[money] + self.seated[money]
            assert amount == elsewhere, f"{money}: {amount} came in, {elsewhere} is refunded or seated"

    def _check_position(self, entry: Fields) -> None:
        position = (entry["seq"], entry["index"], entry["part"])
        seq, index, part = self.last_position
        same_input = position == (seq, index, part + 1)
        next_input = position in ((seq, index + 1, 0), (seq + 1, 0, 0))
        assert same_input or next_input, f"{position} after {self.last_position}"
        assert entry["at"] >= self.last_at, "time went back"
        assert entry["decisions"], "an entry without a decision"
        if "publisher" in entry:
            assert position[:2] not in self.answered, f"{position} is answered twice"
            self.answered.add(position[:2])
        if next_input and self.last_position != (0, 0, -1):
            assert (seq, index) in self.answered, f"{(seq, index)} has no outcome"
        self.last_position, self.last_at = position, entry["at"]

    def _book_group(self, decision: Fields) -> None:
        kind = decision["kind"]
        if kind == "group.opened":
            assert decision["group"] not in self.ends, "a group's id is used again"
        if kind == "group.merged":
            self._end(decision["group"], "merged")
        if kind in CLOSINGS and decision.get("page", 1) == 1:
            self._end(decision["group"], CLOSINGS[kind])

    def _end(self, group: str, how: str) -> None:
        assert group not in self.ends, f"{group} is {how} after it was {self.ends.get(group)}"
        self.ends[group] = how

    def _book_money(self, decision: Fields) -> None:
        kind = decision["kind"]
        if kind == "seat.confirmed" and "payment" in decision:
            self.payment_of[decision["order"]] = decision["payment"]
            self.seated[decision["order"], decision["payment"]] = decision["payable_minor"]
        if kind == "refund.due":
            money = (decision["order"], decision["payment"])
            self.refunded[money] += decision["amount_minor"]
            if decision["cause"] == "price_by_size":
                self.seated[money] -= decision["amount_minor"]
            elif decision["cause"] not in REFUNDS_ON_ARRIVAL:
                assert self.seated[money] == decision["amount_minor"], f"{money}: {decision}"
                self.seated[money] = 0

    def _book_payment_in(self, entry: Fields) -> None:
        if "event" not in entry:
            return
        event: dict[str, Any] = msgspec.json.decode(entry["event"])
        if event["type"].removeprefix("groupbuy.").removesuffix(".v1") not in PAYING:
            return
        payment = event["data"] if "paid" in event["type"] else event["data"].get("payment")
        if payment is None:
            return
        order, name = event["data"]["order"], payment["payment"]
        for decision in entry["decisions"]:
            mine = decision.get("order") == order and decision.get("payment") == name
            seated = decision["kind"] == "seat.confirmed"
            if mine and (seated or decision.get("cause") in REFUNDS_ON_ARRIVAL):
                self.paid_in[order, name] += payment["amount_minor"]
