"""Family `market`: the configuration of a market, itself an event in its log."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event
from events.ids import DurationS, Name, Sha256Hex
from events.limits import ASSISTS_PER_DAY_MAX, PUBLISHERS_MAX
from events.member_standing import StandingTerms
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


AssistCap = Annotated[int, msgspec.Meta(ge=1, le=ASSISTS_PER_DAY_MAX)]


class AssistCaps(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """How often a member may help: on one day of the market's time zone, and the same member in one ISO week.

    Counted over all plays of the market; absent, there is no cap. A play may set its own.
    """

    per_helper_day: AssistCap | None = None
    per_pair_week: AssistCap | None = None


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
    secret_commitment: Sha256Hex | None = None
    """SHA-256 of the secret behind the draws (`events.fair.secret_commitment`); without it no play opens."""
    assist_caps: AssistCaps | None = None
    play_capacity: Capacity = 5_000_000
    assist_capacity: Capacity = 20_000_000
    standing: StandingTerms | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "\n".join(["market", *self.publishers, *(self.offer_defaults.labels or ())])

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return self.offer_defaults.times()


class MarketConfiguredEvent(Event, tag="groupbuy.market.configured.v1", kw_only=True):
    """Configures a market."""

    data: MarketConfigured
