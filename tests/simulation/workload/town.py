"""What is known in the simulated town: the things that events can be about, whoever made them."""

import random
from typing import Any, Final

Event = dict[str, Any]
OFFERS: Final = 2
MEMBERS: Final = 12
FRIENDS: Final = 5
"""So many members, the first ones, invite each other."""
RECENT: Final = 20


class Town:
    """Ids of everything that was made, or is believed to have been, shared by all publishers."""

    def __init__(self) -> None:
        self.offers: dict[str, Event] = {}
        """Offer -> its terms."""
        self.orders: dict[str, Event] = {}
        """Order -> the data of the event that made it."""
        self.seated: list[str] = []
        """Orders that were told to have a seat."""
        self.filled: list[str] = []
        """Orders that were told to have filled their group."""
        self.payments: list[tuple[str, str]] = []
        """(order, payment) of money that was reported."""
        self.groups: list[tuple[str, str]] = []
        """(group, offer)."""
        self.refunds: list[str] = []
        self.plays: list[str] = []
        self.assists: list[tuple[str, str, str]] = []
        """(play, assist, helper)."""
        self.disputes: dict[str, str] = {}
        """Dispute -> what it is about."""
        self.invitations: list[str] = []

    def hear(self, event: Event, outcome: dict[str, Any]) -> None:
        """Remember what an answered event made, and what its outcome names."""
        if outcome.get("kind") not in ("refused", "malformed"):
            self.note(event)
        all_told = (outcome, *outcome.get("also", ()))
        fills = any(told.get("kind") == "group.filled" for told in all_told)
        for told in all_told:
            if told.get("kind") == "group.opened":
                self.groups.append((told["group"], told["offer"]))
            if told.get("kind") == "seat.confirmed":
                (self.filled if fills else self.seated).append(told["order"])
            if told.get("kind") == "refund.due":
                self.refunds.append(told["refund"])

    def believe(self, events: list[Event], seq: int) -> None:
        """Remember what published events may have made: the names of groups follow from their places."""
        for index, event in enumerate(events):
            if event["type"] != "groupbuy.dispute.opened.v1":
                # Most claims are refused: only those that are known to stand are worth arguing about.
                self.note(event)
            if event["type"] == "groupbuy.order.posted.v1" and event["data"].get("lead") == "always":
                self.groups.append((f"g{seq}-{index}", event["data"].get("offer", "o-none")))

    def note(self, event: Event) -> None:
        """Remember what an event makes."""
        data = event["data"]
        match event["type"].removeprefix("groupbuy.").removesuffix(".v1"):
            case "offer.published" | "offer.changed" if "offer" in data:
                self.offers[data["offer"]] = {**self.offers.get(data["offer"], {}), **data}
            case "order.posted" | "order.joined" if "offer" in data and "member" in data:
                self.orders[data["order"]] = data
                if "payment" in data:
                    self.payments.append((data["order"], data["payment"]["payment"]))
            case "order.paid":
                self.payments.append((data["order"], data["payment"]))
            case "play.opened":
                self.plays.append(data["play"])
            case "assist.given":
                self.assists.append((data["play"], data["assist"], data["member"]))
            case "dispute.opened":
                self.disputes[data["dispute"]] = data["about"]
            case "invitation.requested":
                self.invitations.append(data["invitation"])


def member(chance: random.Random) -> str:
    """Return somebody."""
    return f"m-{chance.randrange(MEMBERS)}"


def friend(chance: random.Random) -> str:
    """Return somebody who invites and is invited."""
    return f"m-{chance.randrange(FRIENDS)}"


def offer(chance: random.Random) -> str:
    """Return one of the offers that shops list."""
    return f"{chance.choice(('shop-a', 'shop-b'))}-{chance.randrange(OFFERS)}"


def recent(chance: random.Random, known: list[Any], otherwise: Any) -> Any:
    """Return one of the latest, or what nobody knows."""
    return chance.choice(known[-RECENT:]) if known and chance.random() < 0.97 else otherwise
