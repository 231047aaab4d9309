"""One example of every event type as a struct, full and often bare too; the golden corpus holds their bytes."""

from typing import Any, Final

import msgspec

from events import (
    assist,
    clock,
    dispute,
    group,
    invitation,
    market,
    member,
    member_standing,
    offer,
    order,
    play,
    refund,
)
from events.envelope import Data, Event
from events.signals import Signals

TIME: Final = "2026-11-23T10:00:00.125Z"
LATER: Final = "2026-11-24T18:30:00+08:00"
SOURCE: Final = "//shop-a/orders"
TEXT_HASH: Final = "095b797ae33aec0e5800a31711b841d4821de984b371ac984051f414502bcf4f"
"""SHA-256 of "May shop-a tell you of group buys that friends invite you to?"."""


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
    example(member.MemberRegisteredEvent, member.MemberRegistered(member="m-3f2a9c0d", registered_at=TIME)),
    example(
        member.MemberConsentedEvent,
        member.MemberConsented(
            member="m-3f2a9c0d",
            purpose="invitation",
            channel="wechat",
            mechanism="platform_prompt",
            text_hash=TEXT_HASH,
            one_time=True,
        ),
    ),
    example(
        member.MemberWithdrewEvent, member.MemberWithdrew(member="m-3f2a9c0d", purpose="invitation", channel="wechat")
    ),
    example(
        member.MemberPreferredEvent,
        member.MemberPreferred(
            member="m-3f2a9c0d",
            purposes=["result", "invitation"],
            kinds=["group", "bargain"],
            labels=["green"],
            language="zh",
            timezone="Asia/Shanghai",
            quiet=member.QuietHours(begins="22:00", ends="08:00"),
        ),
    ),
    example(
        member.MemberLimitedSelfEvent,
        member.MemberLimitedSelf(
            member="m-3f2a9c0d",
            groups=5,
            assists=20,
            spending=market.MoneyLimit(amount_minor=20_000, currency="CNY"),
            remove=["assists"],
        ),
    ),
    example(
        invitation.InvitationRequestedEvent,
        invitation.InvitationRequested(
            invitation="i-1",
            inviter="m-3f2a9c0d",
            invitee="m-77aa01bc",
            channel="wechat",
            group="g1041-0",
            useful_until=LATER,
        ),
    ),
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
        dispute.DisputeOpenedEvent,
        dispute.DisputeOpened(
            dispute="d-1",
            about="order",
            disputed="20261123100000123456",
            play="p-1",
            member="m-3f2a9c0d",
            actor="m-3f2a9c0d",
            reason="not_received",
            ticket="T-2026-4711",
            statement=TEXT_HASH,
            happened_at=TIME,
            incident="i-2026-11-23",
        ),
        source="//operator/desk",
    ),
    example(
        dispute.DisputeAnsweredEvent,
        dispute.DisputeAnswered(dispute="d-1", party="merchant", actor="shop-a.desk", statement=TEXT_HASH),
    ),
    example(
        dispute.DisputeEvidencedEvent,
        dispute.DisputeEvidenced(
            dispute="d-1", party="member", actor="m-3f2a9c0d", evidence=TEXT_HASH, label="photo-of-parcel"
        ),
    ),
    example(
        dispute.DisputeResolvedEvent,
        dispute.DisputeResolved(
            dispute="d-1",
            verdict="partly_upheld",
            remedy=dispute.Remedy(kind="refund", order="20261123100000123456", amount_minor=1_000),
            actor="cs-7",
            reason="late_delivery",
            statement=TEXT_HASH,
        ),
    ),
    example(
        dispute.DisputeAppealedEvent,
        dispute.DisputeAppealed(
            dispute="d-1", party="merchant", actor="shop-a.desk", reason="delivered_in_time", statement=TEXT_HASH
        ),
    ),
    example(
        market.MarketRestoredEvent,
        market.MarketRestored(
            previous="5d41402abc4b2a76b9719d911017c592",
            intake="7d793037a0760186574b0282f2f435e7",
            through=1044,
            record=77,
            record_hash="ab" * 32,
            lost_events=3,
            **ACT,
        ),
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
    example(member.MemberRegisteredEvent, member.MemberRegistered(member="m-1")),
    example(
        member.MemberConsentedEvent,
        member.MemberConsented(member="m-1", purpose="result", channel="email", mechanism="form", text_hash=TEXT_HASH),
    ),
    example(member.MemberWithdrewEvent, member.MemberWithdrew(member="m-1")),
    example(member.MemberPreferredEvent, member.MemberPreferred(member="m-1")),
    example(member.MemberLimitedSelfEvent, member.MemberLimitedSelf(member="m-1")),
    example(
        invitation.InvitationRequestedEvent,
        invitation.InvitationRequested(invitation="i-1", inviter="m-1", invitee="m-2", channel="nats", play="p-1"),
    ),
    example(play.PlayOpenedEvent, play.PlayOpened(play="cut-1", form="bargain")),
    example(play.PlayClosedEvent, play.PlayClosed(play="cut-1", cause="early")),
    example(assist.AssistGivenEvent, assist.AssistGiven(play="cut-1", assist="a-1", member="m-1")),
    example(assist.AssistVoidedEvent, assist.AssistVoided(play="cut-1", assist="a-1", member="m-1", **ACT)),
    example(
        dispute.DisputeOpenedEvent,
        dispute.DisputeOpened(
            dispute="d-1", about="notice", disputed="n-1", member="m-1", actor="m-1", reason="not_wanted"
        ),
    ),
    example(dispute.DisputeAnsweredEvent, dispute.DisputeAnswered(dispute="d-1", party="platform", actor="cs-7")),
    example(
        dispute.DisputeEvidencedEvent,
        dispute.DisputeEvidenced(dispute="d-1", party="member", actor="m-1", evidence=TEXT_HASH),
    ),
    example(
        dispute.DisputeResolvedEvent,
        dispute.DisputeResolved(
            dispute="d-1", verdict="rejected", remedy=dispute.Remedy(kind="none"), actor="cs-7", reason="no_ground"
        ),
    ),
    example(
        dispute.DisputeAppealedEvent,
        dispute.DisputeAppealed(dispute="d-1", party="member", actor="m-1", reason="new_facts"),
    ),
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


ADDED: Final[dict[str, Event]] = {
    "invitations": example(
        market.MarketConfiguredEvent,
        market.MarketConfigured(
            invitations=market.InvitationRules(
                inviter_per_day=10,
                invitee_per_day=2,
                pool_per_day=100,
                pause_s=172_800,
                useful_s=86_400,
                warn_after=3,
                limit_after=6,
                refusals_window_s=86_400,
                limit_s=259_200,
                capacity=100_000,
            ),
            participation=market.Participation(
                groups=20, assists=50, spending=market.MoneyLimit(amount_minor=100_000, currency="CNY")
            ),
            member_capacity=1_000_000,
            new_member_s=86_400,
        ),
    ),
    "pool": example(member.MemberBlockedEvent, member.MemberBlocked(member="m-3f2a9c0d", pool="hangzhou", lifted=True)),
    "to_pool": example(
        invitation.InvitationRequestedEvent,
        invitation.InvitationRequested(
            invitation="i-1", inviter="m-3f2a9c0d", invitee="m-77aa01bc", channel="email", pool="hangzhou"
        ),
    ),
    "to_play": example(
        invitation.InvitationRequestedEvent,
        invitation.InvitationRequested(
            invitation="i-1", inviter="m-3f2a9c0d", invitee="m-77aa01bc", channel="sse", play="p-1"
        ),
    ),
    "disputes": example(
        market.MarketConfiguredEvent,
        market.MarketConfigured(
            disputes=market.DisputeRules(
                claim_s=604_800,
                answer_s=86_400,
                resolve_s=432_000,
                appeal_s=172_800,
                second_approver=["void", "reinstate", "bulk"],
                capacity=1_000,
            )
        ),
    ),
    "assist": example(
        dispute.DisputeResolvedEvent,
        dispute.DisputeResolved(
            dispute="d-2",
            verdict="upheld",
            remedy=dispute.Remedy(kind="assist_voided", play="p-1", assist="a-1", member="m-9"),
            actor="cs-7",
            reason="not_a_friend",
        ),
    ),
    "sanction": example(
        dispute.DisputeResolvedEvent,
        dispute.DisputeResolved(
            dispute="d-3",
            verdict="upheld",
            remedy=dispute.Remedy(kind="member_reinstated", member="m-1"),
            actor="cs-7",
            reason="wrong_signal",
        ),
    ),
    "seat": example(
        dispute.DisputeResolvedEvent,
        dispute.DisputeResolved(
            dispute="d-4",
            verdict="upheld",
            remedy=dispute.Remedy(kind="seat", order="o-1", group="g1041-0"),
            actor="cs-7",
            reason="outage",
        ),
    ),
}
"""Fields that came after a type's first example, which never changes, or that exclude others; by a word for them."""


def name_of(event: Event) -> str:
    """Return the CloudEvents type of an event."""
    return str(event.__struct_config__.tag)
