"""How groups end in the naive model: pages, fills, merging, expiry, dissolution, and who leads."""

from typing import Any

from events.limits import MATCH_GROUPS_LOOKED_AT, MERGE_CANDIDATES, MERGE_SEARCH_STEPS, SEATS_PER_PAGE
from tests.model import naive_draw
from tests.model.naive_world import Fields, World, decision, in_pages, price_by_size, weight


def tell_in_pages(world: World, kind: str, fields: Fields, told: list[tuple[Fields, list[Fields]]]) -> list[Fields]:
    """Return the first page of a closing and keep the later ones as due work.

    `told` holds, for each seat in order, its reference and the refunds that it causes.
    """
    pages = in_pages(told)
    decided = []
    for number, page in enumerate(pages, start=1):
        seats = [reference for reference, _ in page]
        head = decision(kind, **fields, page=number, pages=len(pages), seats=seats)
        decided.append([head, *(refund for _, refunds in page for refund in refunds)])
    world.pages += decided[1:]
    return decided[0]


def seat_reference(order: Fields, price_minor: int) -> Fields:
    """Return how a closing names a seat."""
    reference = {"order": order["id"], "member": order["member"], "publisher": order["publisher"]}
    if order["quantity"] != 1:
        reference["quantity"] = order["quantity"]
    if price_minor != 0:
        reference["price_minor"] = price_minor
    return reference


# Ending without being filled


def close_empty_handed(world: World, group: Fields, kind: str, fields: Fields) -> list[Fields]:
    """Expire or dissolve a group: stock returns, paid seats are refunded."""
    cause = "expired" if kind == "group.expired" else "dissolved"
    told = []
    for order in world.seats(group):
        world.move_stock(order, order["quantity"])
        refunds = []
        if order["payment"] is not None:
            refunds.append(world.owe(order["id"], order["payment"], cause, order))
        world.end_order(order, "over", "unpaid" if order["state"] == "held" else cause)
        told.append((seat_reference(order, 0), refunds))
    world.end_group(group, cause)
    return tell_in_pages(world, kind, {"group": group["id"], "offer": group["offer"], **fields}, told)


def expire(world: World, group: Fields) -> list[Fields]:
    """Let the deadline have come first."""
    missing = group["rules"]["size"] - world.confirmed_weight(group)
    return close_empty_handed(world, group, "group.expired", {"missing": missing})


def dissolve(world: World, group: Fields, cause: str, **act: Any) -> list[Fields]:
    """End a group for another cause than its deadline."""
    return close_empty_handed(world, group, "group.dissolved", {"cause": cause, **act})


# Filling


def fills_at_once(world: World, group: Fields) -> bool:
    """Tell whether a group has just reached what fills it before its deadline."""
    rules = group["rules"]
    target = rules["size"] if rules["close"] == "at_target" else rules["max_size"]
    return bool(world.confirmed_weight(group) >= target)


def fill(world: World, group: Fields, cause: str, **act: Any) -> list[Fields]:
    """Fill a group with its confirmed seats; held ones are released first."""
    releases = [release_unpaid(world, group, order) for order in world.held(group)]
    size = world.confirmed_weight(group)
    told = []
    drawn = None
    if group["rules"]["winners"] is not None:
        drawn = naive_draw.winners(group["id"], group["seats"], group["rules"]["winners"])
    for order in world.seats(group):
        if drawn is not None and order["id"] not in drawn:
            told.append(lose(world, order))
            continue
        price = final_price(group["rules"], order, size)
        refunds = []
        if order["payment"] is not None and order["payment"]["amount_minor"] > price:
            surplus = {**order["payment"], "amount_minor": order["payment"]["amount_minor"] - price}
            refunds.append(world.owe(order["id"], surplus, "price_by_size", order))
        order["price_minor"] = price
        world.end_order(order, "filled", "filled")
        won = {} if drawn is None else {"won": True}
        told.append(({**seat_reference(order, price), **won}, refunds))
    world.end_group(group, "filled")
    fields = {"group": group["id"], "offer": group["offer"], "cause": cause, "size": size, **act}
    if drawn is not None:
        fields["seed"] = naive_draw.seed(group["id"]).hex()
    return releases + tell_in_pages(world, "group.filled", fields, told)


