"""What must be remembered of a market to say what a decision means for a member: pure, and small.

Only offers and open groups: what a filled group saved its members is the difference of two prices of the terms
that the group opened under.
"""

from collections.abc import Iterable, Iterator

import msgspec

from events import decisions as d
from events.decode import decode_archived
from events.market import MarketConfiguredEvent
from events.offer import OfferChangedEvent, OfferPublishedEvent, OfferTerms, PriceTier
from events.raw import Unread
from events.record import Entry
from services.matcher.domain.terms import overlay


class Prices(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The prices under which a group opened, in minor units; `paid` where seats are paid through the market."""

    currency: str
    group_minor: int
    solo_minor: int | None = None
    leader_minor: int | None = None
    tiers: tuple[PriceTier, ...] = ()
    paid: bool = True

    def unit_minor(self, size: int, *, leads: bool) -> int:
        """Return what one unit costs in a group that reached `size`."""
        reached = [tier.price_minor for tier in self.tiers if tier.size <= size]
        unit = reached[-1] if reached else self.group_minor
        return min(unit, self.leader_minor) if leads and self.leader_minor is not None else unit


class KnownOffer(msgspec.Struct, frozen=True):
    """An offer's terms as they were named, and as they are in force."""

    explicit: OfferTerms
    prices: Prices
    labels: tuple[str, ...] = ()


class KnownGroup(msgspec.Struct, frozen=True, gc=False):
    """An open group: its offer, the order that opened it, its prices, and the labels of its offer."""

    offer: str
    leader: str
    prices: Prices | None = None
    labels: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A line of what is remembered that is new; a body of None means that it is forgotten."""

    kind: str
    name: str
    body: bytes | None


def net(changes: Iterable[Change]) -> list[Change]:
    """Return what is left of changes to write: nothing of a group that opened and ended among them, as most do."""
    left: dict[tuple[str, str], Change] = {}
    for change in changes:
        key = (change.kind, change.name)
        # A group opens once, so its opening is not written yet when it stands here.
        if change.body is None and left.pop(key, None) is not None:
            continue
        left[key] = change
    return list(left.values())


_DEFAULTS = "defaults"
_OFFER = "offer"
_GROUP = "group"
_encode = msgspec.json.Encoder().encode


class KnownMarket:
    """Offers and open groups, kept up to date entry by entry."""

    def __init__(self) -> None:
        self.offers: dict[str, KnownOffer] = {}
        self.groups: dict[str, KnownGroup] = {}
        self.zone: str | None = None
        self._defaults = OfferTerms()

    def load(self, rows: Iterator[tuple[str, str, bytes]]) -> None:
        """Take up what was remembered: (kind, name, body) each."""
        for kind, name, body in rows:
            if kind == _GROUP:
                self.groups[name] = msgspec.json.decode(body, type=KnownGroup)
            elif kind == _OFFER:
                self.offers[name] = msgspec.json.decode(body, type=KnownOffer)
            else:
                self.zone, self._defaults = msgspec.json.decode(body, type=tuple[str | None, OfferTerms])

    def learn(self, entry: Entry) -> list[Change]:
        """Take in an entry whose notices have been read, and return what has changed."""
        changes: list[Change] = []
        for decision in entry.decisions:
            if isinstance(decision, d.GroupOpened):
                changes.append(self._opened(decision))
            elif isinstance(decision, d.GroupFilled | d.GroupExpired | d.GroupDissolved):
                if decision.page == decision.pages:
                    changes += self._closed(decision.group)
            elif isinstance(decision, d.GroupMerged):
                changes += self._closed(decision.group)
            elif isinstance(decision, d.OfferListed | d.MarketSet) and entry.event is not None:
                changes += self._configured(entry.event)
        return changes

    def _opened(self, decision: d.GroupOpened) -> Change:
        offer = self.offers.get(decision.offer)
        group = KnownGroup(decision.offer, decision.order)
        if offer is not None:
            group = KnownGroup(decision.offer, decision.order, offer.prices, offer.labels)
        self.groups[decision.group] = group
        return Change(_GROUP, decision.group, _encode(group))

    def _closed(self, group: str) -> list[Change]:
        return [Change(_GROUP, group, None)] if self.groups.pop(group, None) is not None else []

    def _configured(self, raw: Unread) -> list[Change]:
        event = decode_archived(raw)
        if isinstance(event, MarketConfiguredEvent):
            self.zone, self._defaults = event.data.timezone, event.data.offer_defaults
            return [Change(_DEFAULTS, "", _encode((self.zone, self._defaults)))]
        if isinstance(event, OfferPublishedEvent):
            return [self._offered(event.data.offer, _terms(event.data))]
        if isinstance(event, OfferChangedEvent) and event.data.offer in self.offers:
            return [
                self._offered(event.data.offer, overlay(self.offers[event.data.offer].explicit, _terms(event.data)))
            ]
        return []

    def _offered(self, offer: str, explicit: OfferTerms) -> Change:
        known = KnownOffer(explicit, _prices(overlay(self._defaults, explicit)), tuple(explicit.labels or ()))
        self.offers[offer] = known
        return Change(_OFFER, offer, _encode(known))


def _terms(data: OfferTerms) -> OfferTerms:
    return OfferTerms(**{name: getattr(data, name) for name in OfferTerms.__struct_fields__})


def _prices(terms: OfferTerms) -> Prices:
    assert terms.currency is not None and terms.group_minor is not None, "a listed offer has its required terms"
    return Prices(
        currency=terms.currency,
        group_minor=terms.group_minor,
        solo_minor=terms.solo_minor,
        leader_minor=terms.leader_minor,
        tiers=tuple(terms.tiers or ()),
        paid=terms.hold_s != 0,
    )
