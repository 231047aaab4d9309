"""Events about offers, orders, groups and money."""

from typing import TYPE_CHECKING, Any, Final

from tests import builders as make
from tests.simulation.workload.town import OFFERS, Event, member, offer, recent

if TYPE_CHECKING:
    from tests.simulation.workload.story import Story

PRICE_MINOR: Final = 8_000
_WRONG: Final = (7_000, 16_000, 1)


def listings(story: "Story") -> list[Event]:
    """Return the offers that a shop lists."""
    return [_listing(story, f"{story.publisher}-{i}") for i in range(OFFERS)]


def _listing(story: "Story", name: str) -> Event:
    chance = story.chance
    size = chance.choice((2, 2, 3, 5))
    fields: dict[str, Any] = {
        "size": size,
        "group_ttl_s": chance.choice((5, 20, 60, 600)),
        "hold_s": chance.choice((0, 3, 30, 300)),
        "grace_s": chance.choice((0, 5)),
        "limit_total": chance.choice((None, None, 2)),
        "limit_at_once": chance.choice((None, None, None, 1)),
        "merge": chance.choice(("allowed", "never")),
        "match": chance.choice(("earliest_deadline", "nearest_full")),
        "late_payment": chance.choice(("refund", "rejoin")),
        "leader_leaves": chance.choice(("promote", "dissolve", "forbid")),
        "withdraw": chance.choice((None, None, "until_paid", "never")),
        "leader_minor": chance.choice((None, None, 7_000)),
        "fill_if_at_least": chance.choice((None, None, size - 1)),
        "winners": chance.choice((None,) * 6 + (1,)),
        "count": chance.choice((None, None, None, "units")),
        "labels": chance.choice((None, ["tea"])),
    }
    if chance.random() < 0.2:
        fields |= {"close": "at_deadline", "tiers": [{"size": 4, "price_minor": 6_000}]}
    stocked = chance.random()
    if stocked < 0.3:
        fields["stock"] = chance.choice((4, 1_000))
    elif stocked < 0.4:
        fields["skus"] = {"red": 3, "blue": 0}
    return make.offer(name, **fields)


def posted(story: "Story") -> Event:
    """A new order that opens a group, or takes a seat where there is one."""
    chance = story.chance
    order, name, kind = story.name("o"), offer(chance), chance.random()
    if kind < 0.25 and story.town.groups:
        group, of = recent(chance, story.town.groups, ("g9-9", name))
        name = of if chance.random() < 0.95 else name
        return make.joined(order, member(chance), group=group, **_fields(story, name, leads=False))
    if kind < 0.45:
        return make.joined(order, member(chance), **_fields(story, name, leads=False))
    lead = chance.choice(("always", "if_needed", "if_needed"))
    return make.posted(order, member(chance), lead=lead, **_fields(story, name, leads=True))


def _fields(story: "Story", name: str, *, leads: bool) -> dict[str, Any]:
    chance, terms = story.chance, story.town.offers.get(name, {})
    fields: dict[str, Any] = {"offer": name, "merge": chance.random() < 0.7}
    if chance.random() < 0.1:
        fields["quantity"] = 2
    if chance.random() < (0.6 if terms.get("hold_s") else 0.05):
        amount_minor = _amount(story, terms, leads=leads) * fields.get("quantity", 1)
        fields["payment"] = make.payment(amount_minor, payment=_payment(story))
    if chance.random() < 0.05:
        fields["pool"] = "hangzhou"
    if chance.random() < 0.05:
        fields["strangers"] = False
    if chance.random() < (0.9 if "skus" in terms else 0.03):
        fields["sku"] = chance.choice(("red", "red", "blue", "green"))
    if chance.random() < 0.1:
        fields["signals"] = make.signals(device=f"d{chance.randrange(2)}")
    return fields


def _amount(story: "Story", terms: Event, *, leads: bool) -> int:
    """Return what the seat probably costs, now and then something else."""
    if story.chance.random() < 0.1:
        return story.chance.choice(_WRONG)
    return int(terms.get("leader_minor", PRICE_MINOR) if leads else PRICE_MINOR)