def lose(world: World, order: Fields) -> tuple[Fields, list[Fields]]:
    """End the order of a filled group that was not drawn: its stock returns, what it paid is owed back."""
    world.move_stock(order, order["quantity"])
    refunds = [] if order["payment"] is None else [world.owe(order["id"], order["payment"], "not_drawn", order)]
    world.end_order(order, "over", "not_drawn")
    return {**seat_reference(order, 0), "won": False}, refunds


def release_unpaid(world: World, group: Fields, order: Fields) -> Fields:
    """End a held seat of a group that closes; nobody is promoted."""
    take_out(world, group, order, "hold_ended")
    return seat_released(order, group, "hold_ended")


def final_price(rules: Fields, order: Fields, size: int) -> int:
    """Return what a seat costs in the end, in a group that reached `size`; never more than was paid."""
    if rules["hold_s"] == 0:
        return 0
    unit: int = price_by_size(rules, size)
    if order["opened_its_group"] and rules["leader_minor"] is not None:
        unit = min(rules["leader_minor"], unit)
    paid: int = order["payment"]["amount_minor"]
    return min(int(order["quantity"]) * unit, paid)


# Leaving


def take_out(world: World, group: Fields, order: Fields, ended: str) -> None:
    """Free an order's seat: its stock returns, and it is over."""
    group["seats"].remove(order["id"])
    world.move_stock(order, order["quantity"])
    world.end_order(order, "over", ended)


def seat_released(order: Fields, group: Fields, cause: str, **more: Any) -> Fields:
    """Return the decision that a seat is free again."""
    return decision(
        "seat.released",
        group=group["id"],
        order=order["id"],
        member=order["member"],
        cause=cause,
        publisher=order["publisher"],
        **more,
    )


def leave(world: World, group: Fields, order: Fields, cause: str, **act: Any) -> tuple[Fields, list[Fields]]:
    """Take an order out of an open group; return its release, and how the group ends if it does."""
    was_leader = group["leader"] == order["id"]
    take_out(world, group, order, cause)
    if not group["seats"]:
        return seat_released(order, group, cause, **act), dissolve(world, group, "empty")
    if not was_leader:
        return seat_released(order, group, cause, **act), []
    if group["rules"]["leader_leaves"] == "dissolve":
        return seat_released(order, group, cause, **act), dissolve(world, group, "leader_left")
    group["leader"] = group["seats"][0]
    return seat_released(order, group, cause, promoted=group["leader"], **act), []


# Matching


def takes_strangers(world: World, group: Fields) -> bool:
    """Tell whether a group's offer and all its seated orders allow strangers."""
    return group["rules"]["strangers"] == "allowed" and all(order["strangers"] for order in world.seats(group))


def seats_member(world: World, group: Fields, member: str) -> bool:
    """Tell whether a member sits in a group."""
    return any(order["member"] == member for order in world.seats(group))


def seats_blocked(world: World, group: Fields, member: str) -> bool:
    """Tell whether someone in a group keeps apart from a member."""
    return any(world.keep_apart(order["member"], member) for order in world.seats(group))


def fits(world: World, group: Fields, order: Fields) -> bool:
    """Tell whether an order's weight fits into a group."""
    return bool(world.taken(group) + weight(group["rules"], order) <= group["rules"]["max_size"])


def choose_group(world: World, offer: Fields, order: Fields) -> Fields | None:
    """Return the group that the matcher chooses for an order, or None."""
    if not order["strangers"]:
        return None
    candidates = [
        group
        for group in world.groups
        if group["state"] == "open"
        and group["offer"] == offer["id"]
        and group["pool"] == order["pool"]
        and takes_strangers(world, group)
        and world.taken(group) < group["rules"]["max_size"]
    ]
    candidates.sort(key=lambda group: (group["deadline"], group["no"]))
    if offer["rules"]["match"] == "nearest_full":
        candidates.sort(key=lambda group: group["rules"]["max_size"] - world.taken(group))
    for group in candidates[:MATCH_GROUPS_LOOKED_AT]:
        refused = seats_member(world, group, order["member"]) or seats_blocked(world, group, order["member"])
        if fits(world, group, order) and not refused:
            return group
    return None


# The deadline, and merging


def reached(world: World, group: Fields) -> bool:
    """Tell whether a group has enough at its deadline."""
    rules, confirmed = group["rules"], world.confirmed_weight(group)
    least = rules["fill_if_at_least"]
    return bool(confirmed >= rules["size"] or (least is not None and confirmed >= least))


