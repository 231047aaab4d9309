"""Family `refund`: how the payment backend answers a refund that is due."""

import hashlib

from events.envelope import Data, Event, lines
from events.ids import Id


class RefundSettled(Data, kw_only=True):
    """The money went back."""

    refund: Id
    reference: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.refund, self.reference)


class RefundFailed(Data, kw_only=True):
    """The money could not be sent back; the refund stays unsettled."""

    refund: Id
    reason: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.refund, self.reason)


class RefundSettledEvent(Event, tag="groupbuy.refund.settled.v1", kw_only=True):
    """Reports a settled refund."""

    data: RefundSettled


class RefundFailedEvent(Event, tag="groupbuy.refund.failed.v1", kw_only=True):
    """Reports a failed refund."""

    data: RefundFailed


def refund_id(order: str, payment: str, *, of: str = "whole") -> str:
    """Return the id of a refund: of the `whole` payment, of what a `price_by_size` takes off it, or of a resolution.

    For the last, `of` is that of `of_resolution`. Anyone can derive it, and the same debt is the same refund.
    """
    return "r-" + hashlib.sha256(f"{order}\n{payment}\n{of}".encode()).hexdigest()[:32]


def of_resolution(dispute: str, number: int) -> str:
    """Return what resolution `number` (from 1) of a dispute makes a refund's id of."""
    return f"dispute {dispute} {number}"
