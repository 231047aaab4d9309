"""Family `market`: the configuration of a market, itself an event in its log."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event
from events.ids import AmountMinor, Currency, DurationS, Name, Sha256Hex
from events.limits import ASSISTS_PER_DAY_MAX, INVITATIONS_PER_DAY_MAX, PUBLISHERS_MAX, WEEKLY_MAX
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


PerDay = Annotated[int, msgspec.Meta(ge=0, le=INVITATIONS_PER_DAY_MAX)]


class InvitationRules(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """How many invitations there may be in a calendar day, and what becomes of who keeps being refused.

    The inviter's day and the invitee's are those of their own time zones, a pool's is the market's. `pause_s` lies
    between two invitations from one inviter to one invitee. An inviter who is refused `warn_after` times within
    `refusals_window_s` of the first is warned, and after `limit_after` may not invite for `limit_s`; 0: never.
    """

    inviter_per_day: PerDay = 20
    invitee_per_day: PerDay = 3
    pool_per_day: PerDay = 1_000
    pause_s: DurationS = 86_400
    useful_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86_400)] = 7 * 86_400
    warn_after: PerDay = 5
    limit_after: PerDay = 10
    refusals_window_s: Annotated[int, msgspec.Meta(ge=60, le=30 * 86_400)] = 7 * 86_400
    limit_s: DurationS = 7 * 86_400
    capacity: Capacity = 1_000_000
    """How many allowed invitations are remembered, each as long as its event could be sent again: 0.9 KiB each."""


class MoneyLimit(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """An amount in minor units that a week's orders in this currency may come to."""

    amount_minor: AmountMinor
    currency: Currency


class Participation(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Limits on a member's calendar week at which the member is reminded; only own limits refuse orders."""

    groups: Annotated[int, msgspec.Meta(ge=1, le=WEEKLY_MAX)] | None = None
    assists: Annotated[int, msgspec.Meta(ge=1, le=WEEKLY_MAX)] | None = None
    spending: MoneyLimit | None = None


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
    invitations: InvitationRules | None = None
    """None: the defaults."""
    participation: Participation | None = None
    member_capacity: Capacity = 2_000_000
    """How many members' choices are kept: 0.4 KiB each."""
    new_member_s: DurationS = 7 * 86_400
    """How long a registered member counts as new."""
    secret_commitment: Sha256Hex | None = None
    """SHA-256 of the secret behind the draws (`events.fair.secret_commitment`); without it no play opens."""
    assist_caps: AssistCaps | None = None
    play_capacity: Capacity = 5_000_000
    assist_capacity: Capacity = 20_000_000

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "\n".join(["market", *self.publishers, *(self.offer_defaults.labels or ())])

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return self.offer_defaults.times()


class MarketConfiguredEvent(Event, tag="groupbuy.market.configured.v1", kw_only=True):
    """Configures a market."""

    data: MarketConfigured