def _payment(story: "Story") -> str:
    """Return a fresh payment's id, now and then one that is known for another order."""
    if story.town.payments and story.chance.random() < 0.05 and not story.is_forgetful:
        return str(story.chance.choice(story.town.payments)[1])
    return story.name("p")


def posted_again(story: "Story") -> Event:
    """An order that is known, under another event's id: as it was, or with other content."""
    chance = story.chance
    if story.is_forgetful or not story.town.orders:
        return posted(story)
    data = dict(story.town.orders[recent(chance, list(story.town.orders), next(iter(story.town.orders)))])
    if chance.random() < 0.5:
        data["member"] = member(chance)
    if chance.random() < 0.2:
        data["payment"] = make.payment(PRICE_MINOR, payment=_payment(story))
    kind = "order.joined" if "group" in data else "order.posted"
    return make.event(kind, **{name: value for name, value in data.items() if name != "lead"})


def paid(story: "Story") -> Event:
    """Money for an order, sometimes the wrong sum, sometimes for an order that nobody knows (yet)."""
    chance = story.chance
    if not story.town.orders:
        return posted(story)
    order = recent(chance, list(story.town.orders), story.name("o"))
    data = story.town.orders.get(order, {})
    terms = story.town.offers.get(data.get("offer", ""), {})
    amount_minor = _amount(story, terms, leads="lead" in data) * data.get("quantity", 1)
    currency = "CNY" if chance.random() < 0.97 else "USD"
    return make.paid(order, amount_minor, payment=story.name("p"), currency=currency)


def paid_again(story: "Story") -> Event:
    """The same money reported once more, under another event's id, not always with the same sum."""
    chance = story.chance
    if story.is_forgetful or not story.town.payments:
        return paid(story)
    order, payment = chance.choice(story.town.payments[-30:])
    return make.paid(order, chance.choice((PRICE_MINOR, PRICE_MINOR, 7_000)), payment=payment)


def left(story: "Story") -> Event:
    """An order is withdrawn, cancelled, released or changed."""
    chance = story.chance
    if not story.town.orders:
        return posted(story)
    order = recent(chance, list(story.town.orders), "o-nobody")
    if chance.random() < 0.2:
        fields = chance.choice(({"quantity": 2}, {"merge": True}, {"strangers": False}, {"sku": "blue"}))
        return make.order_changed(order, **fields)
    return chance.choice((make.withdrawn, make.withdrawn, make.cancelled, make.released))(order)


def refund(story: "Story") -> Event:
    """The payment backend answers."""
    chance = story.chance
    name = recent(chance, story.town.refunds, "r-" + "0" * 32)
    return (make.refund_settled if chance.random() < 0.7 else make.refund_failed)(name)


def group_act(story: "Story") -> Event:
    """Customer service ends a group."""
    name, _ = recent(story.chance, story.town.groups, ("g9-9", ""))
    return story.chance.choice((make.dissolved, make.completed))(name)


def offer_act(story: "Story") -> Event:
    """An offer is changed, stocked, withdrawn, or listed a second time."""
    chance = story.chance
    kind = chance.random()
    name = offer(chance) if chance.random() < 0.95 else "o-none"
    if kind < 0.5:
        return make.offer_stocked(chance.choice((-3, -1, 1, 5)), name, sku=chance.choice((None, None, "red", "green")))
    if kind < 0.8:
        fields = chance.choice(({"hold_s": 3}, {"group_ttl_s": 30}, {"size": 3}, {"leader_minor": 7_500}))
        return make.offer_changed(name, **fields)
    if kind < 0.9:
        return _listing(story, name)
    return make.offer_withdrawn(name, open_groups=chance.choice(("run_on", "dissolve")))


def junk(story: "Story") -> Event:
    """What cannot be read, or must not be kept."""
    chance = story.chance
    return chance.choice(
        (
            make.posted("o 1", member(chance)),
            make.posted(story.name("o"), "13812345678"),
            make.event("order.flown", order="o-1"),
            make.event("order.posted", order=story.name("o")),
            make.event("assist.given", play="p", assist="a", member="m-1", signals={"device": "10.0.0.1"}),
        )
    )
