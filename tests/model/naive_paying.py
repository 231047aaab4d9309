"""Paying and rejoining in the naive model: RULES.md section 6."""

from typing import Any

from tests.model.naive_groups import choose_group, fill, fills_at_once, fits, leave, seats_blocked, seats_member
from tests.model.naive_offers import Refusal
from tests.model.naive_orders import check_limits, check_offer, check_variant, seat, take_seat
from tests.model.naive_world import Fields, World, fields_of, payable, refund_id


def pay(world: World, data: Any, publisher: str) -> list[Fields]:
    """Decide `order.paid`. Raises Refusal."""
    payment = fields_of(data)
    exists = world.refund(refund_id(data.order, data.payment, "whole")) is not None
    order = world.order(data.order)
    if order is None and exists:
        raise Refusal("payment_known")
    if order is None:
        return [world.owe(data.order, payment, "unknown_order", {"publisher": publisher})]
    if order["payment"] is not None and order["payment"]["payment"] == data.payment:
        raise Refusal("payment_known")
    if exists:
        raise Refusal("payment_known")
    rules = world.must_group(order["group"])["rules"]
    cause = None
    if order["payment"] is not None:
        cause = "second_payment"
    elif rules["hold_s"] == 0:
        cause = "no_payment_due"
    elif data.currency != rules["currency"]:
        cause = "wrong_currency"
    elif data.amount_minor != order["payable"]:
        cause = "wrong_amount"
    if cause is not None:
        return [world.owe(order["id"], payment, cause, order)]
    if order["state"] == "held":
        return pay_held(world, order, payment)
    return pay_late(world, order, payment, rules)


def pay_held(world: World, order: Fields, payment: Fields) -> list[Fields]:
    """Confirm a held seat, or give the money back if the hold has ended and the rules say so."""
    group = world.must_group(order["group"])
    if world.now < order["hold_until"] or group["rules"]["late_payment"] == "rejoin":
        order["state"], order["payment"] = "confirmed", payment
        filled = fills_at_once(world, group)
        return [seat(group, order), *(fill(world, group, "target") if filled else [])]
    refund = world.owe(order["id"], payment, "late_payment", order)
    release, ending = leave(world, group, order, "late_payment")
    return [refund, release, *ending]


def pay_late(world: World, order: Fields, payment: Fields, rules: Fields) -> list[Fields]:
    """Seat an order that was paid after it ended, or give the money back."""
    if order["ended"] in ("hold_ended", "unpaid") and rules["late_payment"] == "rejoin":
        try:
            return rejoin(world, order, payment)
        except Refusal:
            pass
    return [world.owe(order["id"], payment, "late_payment", order)]


def rejoin(world: World, order: Fields, payment: Fields) -> list[Fields]:
    """Take a new seat for an ended order that has now been paid. Raises Refusal."""
    offer = check_offer(world, order, may_open=False)
    check_variant(world, offer, order)
    old = world.must_group(order["group"])
    group = old if may_return(world, old, order) else choose_group(world, offer, order)
    if group is None and offer["status"] == "withdrawn":
        raise Refusal("offer_withdrawn")
    rules = offer["rules"] if group is None else group["rules"]
    check_limits(world, rules, order)
    if payment["currency"] != rules["currency"]:
        raise Refusal("wrong_currency")
    if payment["amount_minor"] != payable(rules, group is None, order["quantity"]):
        raise Refusal("wrong_amount")
    return take_seat(world, offer, group, order, payment)


def may_return(world: World, group: Fields, order: Fields) -> bool:
    """Tell whether an order may take a seat in its old group again."""
    if group["state"] != "open" or not fits(world, group, order):
        return False
    member = order["member"]
    return not seats_member(world, group, member) and not seats_blocked(world, group, member)
