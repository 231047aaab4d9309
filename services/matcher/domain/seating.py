"""Rules for an order that takes a seat (RULES.md section 4)."""

from events import decisions as d
from events.fair import seed_commitment
from events.order import OrderJoined, OrderJoinedEvent, OrderPosted, OrderPostedEvent, Payment
from events.reasons import Reason
from events.record import entry_id
from events.refund import refund_id
from events.times import NS_PER_S
from services.matcher.domain import closing, matching, prices
from services.matcher.domain import state as s
from services.matcher.domain.handed import Handed
from services.matcher.domain.index import keeps_apart, sits_in
from services.matcher.domain.members import limits
from services.matcher.domain.money import is_owed
from services.matcher.domain.positions import unpack_entry
from services.matcher.domain.standing.asking import check_orders
from services.matcher.domain.state import Group, Offer, Order, State
from services.matcher.domain.terms import Refusal, Terms
from services.matcher.domain.turn import Turn


def take_seat(turn: Turn, event: OrderPostedEvent | OrderJoinedEvent) -> None:
    """Give the order of `event` a seat; money taken for an order that is refused is owed back."""
    try:
        _take_seat(turn, event.data)
    except Refusal as refusal:
        turn.emit(d.Refused(reason=refusal.reason, detail=refusal.detail))
        owe_back(turn, event.data)
        if refusal.reason in limits.OWN_LIMITS:
            limits.remind(turn, event.data.member, refusal.reason, refusal.detail)


def owe_back(turn: Turn, data: OrderPosted | OrderJoined) -> None:
    """Owe back the payment that a refused order carries, unless it is held for that order or owed already."""
    payment = data.payment
    if payment is None or is_owed(turn, data.order, payment.payment):
        return
    known = turn.state.orders.get(data.order)
    if known is not None and known.payment == payment.payment:
        return
    turn.emit(
        d.RefundDue(
            refund=refund_id(data.order, payment.payment),
            order=data.order,
            payment=payment.payment,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            cause="order_refused",
            publisher=turn.publisher,
            member=data.member,
        )
    )


def _take_seat(turn: Turn, data: OrderPosted | OrderJoined) -> None:
    state = turn.state
    known = state.orders.get(data.order)
    if known is not None:
        turn.emit(_same_again(turn, known, data))
        return
    if state.standing.ledge.sanctioned:
        check_orders(state, data.member)
    market = state.market
    assert market is not None
    if len(state.orders) >= market.order_capacity:
        raise Refusal(Reason.CAPACITY)
    posted = isinstance(data, OrderPosted)
    offer = open_offer(turn, data.offer, opens=posted)
    check_variant(offer, data.sku, data.quantity)
    group = _group_for(turn, offer, data)
    if group is None and not posted:
        raise Refusal(Reason.OFFER_WITHDRAWN if offer.withdrawn else Reason.NO_OPEN_GROUP)
    terms = offer.terms if group is None else s.terms_of(state, group)
    check_limits(offer, terms, data.member, terms.weight(data.quantity))
    payable_minor = prices.payable_minor(terms, data.quantity, leads=group is None)
    if state.members.watching:
        limits.check_order(turn, data.member, payable_minor, terms.currency)
    _check_payment(turn, terms, data.order, data.payment, payable_minor)
    sit_down(turn, data, offer, group, terms, payable_minor)
    if state.members.watching:
        limits.remind(turn, data.member)


