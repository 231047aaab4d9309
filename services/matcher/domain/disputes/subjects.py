"""What a dispute is about, as far as the matcher knows it: whose it is, and when it was over."""

from collections.abc import Callable
from typing import Final, NamedTuple

from events.dispute import DisputeOpened
from events.reasons import Reason
from events.times import parse_time_ns
from services.matcher.domain import state as s
from services.matcher.domain.state import Order, State
from services.matcher.domain.terms import Refusal


class Subject(NamedTuple):
    """What is disputed: since when (ns) the claim period runs, None while it does not, and the order concerned."""

    since_ns: int | None
    order: Order | None = None
    group: str | None = None
    offer: str | None = None


def find_subject(state: State, data: DisputeOpened) -> Subject:
    """Return what `data` disputes. Raises Refusal: subject_unknown, not_concerned."""
    return FINDERS[data.about](state, data)


def _order(state: State, data: DisputeOpened) -> Subject:
    order = state.orders.get(data.disputed)
    if order is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    if order.member != data.member:
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_order(state, order)


def _group(state: State, data: DisputeOpened) -> Subject:
    group = state.groups.get(data.disputed)
    if group is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    seated = (state.orders.get(order_id) for order_id in group.seats)
    order = next((order for order in seated if order is not None and order.member == data.member), None)
    if order is None:
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_order(state, order)


def _of_order(state: State, order: Order) -> Subject:
    seated = order.status in (s.HELD, s.CONFIRMED)
    group = state.groups[order.group]
    return Subject(None if seated else order.ended_at, order, group.group, group.offer)


def _told(_: State, data: DisputeOpened) -> Subject:
    """Take what the matcher keeps no list of at the claimant's word."""
    return Subject(None if data.happened_at is None else parse_time_ns(data.happened_at))


FINDERS: Final[dict[str, Callable[[State, DisputeOpened], Subject]]] = {
    "order": _order,
    "group": _group,
    "play": _told,
    "assist": _told,
    "invitation": _told,
    "notice": _told,
    "sanction": _told,
}
"""By what a dispute can be about."""
