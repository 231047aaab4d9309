"""What is known in the simulated town: the things that events can be about, whoever made them."""

import random
from typing import Any, Final

Event = dict[str, Any]
OFFERS: Final = 4
MEMBERS: Final = 12
RECENT: Final = 20


class Town:
    """Ids of everything that was made, or is believed to have been, shared by all publishers."""

    def __init__(self) -> None:
        self.orders: dict[str, Event] = {}
        """Order -> the data of the event that made it."""
        self.payments: list[tuple[str, str]] = []
        """(order, payment) of money that was reported."""
        self.groups: list[str] = []
        self.refunds: list[str] = []
        self.plays: list[str] = []
        self.assists: list[tuple[str, str, str]] = []
        """(play, assist, helper)."""
        self.disputes: list[str] = []
        self.invitations: list[str] = []

    def learn(self, outcome: dict[str, Any]) -> None:
        """Remember what an outcome names, to act on it later."""
        for told in (outcome, *outcome.get("also", ())):
            if told.get("kind") == "group.opened":
                self.groups.append(told["group"])
            if told.get("kind") == "refund.due":
                self.refunds.append(told["refund"])

    def guess(self, events: list[Event], seq: int) -> None:
        """Remember the groups that published events may have opened: their names follow from their places."""
        for index, event in enumerate(events):
            if event["type"] == "groupbuy.order.posted.v1":
                self.groups.append(f"g{seq}-{index}")


def member(chance: random.Random) -> str:
    """Return somebody."""
    return f"m-{chance.randrange(MEMBERS)}"


def offer(chance: random.Random) -> str:
    """Return one of the offers that shops list."""
    return f"{chance.choice(('shop-a', 'shop-b'))}-{chance.randrange(OFFERS)}"


def recent(chance: random.Random, known: list[Any], otherwise: Any) -> Any:
    """Return one of the latest, or what nobody knows."""
    return chance.choice(known[-RECENT:]) if known and chance.random() < 0.97 else otherwise
