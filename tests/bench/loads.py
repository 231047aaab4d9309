"""Loads for the pipeline's benchmark: which orders, of how many offers, in groups of what size, in which messages."""

from typing import Final, NamedTuple

from tests.bench import traffic

ONE_OFFER: Final = 1
MANY_OFFERS: Final = 100_000


class Load(NamedTuple):
    """A backlog of one kind. `holds` has every order held first and paid by a second event."""

    name: str
    batch: int = 100
    offers: int = traffic.OFFERS
    size: int = traffic.GROUP_SIZE
    holds: bool = False

    def offer_events(self) -> list[bytes]:
        """Return the offers that the load's orders are for."""
        return traffic.offers(size=self.size, count=self.offers)

    def order_events(self, events: int, prefix: str = "o") -> list[bytes]:
        """Return `events` events of the load: orders that pay, or orders and after each its payment."""
        if not self.holds:
            return traffic.orders(events, prefix=prefix, offers=self.offers)
        orders = traffic.orders(events // 2, prefix=prefix, offers=self.offers, pays=False)
        payments = [_payment(prefix, place) for place in range(events // 2)]
        return [event for pair in zip(orders, payments, strict=True) for event in pair]


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
)
