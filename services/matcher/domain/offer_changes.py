"""What decisions about the market, its offers and its members change."""

import msgspec

from events import decisions as d
from events.market import MarketConfiguredEvent
from events.member import MemberBlockedEvent
from events.offer import (
    OfferChangedEvent,
    OfferPublishedEvent,
    OfferStockedEvent,
    OfferTerms,
    OfferWithdrawnEvent,
)
from services.matcher.domain import state as s
from services.matcher.domain.holdings import weigh
from services.matcher.domain.index import Index
from services.matcher.domain.members.choice_changes import watch
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import Offer, State
from services.matcher.domain.terms import overlay, resolve


def market_set(moment: Moment, _: d.MarketSet) -> None:
    """Put the configuration of the event in force."""
    state, event = moment.state, moment.event
    assert isinstance(event, MarketConfiguredEvent)
    data, known = event.data, state.market
    if data.secret_commitment is None and known is not None:
        # Who has opened plays on a commitment must be able to rely on it: it does not go by being left out.
        data = msgspec.structs.replace(data, secret_commitment=known.secret_commitment)
    state.market = data
    watch(state)


def offer_listed(moment: Moment, decision: d.OfferListed) -> None:
    """List, change, restock or withdraw the offer, as the event says."""
    state, tree, event = moment.state, moment.tree, moment.event
    if isinstance(event, OfferPublishedEvent):
        _publish(state, event)
        return
    offer = state.offers[decision.offer]
    if isinstance(event, OfferChangedEvent):
        _change(state, tree, offer, event)
    elif isinstance(event, OfferStockedEvent):
        assert offer.stock is not None
        sku = event.data.sku or s.ONE_STOCK
        offer.stock[sku] = offer.stock.get(sku, 0) + event.data.delta
    else:
        assert isinstance(event, OfferWithdrawnEvent)
        offer.withdrawn = True
        if event.data.open_groups == "dissolve" and offer.open_groups:
            for group in state.groups.values():
                if group.offer == offer.offer and group.status == s.OPEN:
                    state.dissolving.push(group.group)


def _publish(state: State, event: OfferPublishedEvent) -> None:
    assert state.market is not None
    data = event.data
    explicit = _terms_only(data)
    terms = resolve(overlay(state.market.offer_defaults, explicit))
    stock = dict(data.skus) if data.skus is not None else None
    if data.stock is not None:
        stock = {s.ONE_STOCK: data.stock}
    limited = terms.limit_at_once is not None or terms.limit_total is not None
    state.offers[data.offer] = Offer(
        offer=data.offer,
        explicit=explicit,
        edition=1,
        terms=terms,
        editions={1: s.Edition(terms)},
        stock=stock,
        weights={} if limited else None,
    )


def _change(state: State, tree: Index, offer: Offer, event: OfferChangedEvent) -> None:
    assert state.market is not None
    old = offer.terms
    offer.explicit = overlay(offer.explicit, event.data)
    terms = resolve(overlay(state.market.offer_defaults, offer.explicit))
    last = offer.edition
    offer.edition += 1
    offer.terms = terms
    offer.editions[offer.edition] = s.Edition(terms)
    if offer.editions[last].groups == 0:
        del offer.editions[last]
    if offer.weights is None and (terms.limit_at_once is not None or terms.limit_total is not None):
        offer.weights = {}
        for order in state.orders.values():
            if state.groups[order.group].offer == offer.offer:
                weigh(state, offer, order, 1)
    if old.match != terms.match:
        tree.refile_offer(state, offer)


def _terms_only(data: OfferTerms) -> OfferTerms:
    return OfferTerms(**{name: getattr(data, name) for name in OfferTerms.__struct_fields__})


def member_noted(moment: Moment, _: d.MemberNoted) -> None:
    """Set or lift one member's block of another."""
    state, event = moment.state, moment.event
    assert isinstance(event, MemberBlockedEvent)
    data = event.data
    assert data.other is not None, "a block of a pool is a choice, not noted here"
    for one, other, side in ((data.member, data.other, s.BLOCKS), (data.other, data.member, s.IS_BLOCKED)):
        apart = state.blocks.setdefault(one, {})
        sides = apart.get(other, 0)
        sides = sides & ~side if data.lifted else sides | side
        if sides:
            apart[other] = sides
        else:
            apart.pop(other, None)
        if not apart:
            del state.blocks[one]
