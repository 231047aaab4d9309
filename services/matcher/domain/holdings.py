"""What orders hold of an offer: its stock, and of a limited one each member's weight."""

from services.matcher.domain import state as s
from services.matcher.domain.state import Offer, Order, State


def take_stock(stock: dict[str, int], sku: str | None, delta: int) -> None:
    """Add `delta` to an offer's stock of a variant: less than 0 for what an order takes."""
    key = s.ONE_STOCK if sku is None else sku
    stock[key] = left = stock[key] + delta
    assert left >= 0, "stock is never negative"


def weigh(state: State, offer: Offer, order: Order, sign: int) -> None:
    """Count an order in, or out of, what its member holds of the offer."""
    if order.status not in (s.HELD, s.CONFIRMED, s.FILLED):
        return
    assert offer.weights is not None
    terms = s.terms_of(state, state.groups[order.group])
    shift = s.WEIGHT_BITS if order.status == s.FILLED else 0
    add_weight(offer, order.member, sign * terms.weight(order.quantity) << shift)


def add_weight(offer: Offer, member: str, weight: int) -> None:
    """Add a packed weight to what a member holds of a limited offer."""
    assert offer.weights is not None
    held = offer.weights.get(member, 0) + weight
    assert held >= 0, "nobody holds less than nothing"
    if held:
        offer.weights[member] = held
    else:
        del offer.weights[member]
