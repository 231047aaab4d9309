"""Rules for the market, its offers and what members say about each other (RULES.md sections 2, 3 and 8)."""

from events import decisions as d
from events.limits import MEMBERS_BLOCKED_MAX, SKUS_MAX, STOCK_MAX
from events.market import MarketConfiguredEvent
from events.member import MemberBlockedEvent
from events.offer import OfferChangedEvent, OfferPublishedEvent, OfferStockedEvent, OfferWithdrawnEvent
from events.reasons import Reason
from services.matcher.domain import state as s
from services.matcher.domain.facts import Zones
from services.matcher.domain.members.choosing import block_pool
from services.matcher.domain.state import Offer, State
from services.matcher.domain.terms import RULE_VERSIONS, Refusal, Terms, overlay, resolve
from services.matcher.domain.turn import Turn


def configure(turn: Turn, event: MarketConfiguredEvent, zones: Zones) -> None:
    """Set the market's configuration."""
    data, known = event.data, turn.state.market
    if data.timezone not in zones.names:
        raise Refusal(Reason.TIMEZONE_UNKNOWN)
    if known is not None and data.clock != known.clock:
        raise Refusal(Reason.CLOCK_FIXED)
    if known is not None and data.timezone != known.timezone:
        raise Refusal(Reason.TIMEZONE_FIXED)
    if data.rule_version not in RULE_VERSIONS:
        raise Refusal(Reason.RULE_VERSION_UNKNOWN)
    turn.emit(d.MarketSet(rule_version=data.rule_version, tzdata=zones.version))


def publish(turn: Turn, event: OfferPublishedEvent) -> None:
    """List an offer."""
    data, market = event.data, turn.state.market
    assert market is not None
    if data.offer in turn.state.offers:
        raise Refusal(Reason.OFFER_EXISTS)
    if len(turn.state.offers) >= market.offer_capacity:
        raise Refusal(Reason.CAPACITY)
    _check_draws(turn, resolve(overlay(market.offer_defaults, data)))
    if data.stock is not None and data.skus is not None:
        raise Refusal(Reason.OFFER_INCONSISTENT, "stock")
    stock = data.skus if data.stock is None else {s.ONE_STOCK: data.stock}
    turn.emit(d.OfferListed(offer=data.offer, edition=1, stock=None if stock is None else dict(stock)))


def change(turn: Turn, event: OfferChangedEvent) -> None:
    """Change an offer's terms for the groups that open from now on."""
    market = turn.state.market
    assert market is not None
    offer = _listed(turn.state, event.data.offer)
    if offer.withdrawn:
        raise Refusal(Reason.OFFER_WITHDRAWN)
    _check_draws(turn, resolve(overlay(market.offer_defaults, overlay(offer.explicit, event.data))))
    turn.emit(_listing(offer, edition=offer.edition + 1, stock=offer.stock))


def restock(turn: Turn, event: OfferStockedEvent) -> None:
    """Add to an offer's stock, or take from it."""
    data = event.data
    offer = _listed(turn.state, data.offer)
    has_variants = offer.stock is not None and s.ONE_STOCK not in offer.stock
    if has_variants and data.sku is None:
        raise Refusal(Reason.SKU_REQUIRED)
    if offer.stock is None or (data.sku is not None and not has_variants):
        raise Refusal(Reason.STOCK_UNTRACKED)
    sku = data.sku or s.ONE_STOCK
    left = offer.stock.get(sku, 0) + data.delta
    if left < 0:
        raise Refusal(Reason.STOCK_NEGATIVE)
    if left > STOCK_MAX or (sku not in offer.stock and len(offer.stock) >= SKUS_MAX):
        raise Refusal(Reason.CAPACITY)
    turn.emit(_listing(offer, edition=offer.edition, stock={**offer.stock, sku: left}))


def withdraw_offer(turn: Turn, event: OfferWithdrawnEvent) -> None:
    """Take an offer down; dissolving its open groups is due work."""
    offer = _listed(turn.state, event.data.offer)
    if offer.withdrawn:
        raise Refusal(Reason.OFFER_WITHDRAWN)
    turn.emit(_listing(offer, edition=offer.edition, stock=offer.stock, withdrawn=True))


def block(turn: Turn, event: MemberBlockedEvent) -> None:
    """Keep two members, or a member and a pool, apart from now on."""
    data = event.data
    if (data.other is None) == (data.pool is None):
        raise Refusal(Reason.BLOCK_UNCLEAR)
    if data.pool is not None:
        block_pool(turn, data)
        return
    if data.member == data.other:
        raise Refusal(Reason.SELF_BLOCK)
    if not data.lifted and _blocks_enough(turn.state, data.member, data.other):
        raise Refusal(Reason.CAPACITY)
    turn.emit(d.MemberNoted(member=event.data.member))


def _blocks_enough(state: State, member: str, other: str | None) -> bool:
    """Tell whether `member` blocks as many as one may, and `other` not yet."""
    apart = state.blocks.get(member, {})
    # Only who keeps apart from many is counted: by how many others one is blocked is not in one's own hands.
    if len(apart) < MEMBERS_BLOCKED_MAX or (other is not None and apart.get(other, 0) & s.BLOCKS):
        return False
    return sum(1 for sides in apart.values() if sides & s.BLOCKS) >= MEMBERS_BLOCKED_MAX


def _check_draws(turn: Turn, terms: Terms) -> None:
    """Raise Refusal where winners are to be drawn from a secret to which the market has not committed."""
    market = turn.state.market
    assert market is not None
    if terms.winners is not None and market.secret_commitment != turn.tree.plays.secret_commitment:
        raise Refusal(Reason.DRAWS_NOT_COMMITTED)


def _listed(state: State, offer_id: str) -> Offer:
    offer = state.offers.get(offer_id)
    if offer is None:
        raise Refusal(Reason.OFFER_UNKNOWN)
    return offer


def _listing(offer: Offer, *, edition: int, stock: dict[str, int] | None, withdrawn: bool = False) -> d.OfferListed:
    return d.OfferListed(
        offer=offer.offer,
        edition=edition,
        status="withdrawn" if withdrawn or offer.withdrawn else "open",
        stock=None if stock is None else dict(stock),
    )
