"""A second implementation of RULES.md: slow, and so simple that one can see that it is right.

It knows nothing of `services/`: it was written from RULES.md and the contract in `events/`, and the tests compare
every entry that it decides with what the matcher decides.
"""

from collections.abc import Callable
from typing import Any, Final

from events.decode import Unreadable, split_message
from events.leaf import keyed_hash
from events.limits import GROUPS_PER_PIECE, SEATS_PER_PAGE
from events.reasons import Fault
from events.record import entry_id
from events.registry import FAMILIES, FAMILY_OF
from events.times import NS_PER_S
from tests.builders import encode
from tests.model import naive_groups, naive_leaving, naive_offers, naive_orders, naive_paying
from tests.model.naive_input import Input
from tests.model.naive_offers import Refusal, Timezones
from tests.model.naive_world import Fields, World, decision, refund_id

EntryFields = dict[str, Any]

OWN_FAMILIES: Final = {
    "operator": ["market", "member", "dispute", "offer", "group", "play", "assist"],
    "matcher": ["clock"],
}
NOT_REMEMBERED: Final = ("id_reused", "too_old", "from_the_future", "capacity")
FORGOTTEN_PER_ENTRY: Final = 2
KIND_WITHOUT_MEMORY: Final = "clock.ticked"


class NaiveMarket:
    """A market that searches everything it knows, for every event."""

    def __init__(self, market_key: bytes, timezones: Timezones) -> None:
        self.world = World()
        self.market_key = market_key
        self.timezones = timezones

    def apply_body(self, seq: int, broker_at: int, publisher: str, family: str, body: bytes) -> list[EntryFields]:
        """Return the entries of an intake message."""
        try:
            if family not in (*FAMILIES, "mixed"):
                raise Unreadable(Fault.BAD_SUBJECT)
            events: list[Fields | bytes] = [*split_message(body)]
        except Unreadable as unreadable:
            whole = Input(b"{}", publisher, family)
            whole.raw, whole.fault = body, unreadable
            return self._apply_one(seq, 0, broker_at, whole)
        return self.apply(seq, broker_at, publisher, family, events)

    def apply(
        self, seq: int, broker_at: int, publisher: str, family: str, events: list[Fields | bytes]
    ) -> list[EntryFields]:
        """Return the entries of the events of one intake message, in order."""
        entries = []
        for index, event in enumerate(events):
            raw = event if isinstance(event, bytes) else encode(event, broker_at)
            entries += self._apply_one(seq, index, broker_at, Input(raw, publisher, family))
        return entries

    # One input

    def _apply_one(self, seq: int, index: int, broker_at: int, given: Input) -> list[EntryFields]:
        world = self.world
        world.now = self._accepted_time(broker_at, given)
        entries: list[EntryFields] = []

        def add(decided: Callable[[], list[Fields]], **more: Any) -> None:
            world.position = (seq, index, len(entries))
            decisions = decided()
            if decisions:
                head = {"seq": seq, "index": index, "part": len(entries), "at": world.now}
                entries.append({**head, **more, "decisions": decisions})
                self._forget()

        def drain() -> None:
            known = -1
            while len(entries) > known:
                known = len(entries)
                add(self._due_work)

        drain()
        kept: EntryFields = {"publisher": given.publisher}
        if given.fault is None and given.personal_field is None:
            kept["event"] = given.raw
        add(lambda: self._decide(given), **kept)
        drain()
        return entries

    def _accepted_time(self, broker_at: int, given: Input) -> int:
        world = self.world
        readable = given.fault is None and given.personal_field is None
        clock = "broker"
        if world.config is not None:
            clock = world.config.clock
        elif readable and given.kind == "market.configured":
            clock = given.event.data.clock
        if clock == "broker":
            return max(world.now, broker_at)
        return max(world.now, given.time_ns) if readable else world.now

    # Due work

    def _due_work(self) -> list[Fields]:
        """Do one piece of due work, and return what it decides: nothing if nothing is due."""
        world = self.world
        if world.pages:
            return world.pages.pop(0)
        if world.to_dissolve:
            return self._dissolutions()
        return self._timers()

    def _dissolutions(self) -> list[Fields]:
        world = self.world
        told: list[Fields] = []
        named = groups = 0
        while world.to_dissolve:
            group = world.must_group(world.to_dissolve[0])
            seats = min(SEATS_PER_PAGE, len(group["seats"]))
            if told and (named + seats > SEATS_PER_PAGE or groups == GROUPS_PER_PIECE):
                break
            world.to_dissolve.pop(0)
            told += naive_groups.dissolve(world, group, "offer_withdrawn")
            named, groups = named + seats, groups + 1
        return told

    def _timers(self) -> list[Fields]:
        piece = Piece()
        world = self.world
        while True:
            due = [timer for timer in world.timers if timer["due"] <= world.now]
            if not due:
                return piece.told
            timer = min(due, key=lambda timer: (timer["due"], timer["no"]))
            if timer["kind"] == "hold":
                done = self._end_hold(timer, piece)
            else:
                done = self._meet_deadline(timer, piece)
            if not done:
                return piece.told
            world.timers.remove(timer)

    def _end_hold(self, timer: Fields, piece: "Piece") -> bool:
        world = self.world
        order = world.order(timer["subject"])
        if order is None or order["state"] != "held":
            return True
        if order["hold_until"] + self._grace(order) != timer["due"]:
            return True
        if not piece.takes(naive_groups.seats_named_at_hold_end(world, order)):
            return False
        release, ending = naive_groups.leave(world, world.must_group(order["group"]), order, "hold_ended")
        piece.told += [release, *ending]
        return True

    def _grace(self, order: Fields) -> int:
        grace_s: int = self.world.must_group(order["group"])["rules"]["grace_s"]
        return grace_s * NS_PER_S

    def _meet_deadline(self, timer: Fields, piece: "Piece") -> bool:
        world = self.world
        group = world.group(timer["subject"])
        if group is None or group["state"] != "open":
            return True
        while held := world.held(group)[:SEATS_PER_PAGE]:
            if not piece.takes(len(held)):
                return False
            piece.told += [naive_groups.release_unpaid(world, group, order) for order in held]
        if not piece.takes(naive_groups.seats_named_at_deadline(world, group), groups=1):
            return False
        piece.told += naive_groups.meet_deadline(world, group)
        return True

    def _forget(self) -> None:
        world = self.world
        if world.config is None:
            return
        window = (world.config.replay_window_s + world.config.future_slack_s) * NS_PER_S
        memory = max(world.config.order_memory_s * NS_PER_S, window)
        for _ in range(FORGOTTEN_PER_ENTRY):
            if world.identities and world.identities[0]["at"] + window < world.now:
                world.identities.pop(0)
        world.ended_orders = [
            (end, order) for end, order in world.ended_orders if end == world.now or world.has_ended(order, end)
        ]
        for _ in range(FORGOTTEN_PER_ENTRY):
            if world.ended_orders and world.ended_orders[0][0] + memory < world.now:
                world.orders.remove(world.must_order(world.ended_orders.pop(0)[1]))
        for _ in range(FORGOTTEN_PER_ENTRY):
            if world.over_groups and world.over_groups[0][0] + memory < world.now:
                end = world.over_groups[0][0]
                if not any(order_end <= end for order_end, _ in world.ended_orders):
                    world.groups.remove(world.must_group(world.over_groups.pop(0)[1]))
        for _ in range(FORGOTTEN_PER_ENTRY):
            if world.settled_refunds and world.settled_refunds[0][0] + memory < world.now:
                forgotten = world.settled_refunds.pop(0)[1]
                world.refunds = [refund for refund in world.refunds if refund["id"] != forgotten]

    # The event itself

    def _decide(self, given: Input) -> list[Fields]:
        if given.fault is not None:
            return [
                decision(
                    "malformed",
                    why=str(given.fault.fault),
                    detail=given.fault.detail,
                    size_bytes=len(given.raw),
                    keyed_hash=keyed_hash(self.market_key, given.raw),
                )
            ]
        try:
            self._check_rights(given)
            if given.personal_field is not None:
                raise Refusal("personal_data")
        except Refusal as refusal:
            return [self._refused(given, refusal)]
        return self._decide_rightful(given)

    def _refused(self, given: Input, refusal: Refusal) -> Fields:
        if given.personal_field is None:
            return decision("refused", reason=refusal.reason)
        return decision(
            "refused",
            reason=refusal.reason,
            detail=given.personal_field if refusal.reason == "personal_data" else None,
            size_bytes=len(given.raw),
            keyed_hash=keyed_hash(self.market_key, given.raw),
        )

    def _check_rights(self, given: Input) -> None:
        config, family = self.world.config, FAMILY_OF[type(given.event)]
        if config is None and given.kind != "market.configured":
            raise Refusal("market_not_configured")
        if family != given.family and not given.is_mixed:
            raise Refusal("wrong_family")
        listed = {} if config is None else config.publishers
        if family not in [*OWN_FAMILIES.get(given.publisher, []), *listed.get(given.publisher, [])]:
            raise Refusal("publisher_not_allowed")

    def _decide_rightful(self, given: Input) -> list[Fields]:
        known = self._known(given)
        if known is not None and known["raw"] == given.raw:
            return [decision("duplicate", of=known["of"], original=known["original"], reason=known["reason"])]
        try:
            if known is not None:
                raise Refusal("id_reused")
            self._check_time_and_room(given)
            decided = self._rules(given)
        except Refusal as refusal:
            nobody_knows = refusal.reason == "too_old" and self._may_be_forgotten(given)
            decided = [self._refused(given, refusal), *([] if nobody_knows else self._refunds_beside(given))]
        self._remember(given, decided)
        return decided

    def _known(self, given: Input) -> Fields | None:
        if given.kind == KIND_WITHOUT_MEMORY:
            return None
        return next((known for known in self.world.identities if known["identity"] == given.identity), None)

    def _check_time_and_room(self, given: Input) -> None:
        world = self.world
        config = given.event.data if world.config is None else world.config
        if given.time_ns <= world.now - config.replay_window_s * NS_PER_S:
            raise Refusal("too_old")
        if given.time_ns > world.now + config.future_slack_s * NS_PER_S:
            raise Refusal("from_the_future")
        if given.kind != KIND_WITHOUT_MEMORY and len(world.identities) >= config.identity_capacity:
            raise Refusal("capacity")

    def _refunds_beside(self, given: Input) -> list[Fields]:
        """Return what is owed beside the refusal of an order that carries a payment."""
        world, payment = self.world, given.payment
        if payment is None:
            return []
        order_id = given.event.data.order
        known = world.order(order_id)
        if known is not None and known["payment"] and known["payment"]["payment"] == payment["payment"]:
            return []
        if world.refund(refund_id(order_id, payment["payment"], "whole")) is not None:
            return []
        about = {"publisher": given.publisher, "member": given.event.data.member}
        return [world.owe(order_id, payment, "order_refused", about)]

    def _may_be_forgotten(self, given: Input) -> bool:
        """Tell whether an order may have been decided so long ago that it is not remembered."""
        config = self.world.config or given.event.data
        memory = max(config.order_memory_s, config.replay_window_s + config.future_slack_s) * NS_PER_S
        return given.time_ns - config.future_slack_s * NS_PER_S < self.world.now - memory

    def _remember(self, given: Input, decided: list[Fields]) -> None:
        answer = next((d for d in decided if d["kind"] != "group.opened"), decided[0])
        forgettable = answer["kind"] == "duplicate" or answer.get("reason") in NOT_REMEMBERED
        if given.kind == KIND_WITHOUT_MEMORY or forgettable:
            return
        self.world.identities.append(
            {
                "identity": given.identity,
                "raw": given.raw,
                "of": entry_id(*self.world.position),
                "original": answer["kind"],
                "reason": answer.get("reason") if answer["kind"] == "refused" else None,
                "at": self.world.now,
            }
        )

    def _rules(self, given: Input) -> list[Fields]:
        world, data = self.world, given.event.data
        family, verb = given.kind.split(".")
        if family == "market":
            return naive_offers.configure(world, data, self.timezones)
        if family == "offer":
            rule = {
                "published": naive_offers.publish_offer,
                "changed": naive_offers.change_offer,
                "stocked": naive_offers.stock_offer,
                "withdrawn": naive_offers.withdraw_offer,
            }[verb]
            return rule(world, data)
        if family == "order":
            return self._order_rules(verb, data, given.publisher)
        if family == "group":
            return naive_leaving.act_on_group(world, data, verb)
        if family == "refund":
            return naive_offers.close_refund(world, data, verb)
        if family == "member":
            return naive_offers.block(world, data)
        return [decision("clock.advanced")]

    def _order_rules(self, verb: str, data: Any, publisher: str) -> list[Fields]:
        if verb in ("posted", "joined"):
            return naive_orders.enter(self.world, data, verb, publisher)
        if verb == "paid":
            return naive_paying.pay(self.world, data, publisher)
        if verb == "changed":
            return naive_leaving.change_order(self.world, data)
        return naive_leaving.leave_order(self.world, data, verb)


class Piece:
    """What one piece of timer work has done so far, within its bounds."""

    def __init__(self) -> None:
        self.told: list[Fields] = []
        self.named = 0
        self.groups = 0

    def takes(self, seats: int, groups: int = 0) -> bool:
        """Tell whether work that names so many seats still fits, and count it if so; the first always does."""
        fits = self.named + seats <= SEATS_PER_PAGE and self.groups + groups <= GROUPS_PER_PIECE
        if self.told and not fits:
            return False
        self.named += seats
        self.groups += groups
        return True
