"""What a resolution can bring about: each remedy is checked whole first, and then decided in the resolution's entry."""

from collections.abc import Callable
from typing import Final, Literal

from events import decisions as d
from events.assist import AssistVoided
from events.dispute import DisputeResolved, Remedy
from events.member_standing import MemberReinstated
from events.reasons import Reason
from events.refund import of_resolution, refund_id
from events.times import NS_PER_S
from services.matcher.domain import prices, seating
from services.matcher.domain import state as s
from services.matcher.domain.disputes.book import Dispute
from services.matcher.domain.index import keeps_apart, sits_in
from services.matcher.domain.members import limits
from services.matcher.domain.plays.reviewing import plan_review
from services.matcher.domain.seat_decisions import confirmed, held
from services.matcher.domain.standing.telling import plan_reinstatement
from services.matcher.domain.state import Group, Order
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

BringAbout = Callable[[], None]
"""Decides what a remedy brings about; it has been checked and cannot fail."""
Plan = Callable[[Turn, Dispute, Remedy, DisputeResolved], BringAbout]

_SUITED: Final[dict[str, tuple[str, ...]]] = {
    "refund": ("order", "group"),
    "seat": ("order", "group"),
    "assist_counted": ("play", "assist"),
    "assist_voided": ("play", "assist"),
    "member_reinstated": ("sanction",),
}
"""What a dispute must be about for a remedy to belong to it; `none` belongs to each."""


def plan_remedy(turn: Turn, dispute: Dispute, resolution: DisputeResolved) -> BringAbout:
    """Return what brings a remedy about. Raises Refusal when it does not suit the dispute or cannot be done."""
    remedy = resolution.remedy
    if remedy.kind == "none":
        return lambda: None
    if dispute.about not in _SUITED[remedy.kind]:
        raise Refusal(Reason.REMEDY_UNSUITED)
    return PLANS[remedy.kind](turn, dispute, remedy, resolution)


def _refund(turn: Turn, dispute: Dispute, remedy: Remedy, _: DisputeResolved) -> BringAbout:
    order = _claimants_order(turn, dispute, remedy)
    if order.status in (s.HELD, s.CONFIRMED):
        raise Refusal(Reason.ORDER_STILL_SEATED)
    payment = order.payment
    if payment is None or order.paid_minor == 0:
        raise Refusal(Reason.NOTHING_TO_REFUND)
    amount_minor = order.paid_minor if remedy.amount_minor is None else remedy.amount_minor
    if amount_minor > order.paid_minor:
        raise Refusal(Reason.REFUND_TOO_LARGE)
    due = d.RefundDue(
        refund=refund_id(order.order, payment, of=of_resolution(dispute.dispute, dispute.resolutions + 1)),
        order=order.order,
        payment=payment,
        amount_minor=amount_minor,
        currency=s.terms_of(turn.state, turn.state.groups[order.group]).currency,
        cause="dispute",
        publisher=order.publisher,
        member=order.member,
        group=order.group,
    )
    return lambda: turn.emit(due)


def _seat(turn: Turn, dispute: Dispute, remedy: Remedy, _: DisputeResolved) -> BringAbout:
    order = _claimants_order(turn, dispute, remedy)
    if order.status in (s.HELD, s.CONFIRMED, s.FILLED):
        raise Refusal(Reason.REMEDY_DONE)
    group = _group_with_room(turn, order, remedy.group or order.group)
    terms = s.terms_of(turn.state, group)
    offer = turn.state.offers[group.offer]
    seating.check_variant(offer, order.sku, order.quantity)
    seating.check_limits(offer, terms, order.member, terms.weight(order.quantity))
    payable_minor = prices.payable_minor(terms, order.quantity, leads=group.leader == order.order)
    if turn.state.members.watching:
        limits.check_spending(turn, order.member, payable_minor, terms.currency)

    def sit_again() -> None:
        if terms.is_paid:
            # Money that was taken before has been owed back: the seat is held for it to be paid anew.
            hold_until = min(turn.now + terms.hold_s * NS_PER_S, group.deadline)
            turn.emit(held(order, group, terms, payable_minor, hold_until))
            return
        turn.emit(confirmed(order, group, terms, payable_minor, None))
        seating.fill_if_complete(turn, group, terms)

    return sit_again


def _claimants_order(turn: Turn, dispute: Dispute, remedy: Remedy) -> Order:
    order_id = remedy.order or dispute.order
    if order_id is None:
        raise Refusal(Reason.REMEDY_INCOMPLETE, "data.remedy.order")
    order = turn.state.orders.get(order_id)
    if order is None:
        raise Refusal(Reason.ORDER_UNKNOWN)
    if order.member != dispute.member:
        raise Refusal(Reason.NOT_CONCERNED)
    return order


def _group_with_room(turn: Turn, order: Order, group_id: str) -> Group:
    group = turn.state.groups.get(group_id)
    if group is None:
        raise Refusal(Reason.GROUP_UNKNOWN)
    if group.offer != turn.state.groups[order.group].offer:
        raise Refusal(Reason.GROUP_OF_OTHER_OFFER)
    if group.status != s.OPEN:
        raise Refusal(Reason.GROUP_OVER)
    if sits_in(turn.state, turn.tree, group, order.member):
        raise Refusal(Reason.ALREADY_IN_GROUP)
    if keeps_apart(turn.state, group, order.member):
        raise Refusal(Reason.BLOCKED)
    terms = s.terms_of(turn.state, group)
    if group.taken + terms.weight(order.quantity) > terms.max_size:
        raise Refusal(Reason.GROUP_FULL)
    return group


def _assist(verdict: Literal["void", "count"]) -> Plan:
    """Return the plan of a remedy that reviews an assist."""

    def plan(turn: Turn, dispute: Dispute, remedy: Remedy, resolution: DisputeResolved) -> BringAbout:
        play = remedy.play or dispute.play
        assist = remedy.assist or (dispute.disputed if dispute.about == "assist" else None)
        for field, value in (("play", play), ("assist", assist), ("member", remedy.member)):
            if value is None:
                raise Refusal(Reason.REMEDY_INCOMPLETE, f"data.remedy.{field}")
        assert play is not None and assist is not None and remedy.member is not None
        review = AssistVoided(
            play=play,
            assist=assist,
            member=remedy.member,
            verdict=verdict,
            actor=resolution.actor,
            reason=resolution.reason,
            ticket=dispute.dispute,
        )
        return plan_review(turn, review)

    return plan


def _reinstatement(turn: Turn, dispute: Dispute, remedy: Remedy, resolution: DisputeResolved) -> BringAbout:
    if remedy.member not in (None, dispute.member):
        raise Refusal(Reason.NOT_CONCERNED)
    act = MemberReinstated(
        member=dispute.member, actor=resolution.actor, reason=resolution.reason, ticket=dispute.dispute
    )
    return plan_reinstatement(turn, act)


PLANS: Final[dict[str, Plan]] = {
    "refund": _refund,
    "seat": _seat,
    "assist_counted": _assist("count"),
    "assist_voided": _assist("void"),
    "member_reinstated": _reinstatement,
}
"""By the remedy's kind."""
