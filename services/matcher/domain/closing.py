"""How groups end: filled, expired, dissolved; told in pages, each followed by the refunds of its seats."""

from typing import Literal

from events import decisions as d
from events.fair import draw_seats
from events.refund import refund_id
from services.matcher.domain import prices
from services.matcher.domain import state as s
from services.matcher.domain.money import refund_order
from services.matcher.domain.pages import page_seats, pages_of
from services.matcher.domain.plays import tickets
from services.matcher.domain.state import Group, Order
from services.matcher.domain.turn import Turn

FillCause = Literal["target", "deadline", "merge", "completed"]
DissolveCause = Literal["customer_service", "leader_left", "empty", "offer_withdrawn"]
Act = tuple[str, str, str]
"""(actor, reason, ticket) of customer service."""


def fill(turn: Turn, group: Group, cause: FillCause, act: Act | None = None) -> None:
    """Fill `group` with its seats, all of which are confirmed by now."""
    assert group.status == s.OPEN and group.taken == group.confirmed
    _filled_page(turn, group, 1, cause, group.confirmed, act)


def expire(turn: Turn, group: Group) -> None:
    """Let `group` end unfilled at its deadline."""
    missing = s.terms_of(turn.state, group).size - group.confirmed
    _expired_page(turn, group, 1, missing)


def dissolve(turn: Turn, group: Group, cause: DissolveCause, act: Act | None = None) -> None:
    """End `group` unfilled for another cause than its deadline."""
    _dissolved_page(turn, group, 1, cause, act)


def next_page(turn: Turn, told: d.Closing) -> None:
    """Tell the page after `told`, the last page told of a closing that is under way."""
    group, page = turn.state.groups[told.group], told.page + 1
    if isinstance(told, d.GroupExpired):
        _expired_page(turn, group, page, told.missing)
    elif isinstance(told, d.GroupFilled):
        _filled_page(turn, group, page, told.cause, told.size, _act(told))
    else:
        _dissolved_page(turn, group, page, told.cause, _act(told))


def _act(told: d.GroupFilled | d.GroupDissolved) -> Act | None:
    if told.actor is None or told.reason is None or told.ticket is None:
        return None
    return told.actor, told.reason, told.ticket


def release_unpaid(turn: Turn, group: Group, at_most: int) -> int:
    """Free up to `at_most` seats that are still held when the group ends; return how many."""
    orders = turn.state.orders
    held = [o for o in group.seats if orders[o].status == s.HELD][:at_most] if group.taken > group.confirmed else []
    for order_id in held:
        order = orders[order_id]
        turn.emit(
            d.SeatReleased(
                group=group.group,
                order=order.order,
                member=order.member,
                cause="hold_ended",
                publisher=order.publisher,
            )
        )
    return len(held)


def _filled_page(turn: Turn, group: Group, page: int, cause: FillCause, size: int, act: Act | None) -> None:
    terms = s.terms_of(turn.state, group)
    unit_minor = leader_minor = prices.final_unit_minor(terms, size, leads=False)
    if terms.leader_minor is not None:
        leader_minor = prices.final_unit_minor(terms, size, leads=True)
    seed = None if terms.winners is None else turn.tree.plays.group_seed(group.group)
    drawn = None if seed is None or terms.winners is None else draw_seats(seed, group.seats, terms.winners)
    seats: list[d.SeatRef] = []
    reduced: list[tuple[Order, int, bool | None]] = []
    known = turn.state.orders
    won = None
    for order_id in page_seats(group, page):
        order = known[order_id]
        if drawn is not None:
            won = order_id in drawn
        marks = order.marks  # not its properties: two calls less for every seat
        quantity = marks >> s.QUANTITY_SHIFT
        price_minor, paid_minor = (leader_minor if marks & s.LEADS else unit_minor) * quantity, order.paid_minor
        if won is False:
            price_minor = 0
            reduced.append((order, paid_minor, won))
        elif price_minor >= paid_minor:
            price_minor = paid_minor
        elif order.paid_with is not None:
            reduced.append((order, paid_minor - price_minor, won))
        seats.append(
            d.SeatRef(
                order=order_id,
                member=order.member,
                publisher=order.publisher,
                quantity=quantity,
                price_minor=price_minor,
                won=won,
            )
        )
    actor, reason, ticket = act or (None, None, None)
    turn.seats_named += len(seats)
    turn.emit(
        d.GroupFilled(
            group=group.group,
            offer=group.offer,
            cause=cause,
            size=size,
            page=page,
            pages=pages_of(group),
            seats=seats,
            actor=actor,
            reason=reason,
            ticket=ticket,
            seed=None if seed is None else seed.hex(),
        )
    )
    if turn.state.plays.by_offer:
        tickets.give_to_seats(turn, group, page, len(seats))
    for order, amount_minor, won in reduced:
        if won is False:
            refund_order(turn, order, "not_drawn", group)
        else:
            _refund_difference(turn, order, amount_minor, terms.currency)


def _refund_difference(turn: Turn, order: Order, amount_minor: int, currency: str) -> None:
    payment = order.payment
    assert payment is not None
    turn.emit(
        d.RefundDue(
            refund=refund_id(order.order, payment, of="price_by_size"),
            order=order.order,
            payment=payment,
            amount_minor=amount_minor,
            currency=currency,
            cause="price_by_size",
            publisher=order.publisher,
            member=order.member,
            group=order.group,
        )
    )


def _expired_page(turn: Turn, group: Group, page: int, missing: int) -> None:
    orders = [turn.state.orders[o] for o in page_seats(group, page)]
    turn.seats_named += len(orders)
    turn.emit(
        d.GroupExpired(
            group=group.group,
            offer=group.offer,
            missing=missing,
            page=page,
            pages=pages_of(group),
            seats=[_seat(order, 0) for order in orders],
        )
    )
    for order in orders:
        refund_order(turn, order, "expired")


def _dissolved_page(turn: Turn, group: Group, page: int, cause: DissolveCause, act: Act | None) -> None:
    orders = [turn.state.orders[o] for o in page_seats(group, page)]
    actor, reason, ticket = act or (None, None, None)
    turn.seats_named += len(orders)
    turn.emit(
        d.GroupDissolved(
            group=group.group,
            offer=group.offer,
            cause=cause,
            page=page,
            pages=pages_of(group),
            seats=[_seat(order, 0) for order in orders],
            actor=actor,
            reason=reason,
            ticket=ticket,
        )
    )
    for order in orders:
        refund_order(turn, order, "dissolved")


def _seat(order: Order, price_minor: int, won: bool | None = None) -> d.SeatRef:
    return d.SeatRef(
        order=order.order,
        member=order.member,
        publisher=order.publisher,
        quantity=order.quantity,
        price_minor=price_minor,
        won=won,
    )
