"""Taking a seat in the naive model: RULES.md section 4."""

from typing import Any

from events.times import NS_PER_S
from tests.model import naive_draw
from tests.model.naive_groups import (
    choose_group,
    fill,
    fills_at_once,
    fits,
    seats_blocked,
    seats_member,
)
from tests.model.naive_offers import Refusal
from tests.model.naive_world import Fields, World, decision, fields_of, payable, refund_id, weight

SAME = ("member", "offer", "sku", "quantity", "pool", "strangers", "merge")


# Taking a seat


def enter(world: World, data: Any, kind: str, publisher: str) -> list[Fields]:
    """Decide `order.posted` and `order.joined`. Raises Refusal."""
    known = world.order(data.order)
    if known is not None:
        return [same_order(known, data, publisher)]
    if len(world.orders) >= world.config.order_capacity:
        raise Refusal("capacity")
    order = {name: getattr(data, name) for name in SAME}
    order = {**order, "id": data.order, "publisher": publisher, "payment": None}
    offer = check_offer(world, order, may_open=kind == "posted")
    check_variant(world, offer, order)
    group: Fields | None
    if kind == "joined":
        group = group_to_join(world, data.group, offer, order)
    else:
        group = group_to_post_in(world, data.lead, offer, order)
    rules = offer["rules"] if group is None else group["rules"]
    check_limits(world, rules, order)
    price = payable(rules, group is None, order["quantity"])
    payment = None if data.payment is None else fields_of(data.payment)
    if payment is not None:
        check_payment(world, order, payment, rules, price)
    world.orders.append(order)
    return take_seat(world, offer, group, order, payment)


def same_order(known: Fields, data: Any, publisher: str) -> Fields:
    """Return the duplicate of a known order, or raise Refusal."""
    same = known["publisher"] == publisher and all(known[name] == getattr(data, name) for name in SAME)
    if same and data.payment is not None:
        theirs = {**(known["payment"] or {}), "amount_minor": known["payable"]}
        same = known["payment"] is not None and fields_of(data.payment) == theirs
    if not same:
        raise Refusal("order_exists")
    return decision("duplicate", of=known["made_by"], original=known["made_kind"], group=known["group"])


def check_offer(world: World, order: Fields, may_open: bool) -> Fields:
    """Return the order's offer if it is open to orders now. `may_open` is false for who only joins."""
    offer = world.offer(order["offer"])
    if offer is None:
        raise Refusal("offer_unknown")
    if offer["status"] == "withdrawn" and may_open:
        raise Refusal("offer_withdrawn")
    opens_at, closes_at = offer["rules"]["opens_at"], offer["rules"]["closes_at"]
    if opens_at is not None and world.now < opens_at:
        raise Refusal("offer_not_open_yet")
    if closes_at is not None and world.now >= closes_at:
        raise Refusal("offer_closed")
    return offer


def check_variant(world: World, offer: Fields, order: Fields) -> None:
    """Refuse a variant or quantity that cannot be had."""
    if offer["variants"] and order["sku"] is None:
        raise Refusal("sku_required")
    check_sku(offer, order["sku"])
    if offer["rules"]["count"] == "units" and order["quantity"] > offer["rules"]["max_size"]:
        raise Refusal("quantity_too_large")
    left = world.stock_left(offer, order["sku"])
    if left is not None and left < order["quantity"]:
        raise Refusal("out_of_stock")


def check_sku(offer: Fields, sku: str | None) -> None:
    """Refuse a variant that the offer does not have."""
    if sku is not None and (not offer["variants"] or sku not in offer["stock"]):
        raise Refusal("sku_unknown")


def group_to_join(world: World, named: str | None, offer: Fields, order: Fields) -> Fields:
    """Return the group that a joining order gets into. Raises Refusal."""
    if named is None:
        chosen = choose_group(world, offer, order)
        if chosen is None:
            raise Refusal("offer_withdrawn" if offer["status"] == "withdrawn" else "no_open_group")
        return chosen
    group = world.group(named)
    if group is None:
        raise Refusal("group_unknown")
    if group["offer"] != offer["id"]:
        raise Refusal("group_of_other_offer")
    if group["state"] != "open":
        raise Refusal("group_over")
    if group["pool"] != order["pool"]:
        raise Refusal("wrong_pool")
    if seats_member(world, group, order["member"]):
        raise Refusal("already_in_group")
    if seats_blocked(world, group, order["member"]):
        raise Refusal("blocked")
    if not fits(world, group, order):
        raise Refusal("group_full")
    return group