def sit_down(
    turn: Turn, data: OrderPosted | OrderJoined, offer: Offer, group: Group | None, terms: Terms, payable_minor: Handed
) -> type[d.SeatHeld | d.SeatConfirmed]:
    """Decide that a checked order sits down in `group`, or in one that it opens; return the kind of its outcome."""
    if group is None:
        group = open_group(turn, offer, data.order, data.member, data.pool)
    payment = data.payment
    turn.place = offer, group, terms
    if payment is None and terms.hold_s > 0:
        _hold(turn, group, terms, data, payable_minor)
        turn.place = None
        return d.SeatHeld
    turn.emit(
        d.SeatConfirmed(
            group=group.group,
            order=data.order,
            member=data.member,
            offer=data.offer,
            quantity=data.quantity,
            sku=data.sku,
            payable_minor=payable_minor,
            currency=terms.currency,
            payment=None if payment is None else payment.payment,
            publisher=turn.publisher,
        )
    )
    turn.place = None
    if group.confirmed >= terms.max_size:
        closing.fill(turn, group, "target")
    return d.SeatConfirmed


def _same_again(turn: Turn, known: Order, data: OrderPosted | OrderJoined) -> d.Duplicate:
    """Return the duplicate that a known order's repetition is. Raises Refusal when it asks for something else."""
    state = turn.state
    group = state.groups[known.group]
    same = (
        known.publisher == turn.publisher
        and known.member == data.member
        and group.offer == data.offer
        and known.sku == data.sku
        and known.quantity == data.quantity
        and group.pool == data.pool
        and known.strangers == data.strangers
        and known.merge == data.merge
        and (data.payment is None or _same_payment(state, known, data.payment))
    )
    if not same:
        raise Refusal(Reason.ORDER_EXISTS)
    original = "seat.confirmed" if known.prepaid else "seat.held"
    return d.Duplicate(of=entry_id(*unpack_entry(known.entry)), original=original, group=known.group)


def _same_payment(state: State, known: Order, payment: Payment) -> bool:
    return (
        known.payment == payment.payment
        and known.payable_minor == payment.amount_minor
        and s.terms_of(state, state.groups[known.group]).currency == payment.currency
    )


def open_offer(turn: Turn, offer_id: str, *, opens: bool) -> Offer:
    """Return the offer if it takes orders now; `opens` tells whether a group may be opened for it.

    Raises Refusal: offer_unknown, offer_withdrawn, offer_not_open_yet, offer_closed.
    """
    offer = turn.state.offers.get(offer_id)
    if offer is None:
        raise Refusal(Reason.OFFER_UNKNOWN)
    if opens and offer.withdrawn:
        raise Refusal(Reason.OFFER_WITHDRAWN)
    terms = offer.terms
    if terms.opens_at_ns is not None and turn.now < terms.opens_at_ns:
        raise Refusal(Reason.OFFER_NOT_OPEN_YET)
    if terms.closes_at_ns is not None and turn.now >= terms.closes_at_ns:
        raise Refusal(Reason.OFFER_CLOSED)
    return offer


def check_variant(offer: Offer, sku: str | None, quantity: int) -> None:
    """Raise Refusal unless the offer has the variant, a group can hold the quantity, and the stock lasts."""
    if sku is not None or offer.stock is not None:
        check_sku(offer, sku)
    terms = offer.terms
    if terms.count == "units" and quantity > terms.max_size:
        raise Refusal(Reason.QUANTITY_TOO_LARGE)
    if offer.stock is not None and offer.stock[sku or s.ONE_STOCK] < quantity:
        raise Refusal(Reason.OUT_OF_STOCK)


def check_sku(offer: Offer, sku: str | None) -> None:
    """Raise Refusal unless the order names a variant of the offer where there are any, and only there."""
    has_variants = offer.stock is not None and s.ONE_STOCK not in offer.stock
    if has_variants and sku is None:
        raise Refusal(Reason.SKU_REQUIRED)
    if sku is not None and (not has_variants or offer.stock is None or sku not in offer.stock):
        raise Refusal(Reason.SKU_UNKNOWN)


