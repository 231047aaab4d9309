"""What each decision does to the state; the only code that changes it, when deciding and when recovering."""

from collections.abc import Callable
from typing import Any, Final

from events import decisions as d
from events import member_decisions as m
from services.matcher.domain import group_changes, offer_changes, seat_changes
from services.matcher.domain import state as s
from services.matcher.domain.disputes.changes import CHANGES as DISPUTE_CHANGES
from services.matcher.domain.members import choice_changes, invitation_changes, weeks
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import changes as plays
from services.matcher.domain.standing import changing as standing


def apply(moment: Moment, decision: d.AnyDecision) -> None:
    """Change the state as `decision` says, which was made at `moment`."""
    change = _CHANGES.get(type(decision))
    if change is not None:
        change(moment, decision)


def _refund_due(moment: Moment, decision: d.RefundDue) -> None:
    state = moment.state
    assert decision.refund not in state.refunds, "a debt is one debt"
    moment.tree.refund_due(decision.order)
    state.refunds[decision.refund] = s.Refund(
        order=decision.order,
        amount_minor=decision.amount_minor,
        currency=decision.currency,
        publisher=decision.publisher,
        member=decision.member,
    )
    order = state.orders.get(decision.order)
    if order is not None and order.payment == decision.payment:
        order.paid_minor -= decision.amount_minor
        assert order.paid_minor >= 0, "nobody gets back more than they paid"
        if state.members.watching and decision.cause == "price_by_size":
            weeks.price_cut(moment, order, decision.amount_minor)


def _refund_closed(moment: Moment, decision: d.RefundClosed) -> None:
    state, now = moment.state, moment.now
    if decision.status == "settled":
        state.refunds[decision.refund].settled = True
        state.settled_refunds.push((now, decision.refund))


_CHANGES: Final[dict[type, Callable[[Moment, Any], None]]] = {
    d.MarketSet: offer_changes.market_set,
    d.OfferListed: offer_changes.offer_listed,
    d.MemberNoted: offer_changes.member_noted,
    d.GroupOpened: group_changes.group_opened,
    d.SeatHeld: seat_changes.seat_held,
    d.SeatConfirmed: seat_changes.seat_confirmed,
    d.SeatReleased: seat_changes.seat_released,
    d.GroupMerged: group_changes.group_merged,
    d.GroupFilled: group_changes.group_filled,
    d.GroupExpired: group_changes.group_unfilled,
    d.GroupDissolved: group_changes.group_unfilled,
    d.RefundDue: _refund_due,
    d.RefundClosed: _refund_closed,
    **DISPUTE_CHANGES,
    m.MemberChose: choice_changes.chosen,
    m.MemberReminded: weeks.reminded,
    m.InvitationAllowed: invitation_changes.allowed,
    m.InvitationRefused: invitation_changes.refused,
    **plays.CHANGES,
    **standing.CHANGES,
}
