"""One example of every event type as a struct, full and often bare too; the golden corpus holds their bytes."""

from typing import Any, Final

import msgspec

from events import assist, clock, group, market, member, member_standing, offer, order, play, refund
from events.envelope import Data, Event
from events.signals import Signals

TIME: Final = "2026-11-23T10:00:00.125Z"
LATER: Final = "2026-11-24T18:30:00+08:00"
SOURCE: Final = "//shop-a/orders"


def example(kind: type[Event], data: Data | offer.OfferTerms, **envelope: Any) -> Event:
    """Return an event of `kind` around `data`, its id made from its type."""
    made: Any = kind
    identity = str(kind.__struct_config__.tag).removeprefix("groupbuy.").replace(".", "-")
    event: Event = made(
        **{"specversion": "1.0", "id": f"e-{identity}", "source": SOURCE, "time": TIME, **envelope}, data=data
    )
    return event


TERMS: Final[dict[str, Any]] = {
    "currency": "CNY",
    "solo_minor": 2990,
    "group_minor": 1990,
    "leader_minor": 990,
    "tiers": [offer.PriceTier(3, 1790), offer.PriceTier(5, 1590)],
    "size": 3,
    "max_size": 10,
    "count": "units",
    "group_ttl_s": 86_400,
    "opens_at": TIME,
    "closes_at": LATER,
    "hold_s": 900,
    "grace_s": 60,
    "limit_at_once": 1,
    "limit_total": 5,
    "strangers": "allowed",
    "leader_leaves": "promote",
    "fill_if_at_least": 2,
    "close": "at_deadline",
    "match": "nearest_full",
    "merge": "allowed",
    "withdraw": "until_paid",
    "late_payment": "rejoin",
    "labels": ["green", "local"],
}

ORDER: Final[dict[str, Any]] = {
    "order": "20261123100000123456",
    "member": "m-3f2a9c0d",
    "offer": "spring-tea",
    "sku": "250g",
    "quantity": 2,
    "pool": "hangzhou",
    "via": "m-77aa01bc",
    "strangers": False,
    "merge": True,
}
PAYMENT: Final = order.Payment(payment="4200001234567890", amount_minor=3580, currency="CNY", paid_at=TIME)
BARE_ORDER: Final[dict[str, Any]] = {"order": "o-1", "member": "m-1", "offer": "spring-tea"}
SIGNALS: Final = Signals(device="d1" * 32, network="0e" * 32, account_age_days=3, channel="mini-program")
ACT: Final[dict[str, Any]] = {"actor": "cs-7", "reason": "wrong_item", "ticket": "T-2026-4711"}


def market_of(examples: list[Event]) -> market.MarketConfigured:
    """Return the configuration among `examples`."""
    return next(event.data for event in examples if isinstance(event, market.MarketConfiguredEvent))


FULL: Final[list[Event]] = [
    example(
        market.MarketConfiguredEvent,
        market.MarketConfigured(
            clock="event",
            timezone="Asia/Shanghai",
            rule_version=2,
            replay_window_s=3_600,
            future_slack_s=60,
            publishers={"shop-a": ["order", "offer"], "pay": ["order", "refund"]},
            offer_defaults=offer.OfferTerms(currency="CNY", hold_s=600, labels=["green"]),
            identity_capacity=1_000_000,
            order_capacity=500_000,
            offer_capacity=10_000,
            order_memory_s=604_800,
            key_commitment="d376144b5f55235e757f136221cd865e4e8346457162b77af03df1e2662b12df",
        ),
    ),
    example(offer.OfferPublishedEvent, offer.OfferPublished(offer="spring-tea", skus={"250g": 40, "500g": 0}, **TERMS)),
    example(offer.OfferChangedEvent, offer.OfferChanged(offer="spring-tea", **TERMS)),
    example(offer.OfferStockedEvent, offer.OfferStocked(offer="spring-tea", sku="250g", delta=-3)),
    example(offer.OfferWithdrawnEvent, offer.OfferWithdrawn(offer="spring-tea", open_groups="dissolve")),
    example(order.OrderPostedEvent, order.OrderPosted(**ORDER, payment=PAYMENT, lead="if_needed")),
    example(order.OrderJoinedEvent, order.OrderJoined(**ORDER, payment=PAYMENT, group="g1041-0")),
    example(
        order.OrderChangedEvent,
        order.OrderChanged(order="20261123100000123456", sku="500g", quantity=1, strangers=True, merge=False),
    ),
    example(
        order.OrderPaidEvent,
        order.OrderPaid(
            order="20261123100000123456", payment="4200001234567890", amount_minor=3580, currency="CNY", paid_at=TIME
        ),
        publisher="pay",
    ),
    example(order.OrderWithdrawnEvent, order.OrderWithdrawn(order="20261123100000123456")),
    example(order.OrderCancelledEvent, order.OrderCancelled(order="20261123100000123456")),
    example(order.OrderReleasedEvent, order.OrderReleased(order="20261123100000123456", **ACT)),
    example(group.GroupDissolvedEvent, group.GroupDissolved(group="g1041-0", **ACT)),
    example(group.GroupCompletedEvent, group.GroupCompleted(group="g1041-0", **ACT)),
    example(
        refund.RefundSettledEvent,
        refund.RefundSettled(refund="r-fde8bcdba3fb10f32453b71708418339", reference="BANK-1"),
    ),
    example(
        refund.RefundFailedEvent,
        refund.RefundFailed(refund="r-fde8bcdba3fb10f32453b71708418339", reason="account_closed"),
    ),
    example(member.MemberBlockedEvent, member.MemberBlocked(member="m-3f2a9c0d", other="m-77aa01bc", lifted=True)),
    example(clock.ClockTickedEvent, clock.ClockTicked(), source="//matcher"),
    example(
        play.PlayOpenedEvent,
        play.PlayOpened(
            play="draw-1",
            form="lottery",
            member="m-3f2a9c0d",
            offer="spring-tea",
            ttl_s=172_800,
            ends_at=LATER,
            helper_limit=5_000,
            new_only=True,
            new_within_days=30,
            new_weight=2,
            per_helper_day=3,
            per_pair_week=5,
            terms={"prizes": [{"prize": "kettle", "quantity": 2}], "tickets_per_assist": 1, "tickets_to": "helper"},
        ),
    ),
    example(play.PlayClosedEvent, play.PlayClosed(play="draw-1", cause="bought", order="B-17", **ACT)),
    example(
        assist.AssistGivenEvent,
        assist.AssistGiven(play="draw-1", assist="a-1", member="m-77aa01bc", via="m-3f2a9c0d", signals=SIGNALS),
    ),
    example(
        assist.AssistVoidedEvent,
        assist.AssistVoided(play="draw-1", assist="a-1", member="m-77aa01bc", verdict="count", **ACT),
    ),
    example(
        member_standing.MemberReportedEvent,
        member_standing.MemberReported(
            member="m-3f2a9c0d", reporter="m-77aa01bc", cause="private_payment", about="draw-1"
        ),
    ),
    example(
        member_standing.MemberSanctionedEvent,
        member_standing.MemberSanctioned(member="m-3f2a9c0d", rung="limited", duration_s=604_800, **ACT),
    ),
    example(member_standing.MemberReinstatedEvent, member_standing.MemberReinstated(member="m-3f2a9c0d", **ACT)),
]
"""Every type once, every field given."""

