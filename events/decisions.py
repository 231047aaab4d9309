"""What the matcher decides: one struct a kind, encoded as JSON with the kind first.

Times are integer nanoseconds, money is in minor units. `publisher` in a decision names the backend whose
order it is about, so that outcomes reach it although somebody else's event, or no event, caused them.

The same decision must be the same bytes whoever encodes it. Defaults are left out, and msgspec compares with them by
identity: so they are None, a small integer or a text that is only ever given as a literal.
"""

from typing import Literal

import msgspec

from events import play_decisions as p
from events import standing_decisions as st
from events.decision import Decision
from events.dispute_decisions import (
    DisputeAnswered,
    DisputeAppealed,
    DisputeClosed,
    DisputeEvidenced,
    DisputeOpened,
    DisputeOverdue,
    DisputeProposed,
    DisputeResolved,
)
from events.market_decisions import MarketRestored
from events.member_decisions import InvitationAllowed, InvitationRefused, MemberChose, MemberReminded
from events.reasons import Fault, Reason


class SeatRef(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One seat of a group that closes: whose it was and what it cost in the end."""

    order: str
    member: str
    publisher: str
    quantity: int = 1
    price_minor: int = 0
    """What the member pays in all for this seat, after any reduction; 0 where nobody pays through the market."""
    won: bool | None = None
    """In a group whose winners are drawn: whether this seat was; who was not pays nothing."""


class MarketSet(Decision, tag="market.set", kw_only=True):
    """The market's configuration is in force."""

    rule_version: int
    tzdata: str


class OfferListed(Decision, tag="offer.listed", kw_only=True):
    """The offer as it stands after the event; `edition` counts its sets of rules."""

    offer: str
    edition: int
    status: Literal["open", "withdrawn"] = "open"
    stock: dict[str, int] | None = None


class GroupOpened(Decision, tag="group.opened", kw_only=True):
    """A group is open until `deadline`."""

    group: str
    offer: str
    edition: int
    order: str
    member: str
    deadline: int
    pool: str | None = None
    seed_sha256: str | None = None
    """Where winners are drawn: commits to the seed that `group.filled` will show."""


class SeatHeld(Decision, tag="seat.held", kw_only=True):
    """A seat is held until `hold_until` against payment of `payable_minor`."""

    group: str
    order: str
    member: str
    offer: str
    quantity: int = 1
    sku: str | None = None
    payable_minor: int
    currency: str
    hold_until: int
    publisher: str


class SeatConfirmed(Decision, tag="seat.confirmed", kw_only=True):
    """A seat is taken for good: paid, or in an offer that holds nothing for payment."""

    group: str
    order: str
    member: str
    offer: str
    quantity: int = 1
    sku: str | None = None
    payable_minor: int
    currency: str
    payment: str | None = None
    publisher: str


class SeatReleased(Decision, tag="seat.released", kw_only=True):
    """A seat is free again, and why; `promoted` is the order that leads the group from now on."""

    group: str
    order: str
    member: str
    cause: Literal["hold_ended", "withdrawn", "cancelled", "released", "late_payment"]
    publisher: str
    promoted: str | None = None
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None


class GroupMerged(Decision, tag="group.merged", kw_only=True):
    """All seats of `group` moved into the group `into`, which they fill."""

    group: str
    into: str
    seats: int


class GroupFilled(Decision, tag="group.filled", kw_only=True):
    """The group reached its size; its seats are named in pages, the first page fills it."""

    group: str
    offer: str
    cause: Literal["target", "deadline", "merge", "completed"]
    size: int
    page: int = 1
    pages: int = 1
    seats: list[SeatRef]
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    seed: str | None = None
    """Where winners were drawn: with it anyone can draw them again."""


class GroupExpired(Decision, tag="group.expired", kw_only=True):
    """The deadline came first; `missing` seats (or units) were not confirmed."""

    group: str
    offer: str
    missing: int
    page: int = 1
    pages: int = 1
    seats: list[SeatRef]


class GroupDissolved(Decision, tag="group.dissolved", kw_only=True):
    """The group ended without being filled, for another cause than its deadline."""

    group: str
    offer: str
    cause: Literal["customer_service", "leader_left", "empty", "offer_withdrawn"]
    page: int = 1
    pages: int = 1
    seats: list[SeatRef]
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None


class RefundDue(Decision, tag="refund.due", kw_only=True):
    """Money must go back. `refund` is derived from order and payment, so that the same debt is one debt."""

    refund: str
    order: str
    payment: str
    amount_minor: int
    currency: str
    cause: Literal[
        "expired",
        "dissolved",
        "withdrawn",
        "cancelled",
        "released",
        "late_payment",
        "wrong_amount",
        "wrong_currency",
        "second_payment",
        "unknown_order",
        "no_payment_due",
        "order_refused",
        "not_confirmed",
        "price_by_size",
        "dispute",
        "not_drawn",
    ]
    publisher: str
    member: str | None = None
    group: str | None = None


class RefundClosed(Decision, tag="refund.closed", kw_only=True):
    """The payment backend answered; after `failed` the refund stays unsettled and may be answered again."""

    refund: str
    status: Literal["settled", "failed"]
    order: str
    amount_minor: int
    currency: str
    publisher: str | None = None
    """Whose order it was, who need not be the payment backend that answered."""
    member: str | None = None


class MemberNoted(Decision, tag="member.noted", kw_only=True):
    """A fact about a member is in force."""

    member: str


class ClockAdvanced(Decision, tag="clock.advanced", kw_only=True):
    """The clock's knock has been heard; what was due stands in the entries before."""


class Refused(Decision, tag="refused", kw_only=True):
    """A readable event that changes nothing but, where money was taken, what is owed."""

    reason: Reason
    detail: str | None = None
    size_bytes: int | None = None
    keyed_hash: str | None = None


class Duplicate(Decision, tag="duplicate", kw_only=True):
    """The same event again; `of` is the entry of the original and the rest its outcome."""

    of: str
    original: str
    reason: Reason | None = None
    group: str | None = None


class Malformed(Decision, tag="malformed", kw_only=True):
    """Not readable as an event: only its length and a keyed hash are kept."""

    why: Fault
    detail: str | None = None
    size_bytes: int
    keyed_hash: str


AnyDecision = (
    MarketSet
    | OfferListed
    | GroupOpened
    | SeatHeld
    | SeatConfirmed
    | SeatReleased
    | GroupMerged
    | GroupFilled
    | GroupExpired
    | GroupDissolved
    | RefundDue
    | RefundClosed
    | MemberNoted
    | ClockAdvanced
    | Refused
    | Duplicate
    | Malformed
    | MemberChose
    | MemberReminded
    | InvitationAllowed
    | InvitationRefused
    | p.PlayOpened
    | p.PlayClosed
    | p.PriceCut
    | p.PlayAdvanced
    | p.PlayTicketed
    | p.PlayWon
    | p.PlayCorrected
    | p.PlayClaimed
    | p.AssistCounted
    | p.AssistHeld
    | p.AssistRefused
    | p.AssistVoided
    | DisputeOpened
    | DisputeAnswered
    | DisputeEvidenced
    | DisputeProposed
    | DisputeResolved
    | DisputeAppealed
    | DisputeOverdue
    | DisputeClosed
    | MarketRestored
    | st.MemberReported
    | st.MemberWarned
    | st.MemberLimited
    | st.MemberBanned
    | st.MemberReinstated
    | st.AssistDoubted
)

Closing = GroupFilled | GroupExpired | GroupDissolved
"""Decisions that end a group and name its seats in pages."""
