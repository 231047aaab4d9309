"""What a recount remembers of offers, groups, orders and refunds, and where it notes what does not add up."""

import sqlite3
from enum import StrEnum
from typing import Final

import msgspec

from events.limits import GROUP_MAX_SEATS
from events.offer import OfferTerms
from services.ledger.scratch import SpillMap

EXAMPLES_MAX: Final = 20


class Check(StrEnum):
    """What an audit counts."""

    OVERFILLED_GROUPS = "overfilled_groups"
    STUCK_GROUPS = "stuck_groups"
    ENDED_TWICE = "groups_ended_twice"
    OUT_OF_PLACE = "decisions_out_of_place"
    PAYMENTS = "payments_unaccounted"
    DOUBLE_REFUNDS = "double_refunds"
    REFUND_AMOUNTS = "refunds_above_payment"
    STOCK = "stock_wrong"
    NO_OUTCOME = "inputs_without_outcome"
    TWO_OUTCOMES = "inputs_with_two_outcomes"
    DUPLICATES = "duplicates_of_nothing"
    PLAYS = "plays_wrong"
    DRAWS = "draws_wrong"
    INVITED_WITHOUT_CONSENT = "invitations_without_consent"
    INVITED_AGAINST_BLOCK = "invitations_against_block"
    INVITED_OVER_CAP = "invitations_over_cap"
    SENT_WITHOUT_CONSENT = "invitations_sent_without_consent"
    SENT_OVER_CAP = "invitations_sent_over_cap"
    SENT_IN_QUIET_HOURS = "invitations_sent_in_quiet_hours"


class Example(msgspec.Struct, frozen=True):
    """One thing that does not add up: the entry where it shows, and a sentence."""

    entry: str
    sentence: str


class CheckResult(msgspec.Struct):
    """How many things a check looked at, how many do not add up, and the first of them."""

    checked: int = 0
    faults: int = 0
    examples: list[Example] = []

    def fail(self, entry: str, sentence: str, count: int = 1) -> None:
        """Note a fault."""
        self.faults += count
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(Example(entry, sentence))


class OfferAccount(msgspec.Struct):
    """An offer: the rules under which groups open now, and what is left of each variant."""

    terms: OfferTerms
    size: int
    max_size: int
    counts_units: bool
    fills_at: int
    stock: dict[str, int] | None = None


class GroupAccount(msgspec.Struct):
    """A group: its rules, what is seated in it, and how it ended."""

    offer: str
    deadline: int
    opened_entry: str
    max_size: int
    fills_at: int
    counts_units: bool
    status: str = "open"
    held: int = 0
    confirmed: int = 0
    pages: int = 0
    pages_told: int = 0
    into: str | None = None


class PaymentAccount(msgspec.Struct):
    """Money taken for an order: how much of it is due back, and how much a filled group keeps."""

    payment: str
    amount_minor: int
    currency: str
    entry: str
    refunded_minor: int = 0
    kept_minor: int = 0


class OrderAccount(msgspec.Struct):
    """An order: its seat, if it has one, and every payment made for it."""

    group: str | None = None
    seat: str = "none"
    quantity: int = 1
    sku: str = ""
    holds: str | None = None
    told: bool = False
    payments: list[PaymentAccount] = []

    def payment(self, name: str | None) -> PaymentAccount | None:
        """Return the payment of that name."""
        return next((paid for paid in self.payments if paid.payment == name), None)


class PlayAccount(msgspec.Struct):
    """A play: what it committed to, who helped, what can still be cut, and what is drawn."""

    seed_sha256: str
    helper_limit: int
    entry: str
    remaining_minor: int | None = None
    helpers: int = 0
    is_closed: bool = False
    to_draw: int = 0
    drawn: int = 0


class DrawnGroup(msgspec.Struct):
    """A group whose winners are drawn: what it committed to."""

    seed_sha256: str


class Totals(msgspec.Struct):
    """How many of each there were."""

    groups_opened: int = 0
    groups_filled: int = 0
    groups_expired: int = 0
    groups_dissolved: int = 0
    groups_merged: int = 0
    payments: int = 0
    payments_honoured: int = 0
    payments_open: int = 0
    payments_refunded: int = 0
    refunds: int = 0
    refunds_settled: int = 0
    refunds_told_again: int = 0
    plays: int = 0
    assists_counted: int = 0


class RefundAccount(msgspec.Struct):
    """A refund: what it is of, and whether it has been settled."""

    order: str
    payment: str
    amount_minor: int
    entry: str
    settled: bool = False
    settled_at_ns: int = 0


def resolve_offer(explicit: OfferTerms, defaults: OfferTerms) -> OfferAccount:
    """Return an offer with the rules that count seats: its own, else the market's, else those of rule version 1."""

    def first(name: str, otherwise: object) -> object:
        for terms in (explicit, defaults):
            value = getattr(terms, name)
            if value is not None:
                return value
        return otherwise

    size = first("size", GROUP_MAX_SEATS)
    assert isinstance(size, int), "sizes are whole numbers"
    at_target = first("close", "at_target") == "at_target"
    max_size = first("max_size", size if at_target else GROUP_MAX_SEATS)
    assert isinstance(max_size, int), "sizes are whole numbers"
    return OfferAccount(
        terms=explicit,
        size=size,
        max_size=max_size,
        counts_units=first("count", "members") == "units",
        # What must not be seated and confirmed without being filled.
        fills_at=size if at_target else max_size,
    )


def overlaid(base: OfferTerms, over: OfferTerms) -> OfferTerms:
    """Return the terms of `base` with those that `over` names in their place."""
    names = OfferTerms.__struct_fields__
    return OfferTerms(**{n: v if (v := getattr(over, n)) is not None else getattr(base, n) for n in names})


class Recount:
    """What every part of a recount needs: the accounts, the counts, and the entry that is being added."""

    def __init__(self, checks: dict[Check, CheckResult], scratch: sqlite3.Connection) -> None:
        self.checks = checks
        self.totals = Totals()
        self.offers = SpillMap(scratch, "offers", OfferAccount)
        self.groups = SpillMap(scratch, "groups", GroupAccount)
        self.orders = SpillMap(scratch, "orders", OrderAccount)
        self.refunds = SpillMap(scratch, "refunds", RefundAccount)
        self.plays = SpillMap(scratch, "plays", PlayAccount)
        self.drawn_groups = SpillMap(scratch, "drawn_groups", DrawnGroup)
        self.entry = ""

    def order(self, name: str) -> OrderAccount:
        """Return the account of an order, a new one when it is not known."""
        account = self.orders.get(name)
        if account is None:
            account = OrderAccount()
            self.orders.put(name, account)
        return account

    def look(self, check: Check) -> None:
        """Count a thing that a check looks at."""
        self.checks[check].checked += 1

    def fail(self, check: Check, sentence: str) -> None:
        """Note a fault at the entry that is being added."""
        self.checks[check].fail(self.entry, sentence)

    def settle(self) -> None:
        """Move out of memory what has become too much; accounts must be asked for again."""
        for spill in (self.offers, self.groups, self.orders, self.refunds, self.plays, self.drawn_groups):
            spill.settle()
