"""Family `order`: a member's way through a group."""

from typing import Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import AmountMinor, Currency, CurrencyLetters, Id, Name, Quantity, TimeText
from events.signals import Signals


class Payment(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Money that has been taken for an order."""

    payment: Id
    amount_minor: AmountMinor
    currency: CurrencyLetters
    """That they are capital letters is checked by `events.decode`."""
    paid_at: TimeText | None = None


class OrderTerms(Data, kw_only=True):
    """What an order asks for, however it enters a group.

    `pool`: only orders of one pool meet. `via`: the member who shared it. `strangers`: may strangers join
    the group while this order sits in it. `merge`: may its group be merged. `payment`: paid beforehand.
    `signals`: how the order came to the publisher.
    """

    order: Id
    member: Name
    offer: Id
    sku: Id | None = None
    quantity: Quantity = 1
    pool: Id | None = None
    via: Name | None = None
    strangers: bool = True
    merge: bool = False
    payment: Payment | None = None
    signals: Signals | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        payment = self.payment
        if payment is None:
            text = f"{self.order}\n{self.member}\n{self.offer}"
        else:  # in one go: most orders pay
            text = f"{self.order}\n{self.member}\n{self.offer}\n{payment.payment}"
        if self.sku is not None:
            text = f"{text}\n{self.sku}"
        if self.pool is not None:
            text = f"{text}\n{self.pool}"
        if self.via is not None:
            text = f"{text}\n{self.via}"
        if self.signals is not None and self.signals.channel is not None:
            text = f"{text}\n{self.signals.channel}"
        return text

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member, self.via)

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return () if self.payment is None else (self.payment.paid_at,)


class OrderPosted(OrderTerms, kw_only=True):
    """Opens a group, or with `lead: if_needed` takes a seat in an open one first."""

    lead: Literal["always", "if_needed"] = "always"


class OrderJoined(OrderTerms, kw_only=True):
    """Joins the named group, or one that the matcher chooses."""

    group: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        # `super()` costs a tenth of a microsecond.
        text = OrderTerms.ids(self)
        return text if self.group is None else f"{text}\n{self.group}"


class OrderChanged(Data, kw_only=True):
    """Changes an order that keeps its seat; what is absent stays."""

    order: Id
    sku: Id | None = None
    quantity: Quantity | None = None
    strangers: bool | None = None
    merge: bool | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.order, self.sku)


class OrderPaid(Data, kw_only=True):
    """Money has been taken for an order; `paid_at` is a claim, the accepted time decides."""

    order: Id
    payment: Id
    amount_minor: AmountMinor
    currency: Currency
    paid_at: TimeText | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return f"{self.order}\n{self.payment}"

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.paid_at,)


class OrderWithdrawn(Data, kw_only=True):
    """The member leaves before the group is filled."""

    order: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.order


class OrderCancelled(Data, kw_only=True):
    """The order is cancelled; after the group is filled the member is refunded and the group stays filled."""

    order: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.order


class OrderReleased(Data, kw_only=True):
    """Customer service takes an order out of its group."""

    order: Id
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.order, self.actor, self.reason, self.ticket)


class OrderPostedEvent(Event, tag="groupbuy.order.posted.v1", kw_only=True):
    """Opens a group."""

    data: OrderPosted


class OrderJoinedEvent(Event, tag="groupbuy.order.joined.v1", kw_only=True):
    """Joins a group."""

    data: OrderJoined


class OrderChangedEvent(Event, tag="groupbuy.order.changed.v1", kw_only=True):
    """Changes an order."""

    data: OrderChanged


class OrderPaidEvent(Event, tag="groupbuy.order.paid.v1", kw_only=True):
    """Reports a payment."""

    data: OrderPaid


class OrderWithdrawnEvent(Event, tag="groupbuy.order.withdrawn.v1", kw_only=True):
    """Leaves a group."""

    data: OrderWithdrawn


class OrderCancelledEvent(Event, tag="groupbuy.order.cancelled.v1", kw_only=True):
    """Cancels an order."""

    data: OrderCancelled


class OrderReleasedEvent(Event, tag="groupbuy.order.released.v1", kw_only=True):
    """Customer service releases an order."""

    data: OrderReleased
