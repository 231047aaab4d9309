"""The decisions that state the seat of a known order anew: held for payment, or confirmed."""

from typing import NamedTuple

from events import decisions as d
from services.matcher.domain.state import Group, Order
from services.matcher.domain.terms import Terms


class Goods(NamedTuple):
    """What an order is for: a variant of its offer, None where there is one only, and how many."""

    sku: str | None
    quantity: int


def held(
    order: Order, group: Group, terms: Terms, payable_minor: int, hold_until: int, goods: Goods | None = None
) -> d.SeatHeld:
    """Return that an order holds a seat until `hold_until` (ns); `goods` where they are other than before."""
    sku, quantity = goods or (order.sku, order.quantity)
    return d.SeatHeld(
        group=group.group,
        order=order.order,
        member=order.member,
        offer=group.offer,
        quantity=quantity,
        sku=sku,
        payable_minor=payable_minor,
        currency=terms.currency,
        hold_until=hold_until,
        publisher=order.publisher,
    )


def confirmed(
    order: Order, group: Group, terms: Terms, payable_minor: int, payment: str | None, goods: Goods | None = None
) -> d.SeatConfirmed:
    """Return that an order's seat is taken for good; `goods` where they are other than before."""
    sku, quantity = goods or (order.sku, order.quantity)
    return d.SeatConfirmed(
        group=group.group,
        order=order.order,
        member=order.member,
        offer=group.offer,
        quantity=quantity,
        sku=sku,
        payable_minor=payable_minor,
        currency=terms.currency,
        payment=payment,
        publisher=order.publisher,
    )
