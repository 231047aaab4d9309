"""Leaving, changing and customer service in the naive model: RULES.md section 6."""

from typing import Any

from tests.model.naive_groups import dissolve, fill, leave, seat_released
from tests.model.naive_offers import Refusal
from tests.model.naive_orders import check_limits, check_sku, seat
from tests.model.naive_world import Fields, World, payable, weight

# Leaving


def leave_order(world: World, data: Any, cause: str) -> list[Fields]:
    """Decide `order.withdrawn`, `order.cancelled` and `order.released`. Raises Refusal."""
    order = world.order(data.order)
    if order is None:
        raise Refusal("order_unknown")
    act = {}
    if cause == "released":
        act = {"actor": data.actor, "reason": data.reason, "ticket": data.ticket}
    if order["state"] == "filled" and cause != "withdrawn":
        return leave_filled(world, order, cause, act)
    if order["state"] not in ("held", "confirmed"):
        raise Refusal("order_over")
    group = world.must_group(order["group"])
    if cause != "released":
        check_withdrawal(group, order)
    release, ending = leave(world, group, order, cause, **act)
    refunds = []
    if order["payment"] is not None:
        refunds.append(world.owe(order["id"], order["payment"], cause, order))
    return [release, *refunds, *ending]


def check_withdrawal(group: Fields, order: Fields) -> None:
    """Refuse a member's leaving where the rules forbid it."""
    policy = group["rules"]["withdraw"]
    if policy == "never" or (policy == "until_paid" and order["payment"] is not None):
        raise Refusal("withdrawal_not_allowed")
    leads = group["leader"] == order["id"] and len(group["seats"]) > 1
    if leads and group["rules"]["leader_leaves"] == "forbid":
        raise Refusal("leader_may_not_leave")


def leave_filled(world: World, order: Fields, cause: str, act: Fields) -> list[Fields]:
    """Take an order out of a filled group, which stays filled."""
    group = world.must_group(order["group"])
    order["state"], order["ended"] = "over", cause
    world.move_stock(order, order["quantity"])
    decided = [seat_released(order, group, cause, **act)]
    if order["payment"] is not None:
        rest = {**order["payment"], "amount_minor": order["price_minor"]}
        decided.append(world.owe(order["id"], rest, cause, order))
    return decided


# Changing


def change_order(world: World, data: Any) -> list[Fields]:
    """Decide `order.changed`. Raises Refusal."""
    order = world.order(data.order)
    if order is None:
        raise Refusal("order_unknown")
    if order["state"] not in ("held", "confirmed"):
        raise Refusal("order_over")
    group = world.must_group(order["group"])
    names = ("sku", "quantity", "strangers", "merge")
    asked = {name: getattr(data, name) for name in names if getattr(data, name) is not None}
    changes = {name: value for name, value in asked.items() if value != order[name]}
    if not changes:
        raise Refusal("nothing_to_change")
    changed = {**order, **changes}
    offer = world.offer(order["offer"])
    assert offer is not None
    check_sku(offer, changes.get("sku"))
    if "quantity" in changes:
        check_quantity(world, group, order, changed)
    check_stock_of_change(world, offer, order, changed)
    if weight(group["rules"], changed) > weight(group["rules"], order):
        check_limits(world, group["rules"], changed)
    world.move_stock(order, order["quantity"])
    order.update(changes)
    world.move_stock(order, -order["quantity"])
    if order["state"] == "held":
        order["payable"] = payable(group["rules"], order["opened_its_group"], order["quantity"])
    return [seat(group, order)]


def check_quantity(world: World, group: Fields, order: Fields, changed: Fields) -> None:
    """Refuse a new quantity that was paid for otherwise or does not fit."""
    if order["state"] == "confirmed":
        raise Refusal("already_paid")
    rules = group["rules"]
    if weight(rules, changed) > rules["max_size"]:
        raise Refusal("quantity_too_large")
    if world.taken(group) - weight(rules, order) + weight(rules, changed) > rules["max_size"]:
        raise Refusal("group_full")


def check_stock_of_change(world: World, offer: Fields, order: Fields, changed: Fields) -> None:
    """Refuse a change that the stock cannot bear, what the order holds being given back first."""
    left = world.stock_left(offer, changed["sku"])
    if left is None:
        return
    if changed["sku"] == order["sku"]:
        left += order["quantity"]
    if left < changed["quantity"]:
        raise Refusal("out_of_stock")


# Customer service


def act_on_group(world: World, data: Any, kind: str) -> list[Fields]:
    """Decide `group.dissolved` and `group.completed`. Raises Refusal."""
    group = world.group(data.group)
    if group is None:
        raise Refusal("group_unknown")
    if group["state"] != "open":
        raise Refusal("group_over")
    act = {"actor": data.actor, "reason": data.reason, "ticket": data.ticket}
    if kind == "dissolved":
        return dissolve(world, group, "customer_service", **act)
    if not world.confirmed(group):
        raise Refusal("nothing_confirmed")
    return fill(world, group, "completed", **act)
