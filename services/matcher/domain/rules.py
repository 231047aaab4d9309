"""Which rule answers which type of event; here all families are registered."""

from collections.abc import Callable
from typing import Any, Final

from events import clock, group, member, offer, order, refund
from events import decisions as d
from events.envelope import Event
from events.market import MarketRestoredEvent
from services.matcher.domain import alarms, configuring, leaving, paying, plain, restoring, seating
from services.matcher.domain.disputes import deadlines as dispute_deadlines
from services.matcher.domain.disputes.rules import RULES as DISPUTE_RULES
from services.matcher.domain.members import choosing, invitation_changes
from services.matcher.domain.plays import family as plays
from services.matcher.domain.plays.judging import DETECTION
from services.matcher.domain.standing import family as standing
from services.matcher.domain.standing.seeing import NOTIFIED
from services.matcher.domain.turn import Turn

Rule = Callable[[Turn, Any], None]

RULES: Final[dict[type[Event], Rule]] = {
    order.OrderPostedEvent: seating.take_seat,
    order.OrderJoinedEvent: seating.take_seat,
    order.OrderPaidEvent: paying.pay,
    order.OrderChangedEvent: leaving.change,
    order.OrderWithdrawnEvent: leaving.withdraw,
    order.OrderCancelledEvent: leaving.cancel,
    order.OrderReleasedEvent: leaving.release_by_service,
    group.GroupDissolvedEvent: leaving.dissolve_by_service,
    group.GroupCompletedEvent: leaving.complete_by_service,
    refund.RefundSettledEvent: paying.answer_refund,
    refund.RefundFailedEvent: paying.answer_refund,
    offer.OfferPublishedEvent: configuring.publish,
    offer.OfferChangedEvent: configuring.change,
    offer.OfferStockedEvent: configuring.restock,
    offer.OfferWithdrawnEvent: configuring.withdraw_offer,
    member.MemberBlockedEvent: configuring.block,
    member.MemberRegisteredEvent: choosing.register,
    member.MemberConsentedEvent: choosing.consent,
    member.MemberWithdrewEvent: choosing.withdraw,
    member.MemberPreferredEvent: choosing.prefer,
    member.MemberLimitedSelfEvent: choosing.limit_self,
    clock.ClockTickedEvent: lambda turn, _: turn.emit(d.ClockAdvanced()),
    **DISPUTE_RULES,
    **plays.RULES,
    MarketRestoredEvent: restoring.restore,
    **standing.RULES,
}
"""The rule for each type of event but two: `market.configured` needs the zones, invitations the key of links."""

alarms.SOURCES.extend((plays.ALARMS, standing.ALARMS))
alarms.RULES.update({**plays.ALARM_RULES, **standing.ALARM_RULES})
DETECTION.append(standing.DETECTION)
NOTIFIED.append(invitation_changes.is_invited)

alarms.SOURCES.append(dispute_deadlines.alarms_of)
alarms.RULES[dispute_deadlines.DISPUTE] = dispute_deadlines.RULE
# One question of both families: a call less for every order.
plain.UNUSUAL.append(
    lambda state, order: state.members.watching or bool(state.standing.ledge.sanctioned) or order.signals is not None
)
