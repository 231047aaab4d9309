"""Checks on money: each payment is taken once, what is owed back is at most what was paid, and nothing is left over."""

from collections import defaultdict
from typing import Any, Final

from tests.simulation.checks.history import History, Told, must

Money = tuple[str, str]
"""(order, payment)."""
_PAYING: Final = ("groupbuy.order.posted.v1", "groupbuy.order.joined.v1", "groupbuy.order.paid.v1")
_ON_ARRIVAL: Final = (
    *("unknown_order", "order_refused", "second_payment", "no_payment_due"),
    *("wrong_currency", "wrong_amount", "late_payment"),
)


class _Till:
    """Follows payments and refunds."""

    def __init__(self, *, is_forgetful: bool) -> None:
        self.is_forgetful = is_forgetful
        self.paid: dict[Money, int] = {}
        self.back: dict[Money, int] = defaultdict(int)
        self.reduced: dict[Money, int] = defaultdict(int)
        """Of what is owed back: because the price fell with the size."""
        self.disputed: set[Money] = set()
        self.refunds: dict[str, int] = {}
        self.settled: set[str] = set()
        self.kept: dict[str, str] = {}
        """Order with a paid seat -> the payment for it."""
        self.prices: dict[str, int] = {}
        """Order in a filled group -> what its seat costs in the end."""

    def take(self, entry_name: str, event: dict[str, Any], decisions: list[Any]) -> None:
        """Book a payment that came with an event, where the entry says that it was taken."""
        if event["type"] not in _PAYING:
            return
        data = event["data"]
        payment = data if event["type"] == "groupbuy.order.paid.v1" else data.get("payment")
        if payment is None:
            return
        money = (data["order"], payment["payment"])
        for decision in decisions:
            kind = decision.__struct_config__.tag
            if (getattr(decision, "order", None), getattr(decision, "payment", None)) != money:
                continue
            if kind == "seat.confirmed" or (kind == "refund.due" and decision.cause in _ON_ARRIVAL):
                again = money in self.paid and not self._is_forgotten(decision)
                must(not again, f"{entry_name}: the payment {money} is taken a second time")
                self.paid[money] = payment["amount_minor"]

    def follow(self, told: Told) -> None:
        """Book what a decision says of money."""
        kind, what = told.kind, told.what
        if kind == "seat.confirmed" and what.payment is not None:
            self.kept[what.order] = what.payment
        elif kind == "seat.released":
            self.kept.pop(what.order, None)
        elif kind in ("group.expired", "group.dissolved"):
            for seat in what.seats:
                self.kept.pop(seat.order, None)
        elif kind == "group.filled":
            for seat in what.seats:
                self.prices[seat.order] = seat.price_minor
                if seat.won is False:
                    self.kept.pop(seat.order, None)
        elif kind == "refund.due":
            self._owe(told)
        elif kind == "refund.closed":
            must(what.refund in self.refunds, f"{told.name}: {what.refund} is closed and was never due")
            must(what.refund not in self.settled, f"{told.name}: {what.refund} is paid out twice")
            same = self.refunds[what.refund] == what.amount_minor
            must(same, f"{told.name}: {what.amount_minor} of {what.refund} are paid out")
            if what.status == "settled":
                self.settled.add(what.refund)

    def _is_forgotten(self, decision: Any) -> bool:
        """Tell whether a debt comes up again that was paid out, and that the market remembers no more.

        It is the same refund with the same id, by which a payment backend knows that it has paid it out.
        """
        return self.is_forgetful and getattr(decision, "refund", None) in self.settled

    def _owe(self, told: Told) -> None:
        what = told.what
        money = (what.order, what.payment)
        if self._is_forgotten(what):
            self.settled.discard(what.refund)
            return
        must(what.refund not in self.refunds, f"{told.name}: {what.refund} of {money} is due twice")
        self.refunds[what.refund] = what.amount_minor
        must(what.amount_minor > 0, f"{told.name}: {what.amount_minor} of {money} are owed back")
        self.back[money] += what.amount_minor
        paid = self.paid.get(money, 0)
        must(self.back[money] <= paid, f"{told.name}: {self.back[money]} of {money} are owed back, paid were {paid}")
        if what.cause == "price_by_size":
            self.reduced[money] += what.amount_minor
        if what.cause == "dispute":
            self.disputed.add(money)

    def close(self) -> None:
        """Check that nobody's money is left where nothing was bought with it, and that seats cost what was told."""
        for (order, payment), paid in self.paid.items():
            left = paid - self.back[order, payment]
            if self.kept.get(order) != payment:
                must(left == 0, f"{left} of {(order, payment)} are neither owed back nor pay for a seat")
            elif order in self.prices and (order, payment) not in self.disputed:
                must(left == self.prices[order], f"{order} pays {left}, told was {self.prices[order]}")


def money_adds_up(history: History) -> None:
    """Each payment is taken once and comes back at most once, and whole where no seat is had for it."""
    till = _Till(is_forgetful=history.world.setting.is_forgetful)
    at = None
    for told in history.decisions:
        event = history.event_of(told.entry)
        if told.entry is not at and event is not None:
            till.take(told.name, event, told.entry.decisions)
        at = told.entry
        till.follow(told)
    till.close()
