"""Market configuration, offers, refunds and members in the naive model: RULES.md sections 2, 3, 8 and parts of 6."""

from typing import Any, NamedTuple

from events.limits import SKUS_MAX, STOCK_MAX
from events.times import parse_time_ns
from tests.model import naive_draw
from tests.model.naive_world import Fields, World, decision

KNOWN_RULE_VERSIONS = (1,)
TERMS = (
    "currency",
    "solo_minor",
    "group_minor",
    "leader_minor",
    "tiers",
    "size",
    "max_size",
    "count",
    "group_ttl_s",
    "opens_at",
    "closes_at",
    "hold_s",
    "grace_s",
    "limit_at_once",
    "limit_total",
    "strangers",
    "leader_leaves",
    "fill_if_at_least",
    "close",
    "match",
    "merge",
    "withdraw",
    "late_payment",
    "labels",
    "winners",
)
FIXED_DEFAULTS: Fields = {
    "tiers": [],
    "count": "members",
    "group_ttl_s": 86_400,
    "hold_s": 900,
    "grace_s": 0,
    "strangers": "allowed",
    "leader_leaves": "promote",
    "close": "at_target",
    "match": "earliest_deadline",
    "merge": "never",
    "withdraw": "until_filled",
    "late_payment": "refund",
    "labels": [],
}


class Refusal(Exception):
    """A rule says no; `refunds` are owed all the same."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Timezones(NamedTuple):
    """Which time zones are known, and the version of the data that says so."""

    names: frozenset[str]
    version: str


# Market


def configure(world: World, data: Any, timezones: Timezones) -> list[Fields]:
    """Decide `market.configured`."""
    if data.timezone not in timezones.names:
        raise Refusal("timezone_unknown")
    if world.config is not None and data.clock != world.config.clock:
        raise Refusal("clock_fixed")
    if world.config is not None and data.timezone != world.config.timezone:
        raise Refusal("timezone_fixed")
    if data.rule_version not in KNOWN_RULE_VERSIONS:
        raise Refusal("rule_version_unknown")
    world.config = data
    return [decision("market.set", rule_version=data.rule_version, tzdata=timezones.version)]


# Offers


def explicit_terms(data: Any) -> Fields:
    """Return the terms that an event gives."""
    given = {name: getattr(data, name) for name in TERMS if getattr(data, name) is not None}
    if "tiers" in given:
        given["tiers"] = [(tier.size, tier.price_minor) for tier in given["tiers"]]
    return given


def resolve(world: World, explicit: Fields) -> Fields:
    """Return the rules that follow from explicit terms, the market's defaults and the fixed ones. Raises Refusal."""
    rules: Fields = {**FIXED_DEFAULTS, **explicit_terms(world.config.offer_defaults), **explicit}
    if any(name not in rules for name in ("size", "group_minor", "currency")):
        raise Refusal("offer_incomplete")
    rules.setdefault("solo_minor", rules["group_minor"])
    rules.setdefault("max_size", rules["size"] if rules["close"] == "at_target" else 1_000)
    for name in ("opens_at", "closes_at"):
        rules[name] = parse_time_ns(rules[name]) if name in rules else None
    for name in TERMS:
        rules.setdefault(name, None)
    if inconsistent(rules):
        raise Refusal("offer_inconsistent")
    if rules["winners"] is not None and world.config.secret_commitment != naive_draw.secret_commitment():
        raise Refusal("draws_not_committed")
    return rules


def inconsistent(rules: Fields) -> bool:
    """Tell whether two rules contradict each other."""
    opens_at, closes_at = rules["opens_at"], rules["closes_at"]
    if opens_at is not None and closes_at is not None and closes_at <= opens_at:
        return True
    if rules["max_size"] < rules["size"]:
        return True
    if rules["fill_if_at_least"] is not None and rules["fill_if_at_least"] > rules["size"]:
        return True
    if rules["close"] == "at_target" and rules["max_size"] != rules["size"]:
        return True
    if rules["winners"] is not None and rules["winners"] >= rules["size"]:
        return True
    smaller, dearer = 0, rules["group_minor"]
    for size, price in rules["tiers"]:
        if size <= smaller or price >= dearer or size > rules["max_size"]:
            return True
        smaller, dearer = size, price
    return False


