"""Family `market`: the configuration of a market, itself an event in its log, and that its intake is another now."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import DurationS, Id, Name, Sha256Hex
from events.limits import PUBLISHERS_MAX
from events.offer import OfferTerms

Family = Literal[
    "market",
    "offer",
    "order",
    "group",
    "refund",
    "play",
    "assist",
    "member",
    "invitation",
    "dispute",
    "clock",
]
Capacity = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
ZoneName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_+/-]{1,64}$")]
"""A name of the time-zone database, e.g. Asia/Shanghai."""


class MarketConfigured(Data, kw_only=True):
    """Sets clock, limits, publishers and offer defaults of a market; the whole of it each time.

    `clock` and `timezone` cannot change once set. `rule_version` switches the rules from the next event on.
    """

    clock: Literal["broker", "event"] = "broker"
    timezone: ZoneName = "UTC"
    rule_version: Annotated[int, msgspec.Meta(ge=1)] = 1
    replay_window_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86_400)] = 86_400
    future_slack_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 300
    publishers: Annotated[dict[Name, list[Family]], msgspec.Meta(max_length=PUBLISHERS_MAX)] = {}
    offer_defaults: OfferTerms = msgspec.field(default_factory=OfferTerms)
    identity_capacity: Capacity = 20_000_000
    order_capacity: Capacity = 20_000_000
    offer_capacity: Capacity = 1_000_000
    order_memory_s: DurationS = 30 * 86_400
    key_commitment: Sha256Hex | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "\n".join(["market", *self.publishers, *(self.offer_defaults.labels or ())])

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return self.offer_defaults.times()


class MarketConfiguredEvent(Event, tag="groupbuy.market.configured.v1", kw_only=True):
    """Configures a market."""

    data: MarketConfigured


class MarketRestored(Data, kw_only=True):
    """The intake was lost and is another stream from here on: the first message of that stream, by a named actor.

    `previous` and `intake` are the identities of the streams; `through` is the last message of the lost one that was
    decided, `record` and `record_hash` the last record of the journal. Of that message `lost_events` events had not
    been decided; what the lost stream held after it is not known here.
    """

    previous: Id
    intake: Id
    through: Annotated[int, msgspec.Meta(ge=1)]
    record: Annotated[int, msgspec.Meta(ge=1)]
    record_hash: Sha256Hex
    lost_events: Annotated[int, msgspec.Meta(ge=0)] = 0
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.previous, self.intake, self.actor, self.reason, self.ticket)


class MarketRestoredEvent(Event, tag="groupbuy.market.restored.v1", kw_only=True):
    """Lets the matcher go on from a new intake."""

    data: MarketRestored