def meet_deadline(world: World, group: Fields) -> list[Fields]:
    """Fill, merge or expire a group at its deadline; its held seats have ended before."""
    assert not world.held(group)
    if reached(world, group):
        return fill(world, group, "deadline")
    donors = find_donors(world, group)
    if donors is None:
        return expire(world, group)
    told = []
    for donor in donors:
        seats = len(donor["seats"])
        told.append(decision("group.merged", group=donor["id"], into=group["id"], seats=seats))
        for order in world.seats(donor):
            order["group"], order["opened_its_group"] = group["id"], False
        group["seats"] += donor["seats"]
        donor["seats"] = []
        world.end_group(donor, "merged")
    return told + fill(world, group, "merge")


def find_donors(world: World, short: Fields) -> list[Fields] | None:
    """Return the donors that fill a short group exactly, or None."""
    rules = short["rules"]
    if rules["merge"] != "allowed" or rules["strangers"] != "allowed":
        return None
    if not short["seats"] or not all(order["merge"] for order in world.seats(short)):
        return None
    missing = rules["size"] - world.confirmed_weight(short)
    own = [order["member"] for order in world.confirmed(short)]
    candidates = [g for g in merge_candidates(world, short) if compatible(world, own, members_of(world, g))]
    search = DonorSearch(world, candidates)
    return search.find(missing, 0, [])


def merge_candidates(world: World, short: Fields) -> list[Fields]:
    """Return the open groups that could give their seats to a short one, the first 64 by deadline."""
    order_in_time = (short["deadline"], short["no"])
    candidates = [
        group
        for group in world.groups
        if group["state"] == "open"
        and (group["offer"], group["edition"]) == (short["offer"], short["edition"])
        and group["pool"] == short["pool"]
        and (group["deadline"], group["no"]) > order_in_time
        and all(order["merge"] and order["state"] == "confirmed" for order in world.seats(group))
    ]
    candidates.sort(key=lambda group: (group["deadline"], group["no"]))
    return candidates[:MERGE_CANDIDATES]


def members_of(world: World, group: Fields) -> list[str]:
    """Return the members seated in a group."""
    return [order["member"] for order in world.seats(group)]


def compatible(world: World, some: list[str], others: list[str]) -> bool:
    """Tell whether two sets of members have nobody in common and nobody who keeps apart."""
    return not any(one == other or world.keep_apart(one, other) for one in some for other in others)


def sums(weights: list[int]) -> set[int]:
    """Return every sum that some of the weights make, none of them included."""
    made = {0}
    for one in weights:
        made |= {one + other for other in made}
    return made


class DonorSearch:
    """Depth-first search for the first set of donors, with a bounded number of steps."""

    def __init__(self, world: World, candidates: list[Fields]) -> None:
        self.world = world
        self.candidates = candidates
        self.weights = [world.confirmed_weight(group) for group in candidates]
        self.sums_from = [sums(self.weights[index:]) for index in range(len(candidates) + 1)]
        self.steps = 0

    def find(self, missing: int, start: int, chosen: list[Fields]) -> list[Fields] | None:
        """Return donors whose weights sum to `missing`, from candidate `start` on, beside those chosen."""
        if missing == 0:
            return chosen
        for index in range(start, len(self.candidates)):
            rest = missing - self.weights[index]
            if rest not in self.sums_from[index + 1]:
                continue
            if self.steps == MERGE_SEARCH_STEPS:
                return None
            self.steps += 1
            if not self._goes_with(self.candidates[index], chosen):
                continue
            found = self.find(rest, index + 1, [*chosen, self.candidates[index]])
            if found is not None:
                return found
        return None

    def _goes_with(self, candidate: Fields, chosen: list[Fields]) -> bool:
        members = members_of(self.world, candidate)
        return all(compatible(self.world, members_of(self.world, group), members) for group in chosen)


# Seats that a timer would name, for the bound of a piece


def seats_named_at_deadline(world: World, group: Fields) -> int:
    """Return how many seats the entry names in which this group, now without held seats, meets its deadline."""
    donors = None if reached(world, group) else find_donors(world, group)
    moved = sum(len(donor["seats"]) for donor in donors or [])
    return min(SEATS_PER_PAGE, len(group["seats"]) + moved)


def seats_named_at_hold_end(world: World, order: Fields) -> int:
    """Return how many seats the entry names in which this hold ends."""
    group = world.must_group(order["group"])
    others = len(group["seats"]) - 1
    ends_group = group["leader"] == order["id"] and group["rules"]["leader_leaves"] == "dissolve"
    return 1 + (min(SEATS_PER_PAGE, others) if ends_group else 0)