def check_limits(offer: Offer, terms: Terms, member: str, more: int) -> None:
    """Raise Refusal when `member` would hold more of the offer than `terms` allow."""
    if terms.limit_at_once is None and terms.limit_total is None:
        return
    assert offer.weights is not None
    held = offer.weights.get(member, 0)
    in_open, in_filled = held & (1 << s.WEIGHT_BITS) - 1, held >> s.WEIGHT_BITS
    if terms.limit_at_once is not None and in_open + more > terms.limit_at_once:
        raise Refusal(Reason.LIMIT_AT_ONCE)
    if terms.limit_total is not None and in_open + in_filled + more > terms.limit_total:
        raise Refusal(Reason.LIMIT_TOTAL)


def _group_for(turn: Turn, offer: Offer, data: OrderPosted | OrderJoined) -> Group | None:
    """Return the open group that the order gets into, or None when one has to be opened for it."""
    if isinstance(data, OrderJoined):
        if data.group is not None:
            return _named_group(turn, offer, data, data.group)
    elif data.lead == "always":
        return None
    if not data.strangers:
        return None
    return matching.choose(turn.state, turn.tree, offer, data.pool, data.member, data.quantity)


def _named_group(turn: Turn, offer: Offer, data: OrderJoined, group_id: str) -> Group:
    group = turn.state.groups.get(group_id)
    if group is None:
        raise Refusal(Reason.GROUP_UNKNOWN)
    if group.offer != offer.offer:
        raise Refusal(Reason.GROUP_OF_OTHER_OFFER)
    if group.status != s.OPEN:
        raise Refusal(Reason.GROUP_OVER)
    if group.pool != data.pool:
        raise Refusal(Reason.WRONG_POOL)
    if sits_in(turn.state, turn.tree, group, data.member):
        raise Refusal(Reason.ALREADY_IN_GROUP)
    if keeps_apart(turn.state, group, data.member):
        raise Refusal(Reason.BLOCKED)
    terms = s.terms_of(turn.state, group)
    if group.taken + terms.weight(data.quantity) > terms.max_size:
        raise Refusal(Reason.GROUP_FULL)
    return group


def _check_payment(turn: Turn, terms: Terms, order_id: str, payment: Payment | None, payable_minor: int) -> None:
    if payment is None:
        return
    if is_owed(turn, order_id, payment.payment):
        raise Refusal(Reason.PAYMENT_KNOWN)
    if not terms.is_paid:
        raise Refusal(Reason.NO_PAYMENT_DUE)
    if payment.currency != terms.currency:
        raise Refusal(Reason.WRONG_CURRENCY)
    if payment.amount_minor != payable_minor:
        raise Refusal(Reason.WRONG_AMOUNT)


def open_group(turn: Turn, offer: Offer, order_id: str, member: str, pool: str | None) -> Group:
    """Open a group of `offer` that `order_id` leads."""
    terms = offer.terms
    deadline = turn.now + terms.group_ttl_s * NS_PER_S
    if terms.closes_at_ns is not None:
        deadline = min(deadline, terms.closes_at_ns)
    group_id = f"g{turn.seq}-{turn.index}"
    turn.emit(
        d.GroupOpened(
            group=group_id,
            offer=offer.offer,
            edition=offer.edition,
            order=order_id,
            member=member,
            deadline=deadline,
            pool=pool,
            seed_sha256=None if terms.winners is None else seed_commitment(turn.tree.plays.group_seed(group_id)),
        )
    )
    return turn.state.groups[group_id]


def _hold(turn: Turn, group: Group, terms: Terms, data: OrderPosted | OrderJoined, payable_minor: Handed) -> None:
    turn.emit(
        d.SeatHeld(
            group=group.group,
            order=data.order,
            member=data.member,
            offer=data.offer,
            quantity=data.quantity,
            sku=data.sku,
            payable_minor=payable_minor,
            currency=terms.currency,
            hold_until=min(turn.now + terms.hold_s * NS_PER_S, group.deadline),
            publisher=turn.publisher,
        )
    )


def fill_if_complete(turn: Turn, group: Group, terms: Terms) -> None:
    """Fill `group` if its confirmed seats are all that it can have."""
    if group.confirmed >= terms.max_size:
        closing.fill(turn, group, "target")