def listed(offer: Fields) -> list[Fields]:
    """Return what is told of an offer."""
    stock = None if offer["stock"] is None else dict(offer["stock"])
    return [decision("offer.listed", offer=offer["id"], edition=offer["edition"], status=offer["status"], stock=stock)]


def publish_offer(world: World, data: Any) -> list[Fields]:
    """Decide `offer.published`."""
    if world.offer(data.offer) is not None:
        raise Refusal("offer_exists")
    if len(world.offers) >= world.config.offer_capacity:
        raise Refusal("capacity")
    explicit = explicit_terms(data)
    rules = resolve(world, explicit)
    if data.stock is not None and data.skus is not None:
        raise Refusal("offer_inconsistent")
    stock = {"": data.stock} if data.stock is not None else data.skus
    offer = {
        "id": data.offer,
        "explicit": explicit,
        "rules": rules,
        "edition": 1,
        "status": "open",
        "stock": None if stock is None else dict(stock),
        "variants": data.skus is not None,
    }
    world.offers.append(offer)
    return listed(offer)


def known_offer(world: World, offer_id: str, standing: bool) -> Fields:
    """Return an offer, which must not be withdrawn if it has to be `standing`. Raises Refusal."""
    offer = world.offer(offer_id)
    if offer is None:
        raise Refusal("offer_unknown")
    if standing and offer["status"] == "withdrawn":
        raise Refusal("offer_withdrawn")
    return offer


def change_offer(world: World, data: Any) -> list[Fields]:
    """Decide `offer.changed`."""
    offer = known_offer(world, data.offer, standing=True)
    explicit = {**offer["explicit"], **explicit_terms(data)}
    offer["rules"] = resolve(world, explicit)
    offer["explicit"] = explicit
    offer["edition"] += 1
    return listed(offer)


def stock_offer(world: World, data: Any) -> list[Fields]:
    """Decide `offer.stocked`."""
    offer = known_offer(world, data.offer, standing=False)
    if offer["variants"] and data.sku is None:
        raise Refusal("sku_required")
    if not offer["variants"] and (data.sku is not None or offer["stock"] is None):
        raise Refusal("stock_untracked")
    key = data.sku or ""
    left = offer["stock"].get(key, 0) + data.delta
    if left < 0:
        raise Refusal("stock_negative")
    if left > STOCK_MAX or len({*offer["stock"], key}) > SKUS_MAX:
        raise Refusal("capacity")
    offer["stock"][key] = left
    return listed(offer)


def withdraw_offer(world: World, data: Any) -> list[Fields]:
    """Decide `offer.withdrawn`; groups that it dissolves are due work."""
    offer = known_offer(world, data.offer, standing=True)
    offer["status"] = "withdrawn"
    if data.open_groups == "dissolve":
        world.to_dissolve += [
            group["id"] for group in world.groups if group["state"] == "open" and group["offer"] == offer["id"]
        ]
    return listed(offer)


# Refunds and members


def close_refund(world: World, data: Any, status: str) -> list[Fields]:
    """Decide `refund.settled` and `refund.failed`."""
    refund = world.refund(data.refund)
    if refund is None:
        raise Refusal("refund_unknown")
    if refund["status"] == "settled":
        raise Refusal("refund_settled")
    refund["status"] = status
    if status == "settled":
        world.settled_refunds.append((world.now, refund["id"]))
    fields = {name: refund[name] for name in ("order", "amount_minor", "currency", "publisher", "member")}
    return [decision("refund.closed", refund=refund["id"], status=status, **fields)]


def block(world: World, data: Any) -> list[Fields]:
    """Decide `member.blocked`."""
    if data.member == data.other:
        raise Refusal("self_block")
    pair = (data.member, data.other)
    own = [known for known in world.blocks if known[0] == data.member]
    if not data.lifted and pair not in own and len(own) >= 1_000:
        raise Refusal("capacity")
    world.blocks = [known for known in world.blocks if known != pair]
    if not data.lifted:
        world.blocks.append(pair)
    return [decision("member.noted", member=data.member)]
