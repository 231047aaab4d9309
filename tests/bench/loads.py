"""The loads that rates are measured under: how many events a message, how many offers, how large the groups, ..."""

from typing import Final, NamedTuple

from deploy.permissions import OPERATOR
from tests.bench import traffic

ONE_OFFER: Final = 1
MANY_OFFERS: Final = 100_000
HELPERS_PER_PLAY: Final = 20
OFFERS_PER_MESSAGE: Final = 500

Said = tuple[str, str, bytes]
"""A message of the intake: publisher, family, body."""


class Load(NamedTuple):
    """A backlog of one kind.

    With `holds` every order is held first and paid by a second event; with `assists` every other message holds
    assists of bargains, with all signals.
    """

    name: str
    batch: int = 100
    offers: int = traffic.OFFERS
    size: int = traffic.GROUP_SIZE
    holds: bool = False
    assists: bool = False

    def setup(self, events: int, market_key: bytes) -> list[Said]:
        """Return what must be decided before a backlog of `events` events: configuration, offers and plays."""
        plays_under_key = market_key if self.assists else None
        said = [(OPERATOR, "market", traffic.configuration(plays_under_key=plays_under_key))]
        offers = traffic.offers(size=self.size, count=self.offers)
        said += [(traffic.PUBLISHER, "offer", body) for body in traffic.batches(offers, OFFERS_PER_MESSAGE)]
        if self.assists:
            plays = traffic.batches(traffic.plays(self._plays(events)), OFFERS_PER_MESSAGE)
            said += [(traffic.PUBLISHER, "play", body) for body in plays]
        return said

    def backlog(self, events: int, prefix: str = "o") -> list[Said]:
        """Return `events` events of the load, in its messages."""
        orders = self._messages("order", self._orders(events // 2 if self.assists else events, prefix))
        if not self.assists:
            return orders
        assists = self._messages("assist", traffic.assists(events // 2, self._plays(events)))
        return [message for pair in zip(orders, assists, strict=True) for message in pair]

    def _messages(self, family: str, events: list[bytes]) -> list[Said]:
        return [(traffic.PUBLISHER, family, body) for body in traffic.batches(events, self.batch)]

    def _orders(self, events: int, prefix: str) -> list[bytes]:
        if not self.holds:
            return traffic.orders(events, prefix=prefix, offers=self.offers)
        orders = traffic.orders(events // 2, prefix=prefix, offers=self.offers, pays=False)
        payments = [_payment(prefix, place) for place in range(events // 2)]
        return [event for pair in zip(orders, payments, strict=True) for event in pair]

    def _plays(self, events: int) -> int:
        return max(1, events // 2 // HELPERS_PER_PLAY)


def _payment(prefix: str, place: int) -> bytes:
    data = {"order": f"{prefix}-{place:09d}", **traffic.payment(prefix, place)}
    return traffic.event("order.paid", f"0193f5e2-7c1a-7cc1-{prefix}-{place:012d}", data)


SINGLES: Final = Load("singles", batch=1)
BATCHES_OF_100: Final = Load("batches_of_100")
LOADS: Final = (
    SINGLES,
    Load("batches_of_10", batch=10),
    BATCHES_OF_100,
    Load("batches_of_1000", batch=1_000),
    Load("one_hot_offer", offers=ONE_OFFER),
    Load("many_offers", offers=MANY_OFFERS),
    Load("groups_of_2", size=2),
    Load("groups_of_100", size=100),
    Load("holds_then_payments", holds=True),
    Load("orders_and_assists", assists=True),
)