BARE: Final[list[Event]] = [
    example(market.MarketConfiguredEvent, market.MarketConfigured()),
    example(offer.OfferPublishedEvent, offer.OfferPublished(offer="spring-tea", stock=100)),
    example(offer.OfferChangedEvent, offer.OfferChanged(offer="spring-tea")),
    example(offer.OfferStockedEvent, offer.OfferStocked(offer="spring-tea", delta=10)),
    example(offer.OfferWithdrawnEvent, offer.OfferWithdrawn(offer="spring-tea")),
    example(order.OrderPostedEvent, order.OrderPosted(**BARE_ORDER)),
    example(order.OrderJoinedEvent, order.OrderJoined(**BARE_ORDER)),
    example(order.OrderChangedEvent, order.OrderChanged(order="o-1")),
    example(order.OrderPaidEvent, order.OrderPaid(order="o-1", payment="p-1", amount_minor=0, currency="CNY")),
    example(refund.RefundSettledEvent, refund.RefundSettled(refund="r-1")),
    example(member.MemberBlockedEvent, member.MemberBlocked(member="m-1", other="m-2")),
    example(play.PlayOpenedEvent, play.PlayOpened(play="cut-1", form="bargain")),
    example(play.PlayClosedEvent, play.PlayClosed(play="cut-1", cause="early")),
    example(assist.AssistGivenEvent, assist.AssistGiven(play="cut-1", assist="a-1", member="m-1")),
    example(assist.AssistVoidedEvent, assist.AssistVoided(play="cut-1", assist="a-1", member="m-1", **ACT)),
    example(
        member_standing.MemberReportedEvent,
        member_standing.MemberReported(member="m-1", reporter="m-2", cause="abuse"),
    ),
    example(
        member_standing.MemberSanctionedEvent,
        member_standing.MemberSanctioned(member="m-1", rung="banned", **ACT),
    ),
]
"""Types with fields that may be absent, without them."""

GROWN: Final[list[Event]] = [
    example(
        market.MarketConfiguredEvent,
        msgspec.structs.replace(
            market_of(FULL),
            secret_commitment="5c0f3b3e0a8e6a1c9c4bb3c9bb21c19e4d7c30e08a9b0a6a5f3b1d4b5d9c2f77",
            assist_caps=market.AssistCaps(per_helper_day=3, per_pair_week=5),
            play_capacity=10_000,
            assist_capacity=1_000_000,
        ),
    ),
    example(
        offer.OfferPublishedEvent,
        offer.OfferPublished(offer="spring-tea", skus={"250g": 40, "500g": 0}, **TERMS, winners=2),
    ),
    example(offer.OfferChangedEvent, offer.OfferChanged(offer="spring-tea", **TERMS, winners=2)),
    example(order.OrderPostedEvent, order.OrderPosted(**ORDER, payment=PAYMENT, signals=SIGNALS, lead="if_needed")),
    example(order.OrderJoinedEvent, order.OrderJoined(**ORDER, payment=PAYMENT, signals=SIGNALS, group="g1041-0")),
]
"""Types that have gained fields since their full example was written, again with every field given."""


GROWN_AGAIN: Final[list[Event]] = [
    example(
        market.MarketConfiguredEvent,
        msgspec.structs.replace(
            market_of(GROWN),
            standing=member_standing.StandingTerms(
                hold_points=100,
                refuse_points=300,
                warn_at=6,
                limit_at=20,
                ban_at=60,
                warn_s=2_592_000,
                limit_s=604_800,
                ban_s=7_776_000,
                memory_s=2_592_000,
            ),
        ),
    ),
]
"""Types that had grown before, with what they have got since."""


def name_of(event: Event) -> str:
    """Return the CloudEvents type of an event."""
    return str(event.__struct_config__.tag)
