"""Family `offer`: what can be bought in a group, and under which rules."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import AmountMinor, Currency, DurationS, Id, TimeText
from events.limits import (
    DURATION_MAX_S,
    GROUP_MAX_SEATS,
    GROUP_MIN_SEATS,
    LABELS_MAX,
    QUANTITY_MAX,
    SKUS_MAX,
    STOCK_MAX,
    TIERS_MAX,
)

GroupSize = Annotated[int, msgspec.Meta(ge=GROUP_MIN_SEATS, le=GROUP_MAX_SEATS)]
Stock = Annotated[int, msgspec.Meta(ge=0, le=STOCK_MAX)]
StockDelta = Annotated[int, msgspec.Meta(ge=-STOCK_MAX, le=STOCK_MAX)]
MemberLimit = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX * GROUP_MAX_SEATS)]


class PriceTier(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """From `size` seats (or units) on, each unit costs `price_minor`."""

    size: GroupSize
    price_minor: AmountMinor


class OfferTerms(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Rules of an offer; what is absent comes from the market's defaults, then from the rule version's."""

    currency: Currency | None = None
    solo_minor: AmountMinor | None = None
    group_minor: AmountMinor | None = None
    leader_minor: AmountMinor | None = None
    tiers: Annotated[list[PriceTier], msgspec.Meta(max_length=TIERS_MAX)] | None = None
    size: GroupSize | None = None
    max_size: GroupSize | None = None
    count: Literal["members", "units"] | None = None
    group_ttl_s: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MAX_S)] | None = None
    opens_at: TimeText | None = None
    closes_at: TimeText | None = None
    hold_s: DurationS | None = None
    grace_s: DurationS | None = None
    limit_at_once: MemberLimit | None = None
    limit_total: MemberLimit | None = None
    strangers: Literal["allowed", "never"] | None = None
    leader_leaves: Literal["promote", "dissolve", "forbid"] | None = None
    fill_if_at_least: Annotated[int, msgspec.Meta(ge=1, le=GROUP_MAX_SEATS)] | None = None
    close: Literal["at_target", "at_deadline"] | None = None
    match: Literal["earliest_deadline", "nearest_full"] | None = None
    merge: Literal["allowed", "never"] | None = None
    withdraw: Literal["until_paid", "until_filled", "never"] | None = None
    late_payment: Literal["refund", "rejoin"] | None = None
    labels: Annotated[list[Id], msgspec.Meta(max_length=LABELS_MAX)] | None = None
    winners: Annotated[int, msgspec.Meta(ge=1, le=GROUP_MAX_SEATS)] | None = None
    """So many seats of a filled group are drawn and get the goods; the others are refunded."""

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.opens_at, self.closes_at)


class OfferPublished(OfferTerms, kw_only=True):
    """Lists an offer. `skus` gives a stock to each variant, `stock` one to the whole; neither: no limit."""

    offer: Id
    stock: Stock | None = None
    skus: Annotated[dict[Id, Stock], msgspec.Meta(min_length=1, max_length=SKUS_MAX)] | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "\n".join([self.offer, *(self.skus or ()), *(self.labels or ())])

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload: none."""
        return ()


class OfferChanged(OfferTerms, kw_only=True):
    """Changes the rules given for groups that open later; open groups keep the rules they opened under."""

    offer: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "\n".join([self.offer, *(self.labels or ())])

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload: none."""
        return ()


class OfferStocked(Data, kw_only=True):
    """Adds `delta` to the stock, at once; a new `sku` joins the variants."""

    offer: Id
    sku: Id | None = None
    delta: StockDelta

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.offer, self.sku)


class OfferWithdrawn(Data, kw_only=True):
    """Takes an offer down; its open groups run on or are dissolved."""

    offer: Id
    open_groups: Literal["run_on", "dissolve"] = "run_on"

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.offer


class OfferPublishedEvent(Event, tag="groupbuy.offer.published.v1", kw_only=True):
    """Lists an offer."""

    data: OfferPublished


class OfferChangedEvent(Event, tag="groupbuy.offer.changed.v1", kw_only=True):
    """Changes an offer's rules."""

    data: OfferChanged


class OfferStockedEvent(Event, tag="groupbuy.offer.stocked.v1", kw_only=True):
    """Changes an offer's stock."""

    data: OfferStocked


class OfferWithdrawnEvent(Event, tag="groupbuy.offer.withdrawn.v1", kw_only=True):
    """Takes an offer down."""

    data: OfferWithdrawn
