"""Every event type ever published, by name; a new family adds its module here and nowhere else."""

from typing import Final, get_args

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
from events.envelope import Event

AnyEvent = (
    market.MarketConfiguredEvent
    | offer.OfferPublishedEvent
    | offer.OfferChangedEvent
    | offer.OfferStockedEvent
    | offer.OfferWithdrawnEvent
    | order.OrderPostedEvent
    | order.OrderJoinedEvent
    | order.OrderChangedEvent
    | order.OrderPaidEvent
    | order.OrderWithdrawnEvent
    | order.OrderCancelledEvent
    | order.OrderReleasedEvent
    | group.GroupDissolvedEvent
    | group.GroupCompletedEvent
    | refund.RefundSettledEvent
    | refund.RefundFailedEvent
    | member.MemberBlockedEvent
    | member_standing.MemberReportedEvent
    | member_standing.MemberSanctionedEvent
    | member_standing.MemberReinstatedEvent
    | clock.ClockTickedEvent
    | member.MemberRegisteredEvent
    | member.MemberConsentedEvent
    | member.MemberWithdrewEvent
    | member.MemberPreferredEvent
    | member.MemberLimitedSelfEvent
    | invitation.InvitationRequestedEvent
    | dispute.DisputeOpenedEvent
    | dispute.DisputeAnsweredEvent
    | dispute.DisputeEvidencedEvent
    | dispute.DisputeResolvedEvent
    | dispute.DisputeAppealedEvent
    | play.PlayOpenedEvent
    | play.PlayClosedEvent
    | assist.AssistGivenEvent
    | assist.AssistVoidedEvent
    | market.MarketRestoredEvent
)

EVENT_TYPES: Final[dict[str, type[Event]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)}
"""Event struct by CloudEvents type."""

FAMILY_OF: Final[dict[type[Event], str]] = {kind: name.split(".")[1] for name, kind in EVENT_TYPES.items()}
"""Family by event struct."""

FAMILIES: Final[tuple[str, ...]] = get_args(market.Family)
"""Every family, those without events yet included."""
