"""What is owed back: one debt for one payment, with an id that anyone can derive."""

from events import decisions as d
from events.refund import refund_id
from services.matcher.domain.state import Group, Order
from services.matcher.domain.turn import Turn


def is_owed(turn: Turn, order: str, payment: str) -> bool:
    """Tell whether the whole of a payment was declared due before."""
    return order in turn.tree.refunds and refund_id(order, payment) in turn.state.refunds


def refund_order(turn: Turn, order: Order, cause: str, group: Group | None = None) -> None:
    """Owe back what `order` has paid and still holds; nothing when it paid nothing, or has got all of it back."""
    if order.payment is None or (order.paid_minor == 0 and order.payable_minor > 0):
        return
    group = turn.state.groups[order.group] if group is None else group
    terms = turn.state.offers[group.offer].editions[group.edition].terms
    turn.emit(
        d.RefundDue(
            refund=refund_id(order.order, order.payment),
            order=order.order,
            payment=order.payment,
            amount_minor=order.paid_minor,
            currency=terms.currency,
            cause=cause,  # type: ignore[arg-type]  # callers name a cause of the closed list
            publisher=order.publisher,
            member=order.member,
            group=order.group,
        )
    )