def group_to_post_in(world: World, lead: str, offer: Fields, order: Fields) -> Fields | None:
    """Return the open group that a posted order goes into, or None when it opens one."""
    return choose_group(world, offer, order) if lead == "if_needed" else None


def check_limits(world: World, rules: Fields, order: Fields) -> None:
    """Refuse what exceeds the member's limits; the order itself, if seated already, is not counted twice."""
    at_once = total = weight(rules, order)
    for other in world.orders:
        if other["id"] == order["id"] or (other["member"], other["offer"]) != (order["member"], order["offer"]):
            continue
        if other["state"] in ("held", "confirmed"):
            at_once += weight(world.must_group(other["group"])["rules"], other)
        if other["state"] in ("held", "confirmed", "filled"):
            total += weight(world.must_group(other["group"])["rules"], other)
    if rules["limit_at_once"] is not None and at_once > rules["limit_at_once"]:
        raise Refusal("limit_at_once")
    if rules["limit_total"] is not None and total > rules["limit_total"]:
        raise Refusal("limit_total")


def check_payment(world: World, order: Fields, payment: Fields, rules: Fields, price: int) -> None:
    """Refuse a payment made beforehand that does not fit the place."""
    if world.refund(refund_id(order["id"], payment["payment"], "whole")) is not None:
        raise Refusal("payment_known")
    if rules["hold_s"] == 0:
        raise Refusal("no_payment_due")
    if payment["currency"] != rules["currency"]:
        raise Refusal("wrong_currency")
    if payment["amount_minor"] != price:
        raise Refusal("wrong_amount")


def take_seat(world: World, offer: Fields, group: Fields | None, order: Fields, payment: Fields | None) -> list[Fields]:
    """Seat an order in a group, or in one that it opens (None), held or confirmed; the group may fill."""
    decided = []
    order["opened_its_group"] = group is None
    if group is None:
        group = open_group(world, offer, order)
        decided.append(opened(group, order))
    rules = group["rules"]
    order["group"] = group["id"]
    order["payable"] = payable(rules, order["opened_its_group"], order["quantity"])
    order["payment"] = payment
    order["ended"] = None
    group["seats"].append(order["id"])
    world.move_stock(order, -order["quantity"])
    if payment is not None or rules["hold_s"] == 0:
        order["state"] = "confirmed"
    else:
        order["state"] = "held"
        order["hold_until"] = min(world.now + rules["hold_s"] * NS_PER_S, group["deadline"])
        world.add_timer(order["hold_until"] + rules["grace_s"] * NS_PER_S, "hold", order["id"])
    decided.append(seat(group, order))
    if "made_by" not in order:
        order["made_by"] = ".".join(map(str, world.position))
        order["made_kind"] = decided[-1]["kind"]
    return decided + (fill(world, group, "target") if fills_at_once(world, group) else [])


def open_group(world: World, offer: Fields, order: Fields) -> Fields:
    """Open a group under the offer's rules of now."""
    world.groups_opened += 1
    deadline = world.now + offer["rules"]["group_ttl_s"] * NS_PER_S
    if offer["rules"]["closes_at"] is not None:
        deadline = min(deadline, offer["rules"]["closes_at"])
    group = {
        "id": f"g{world.position[0]}-{world.position[1]}",
        "no": world.groups_opened,
        "offer": offer["id"],
        "edition": offer["edition"],
        "rules": dict(offer["rules"]),
        "pool": order["pool"],
        "deadline": deadline,
        "state": "open",
        "leader": order["id"],
        "seats": [],
    }
    world.groups.append(group)
    world.add_timer(deadline, "deadline", group["id"])
    return group


def opened(group: Fields, order: Fields) -> Fields:
    """Return the decision that a group is open."""
    return decision(
        "group.opened",
        group=group["id"],
        offer=group["offer"],
        edition=group["edition"],
        order=order["id"],
        member=order["member"],
        deadline=group["deadline"],
        pool=group["pool"],
        seed_sha256=naive_draw.seed_commitment(group["id"]) if group["rules"]["winners"] is not None else None,
    )


def seat(group: Fields, order: Fields) -> Fields:
    """Return the decision that states a seat as it is."""
    fields = {
        "group": group["id"],
        "order": order["id"],
        "member": order["member"],
        "offer": order["offer"],
        "quantity": order["quantity"],
        "sku": order["sku"],
        "payable_minor": order["payable"],
        "currency": group["rules"]["currency"],
        "publisher": order["publisher"],
    }
    if order["state"] == "held":
        return decision("seat.held", **fields, hold_until=order["hold_until"])
    payment = None if order["payment"] is None else order["payment"]["payment"]
    return decision("seat.confirmed", **fields, payment=payment)
