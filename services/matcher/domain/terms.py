"""An offer's terms, resolved: what a group lives under from the moment it opens."""

from typing import Final, Literal

import msgspec

from events.limits import GROUP_MAX_SEATS
from events.offer import OfferTerms, PriceTier
from events.reasons import Reason
from events.times import parse_time_ns

RULE_VERSIONS: Final = (1,)
"""Rule versions that this program can decide under."""

DAY_S: Final = 86_400
HOLD_S: Final = 900
_PLAIN: Final = ("solo_minor", "leader_minor", "limit_at_once", "limit_total", "fill_if_at_least", "winners")
_WITH_DEFAULT: Final = {
    "count": "members",
    "group_ttl_s": DAY_S,
    "hold_s": HOLD_S,
    "grace_s": 0,
    "strangers": "allowed",
    "leader_leaves": "promote",
    "close": "at_target",
    "match": "earliest_deadline",
    "merge": "never",
    "withdraw": "until_filled",
    "late_payment": "refund",
}


class Terms(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Every rule of an offer with its value; times in ns, money in minor units."""

    currency: str
    group_minor: int
    solo_minor: int | None
    leader_minor: int | None
    tiers: tuple[PriceTier, ...]
    size: int
    max_size: int
    count: Literal["members", "units"]
    group_ttl_s: int
    opens_at_ns: int | None
    closes_at_ns: int | None
    hold_s: int
    grace_s: int
    limit_at_once: int | None
    limit_total: int | None
    strangers: Literal["allowed", "never"]
    leader_leaves: Literal["promote", "dissolve", "forbid"]
    fill_if_at_least: int | None
    close: Literal["at_target", "at_deadline"]
    match: Literal["earliest_deadline", "nearest_full"]
    merge: Literal["allowed", "never"]
    withdraw: Literal["until_paid", "until_filled", "never"]
    late_payment: Literal["refund", "rejoin"]
    labels: tuple[str, ...]
    winners: int | None = None

    @property
    def is_paid(self) -> bool:
        """Tell whether seats are paid through the market."""
        return self.hold_s > 0

    def weight(self, quantity: int) -> int:
        """Return what an order of `quantity` takes up in a group."""
        return quantity if self.count == "units" else 1


class Refusal(Exception):
    """What a rule answers when it does not let an event through."""

    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        """Keep the reason, and where it helps the field that it is about."""
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def overlay(base: OfferTerms, over: OfferTerms) -> OfferTerms:
    """Return the terms of `base` with every term that `over` names replaced."""
    names = OfferTerms.__struct_fields__
    return OfferTerms(**{n: v if (v := getattr(over, n)) is not None else getattr(base, n) for n in names})


def resolve(explicit: OfferTerms) -> Terms:
    """Return the terms in force for what an offer and its market name.

    Raises Refusal: offer_incomplete or offer_inconsistent, with the field.
    """
    for required in ("size", "group_minor", "currency"):
        if getattr(explicit, required) is None:
            raise Refusal(Reason.OFFER_INCOMPLETE, required)
    assert explicit.size is not None and explicit.group_minor is not None and explicit.currency is not None
    values = {n: v if (v := getattr(explicit, n)) is not None else d for n, d in _WITH_DEFAULT.items()}
    largest = explicit.size if values["close"] == "at_target" else GROUP_MAX_SEATS
    terms = Terms(
        currency=explicit.currency,
        group_minor=explicit.group_minor,
        size=explicit.size,
        max_size=explicit.max_size if explicit.max_size is not None else largest,
        tiers=tuple(explicit.tiers or ()),
        labels=tuple(explicit.labels or ()),
        opens_at_ns=parse_time_ns(explicit.opens_at) if explicit.opens_at is not None else None,
        closes_at_ns=parse_time_ns(explicit.closes_at) if explicit.closes_at is not None else None,
        **{name: getattr(explicit, name) for name in _PLAIN},
        **values,  # type: ignore[arg-type]  # names and values come from the table above
    )
    field = _contradiction(terms)
    if field is not None:
        raise Refusal(Reason.OFFER_INCONSISTENT, field)
    return terms


def _contradiction(terms: Terms) -> str | None:
    """Return the first field that contradicts another."""
    if terms.opens_at_ns is not None and terms.closes_at_ns is not None and terms.closes_at_ns <= terms.opens_at_ns:
        return "closes_at"
    if terms.max_size < terms.size or (terms.close == "at_target" and terms.max_size != terms.size):
        return "max_size"
    if terms.fill_if_at_least is not None and terms.fill_if_at_least > terms.size:
        return "fill_if_at_least"
    if terms.winners is not None and terms.winners >= terms.size:
        return "winners"
    size, price_minor = 0, terms.group_minor
    for tier in terms.tiers:
        if tier.size <= size or tier.price_minor >= price_minor or tier.size > terms.max_size:
            return "tiers"
        size, price_minor = tier.size, tier.price_minor
    return None
