"""The checks of an order about which nothing is unusual, in one pass (RULES.md sections 1 and 4).

Nearly every order is plain: a new one, in time, from a publisher who may, for an offer and a group that take it, at
the right price. Of such a one everything is asked here at once, without an exception or a call for each question. As
soon as any rule might not let it through the answer is None, nothing has changed, and the general rules look from the
beginning: they alone refuse, and they alone say why. What is decided, and what that changes, is the same code for both.
"""

from collections.abc import Callable
from typing import Final

from events.market import MarketConfigured
from events.order import OrderJoined, OrderPosted, OrderTerms
from events.subjects import GATEWAY, MIXED
from events.times import NS_PER_S
from services.matcher.domain import prices
from services.matcher.domain import state as s
from services.matcher.domain.handed import Handed
from services.matcher.domain.identities import begin_key
from services.matcher.domain.index import Index, keeps_apart, sits_in
from services.matcher.domain.matching import choose
from services.matcher.domain.message import Message
from services.matcher.domain.state import Group, Offer, State
from services.matcher.domain.terms import Terms

UNUSUAL: Final[list[Callable[[State, OrderTerms], bool]]] = []
"""What else makes an order unusual: a family with rules of its own about who may take a seat adds a question here that
costs little and is answered with True for every order which those rules might not let through, or change."""

_IN_OPEN_GROUPS: Final = (1 << s.WEIGHT_BITS) - 1


Place = tuple[Offer | None, Group | None, Terms | None, Handed]
"""Where an order sits down and what it pays: (offer, group or None for one that it opens, terms, payable_minor).

A tuple of fixed form is no object in compiled code, but one or None would be.
"""
NO_PLACE: Final[Place] = (None, None, None, 0)


class Admission:
    """What all events of one family and source have in common that a publisher sends on one subject.

    Their own times have to lie less than `window_ns` before the accepted one and not more than `slack_ns` after it;
    nothing does where they may not be sent. `key` is how the keys of their identities begin. Kept from one event to the
    next instead of asked for each, that is 0.3 µs less.
    """

    __slots__ = ("family", "key", "market", "publisher", "said_by", "said_of", "slack_ns", "source", "window_ns")

    def __init__(self, market: MarketConfigured, message: Message, publisher: str, family: str, source: str) -> None:
        self.market = market
        self.said_by = message.publisher
        self.said_of = message.family
        self.publisher = publisher
        self.family = family
        self.source = source
        self.key = begin_key(publisher, source)
        self.window_ns = self.slack_ns = 0
        is_astray = message.family != family and not (message.family == MIXED and message.publisher == GATEWAY)
        if not is_astray and family in market.publishers.get(publisher, ()):
            self.window_ns, self.slack_ns = market.replay_window_s * NS_PER_S, market.future_slack_s * NS_PER_S


def admit(state: State, tree: Index, market: MarketConfigured, admitted: Admission, event_id: str) -> bytes | None:
    """Return the key of an event that is new and finds room; else None."""
    begun = admitted.key.copy()
    begun.update(event_id.encode())
    key = begun.digest()
    rows = state.identities
    if (
        tree.identities.get(key) is not None
        or rows.end - rows.first >= market.identity_capacity
        or len(state.orders) >= market.order_capacity
    ):
        return None
    return key


def find_place(state: State, tree: Index, now: int, data: OrderPosted | OrderJoined) -> Place:
    """Return the place of an order that is new and meets every condition at `now` (ns); else NO_PLACE."""
    quantity, order_id, member = data.quantity, data.order, data.member
    offer = state.offers.get(data.offer)
    if offer is None or order_id in state.orders or not _takes(offer, now, data.sku, quantity):
        return NO_PLACE
    for is_unusual in UNUSUAL:
        if is_unusual(state, data):
            return NO_PLACE
    group, terms = None, offer.terms
    if type(data) is OrderJoined:
        group = _group_to_join(state, tree, offer, data)
        if group is None:
            return NO_PLACE
    elif type(data) is OrderPosted and data.strangers and data.lead == "if_needed":
        group = choose(state, tree, offer, data.pool, member, quantity)
    if group is not None and group.edition != offer.edition:
        terms = offer.editions[group.edition].terms
    payable_minor = prices.payable_minor(terms, quantity, leads=group is None)
    due_minor: int = payable_minor
    payment, weights = data.payment, offer.weights
    if payment is not None and (
        payment.amount_minor != due_minor
        or payment.currency != terms.currency
        or terms.hold_s == 0
        or order_id in tree.refunds  # perhaps this payment is owed back: its refund's id tells
    ):
        return NO_PLACE
    # Every limit lets one through who holds nothing.
    if weights is not None and (quantity > 1 or member in weights) and not _may_hold(weights, terms, member, quantity):
        return NO_PLACE
    return offer, group, terms, payable_minor


def _takes(offer: Offer, now: int, sku: str | None, quantity: int) -> bool:
    """Tell whether the offer is open and has the variant in stock."""
    terms, stock = offer.terms, offer.stock
    if offer.withdrawn or (quantity > 1 and quantity > terms.max_size and terms.count == "units"):
        return False
    if terms.opens_at_ns is not None and now < terms.opens_at_ns:
        return False
    if terms.closes_at_ns is not None and now >= terms.closes_at_ns:
        return False
    if stock is None:
        return sku is None
    return stock.get(s.ONE_STOCK if sku is None else sku, 0) >= quantity


def _group_to_join(state: State, tree: Index, offer: Offer, data: OrderJoined) -> Group | None:
    if data.group is None:
        return choose(state, tree, offer, data.pool, data.member, data.quantity) if data.strangers else None
    group = state.groups.get(data.group)
    if group is None or group.offer != offer.offer or group.status != s.OPEN or group.pool != data.pool:
        return None
    terms = offer.editions[group.edition].terms
    if group.taken + terms.weight(data.quantity) > terms.max_size or sits_in(state, tree, group, data.member):
        return None
    return None if keeps_apart(state, group, data.member) else group


def _may_hold(weights: dict[str, int], terms: Terms, member: str, quantity: int) -> bool:
    """Tell whether `member` stays within the limits of `terms`."""
    held = weights.get(member, 0)
    in_open = (held & _IN_OPEN_GROUPS) + (quantity if terms.count == "units" else 1)
    if terms.limit_at_once is not None and in_open > terms.limit_at_once:
        return False
    return terms.limit_total is None or in_open + (held >> s.WEIGHT_BITS) <= terms.limit_total
