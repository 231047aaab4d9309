"""`ledger replay`: an order, a member, or anything else that entries name, as it was at an entry or a time.

Folded from the archived decisions that concern it, which the index finds; nothing else is read.
"""

from typing import Literal

import msgspec

from events import decisions as d
from events.member import MemberBlockedEvent
from events.order import OrderJoinedEvent, OrderPostedEvent
from events.registry import AnyEvent
from services.ledger.faults import NotFound
from services.ledger.history import END, FoundEntry, Until, check_until, entries_of, event_of
from services.ledger.lean import EntityKind
from services.ledger.refunds import RefundState, answer_refund, refund_due
from services.ledger.store import LedgerStore

OrderStatus = Literal["held", "confirmed", "left", "filled", "expired", "dissolved", "refused"]


class OrderState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An order as of `as_of`, the last entry that changed it; `price_minor` is what it cost once its group filled.

    `groups` are those that it had a seat in, in order; `refused` says why it was refused, each time that it was.
    """

    order: str
    member: str | None = None
    publisher: str | None = None
    offer: str | None = None
    status: OrderStatus
    group: str | None = None
    groups: list[str] = []
    leads: bool = False
    quantity: int = 1
    sku: str | None = None
    payable_minor: int = 0
    currency: str | None = None
    hold_until_ns: int | None = None
    payment: str | None = None
    price_minor: int | None = None
    left_because: str | None = None
    refused: list[str] = []
    refunds: list[RefundState] = []
    first_entry: str
    as_of: str
    as_of_ns: int


class Fact(msgspec.Struct, kw_only=True):
    """The last decision of one kind that concerns something, and how often there was one."""

    kind: str
    times: int
    entry: str
    at_ns: int
    decision: d.AnyDecision


class MemberState(msgspec.Struct, kw_only=True):
    """A member as of `as_of`: its orders, whom it blocks, and the last of every other decision about it."""

    member: str
    orders: list[OrderState]
    blocks: list[str]
    facts: list[Fact]
    as_of: str
    as_of_ns: int


class NamedState(msgspec.Struct, kw_only=True):
    """Anything that decisions name as of `as_of`: each field as it was last decided, and the last of each kind."""

    kind: str
    name: str
    fields: dict[str, msgspec.Raw]
    facts: list[Fact]
    entries: int
    first_entry: str
    as_of: str
    as_of_ns: int


def replay_order(store: LedgerStore, order: str, until: Until = END) -> OrderState:
    """Return an order as of `until`. Raises BadQuestion for what is no name, NotFound when there was none by then."""
    check_until(store, until)
    fold = OrderFold(order)
    for found in entries_of(store, "order", order, until):
        fold.add(found)
    if fold.state is None:
        raise NotFound(f"there is no order {order} as of {until.describe()}")
    return fold.state


def replay_member(store: LedgerStore, member: str, until: Until = END) -> MemberState:
    """Return a member as of `until`. Raises BadQuestion for what is no name, NotFound when nothing named it by then."""
    check_until(store, until)
    orders: dict[str, OrderFold] = {}
    blocks: dict[str, None] = {}
    facts = _Facts()
    last: FoundEntry | None = None
    for last in entries_of(store, "member", member, until):
        event = event_of(last)
        for order in _orders_of(last, event, member):
            orders.setdefault(order, OrderFold(order)).add(last)
        if isinstance(event, MemberBlockedEvent) and event.data.member == member and _is_accepted(last):
            blocks = _blocked(blocks, event)
        facts.add(last, [each for each in last.entry.decisions if _is_other_fact(each, member)])
    if last is None:
        raise NotFound(f"nothing in the ledger concerns member {member} as of {until.describe()}")
    states = [fold.state for fold in orders.values() if fold.state is not None]
    return MemberState(
        member=member,
        orders=states,
        blocks=list(blocks),
        facts=facts.found(),
        as_of=last.name,
        as_of_ns=last.entry.at,
    )


def replay_named(store: LedgerStore, kind: EntityKind, name: str, until: Until = END) -> NamedState:
    """Return anything that the index knows as of `until`, from the decisions that name it in a field of its kind.

    Raises BadQuestion for what is no name, NotFound when nothing named it by then.
    """
    check_until(store, until)
    fields: dict[str, msgspec.Raw] = {}
    facts = _Facts()
    count, first, last = 0, "", None
    for last in entries_of(store, kind, name, until):
        count, first = count + 1, first or last.name
        about = [decision for decision in last.entry.decisions if getattr(decision, kind, None) == name]
        for decision in about:
            fields |= msgspec.json.decode(msgspec.json.encode(decision), type=dict[str, msgspec.Raw])
        facts.add(last, about)
    if last is None:
        raise NotFound(f"nothing in the ledger concerns {kind} {name} as of {until.describe()}")
    for left_out in ("kind", kind):
        fields.pop(left_out, None)
    return NamedState(
        kind=kind,
        name=name,
        fields=fields,
        facts=facts.found(),
        entries=count,
        first_entry=first,
        as_of=last.name,
        as_of_ns=last.entry.at,
    )


class _Facts:
    """The last decision of each kind, in the order in which the kinds first came."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}

    def add(self, found: FoundEntry, decisions: list[d.AnyDecision]) -> None:
        for decision in decisions:
            kind = str(decision.__struct_config__.tag)
            times = self._facts[kind].times + 1 if kind in self._facts else 1
            self._facts[kind] = Fact(kind=kind, times=times, entry=found.name, at_ns=found.entry.at, decision=decision)

    def found(self) -> list[Fact]:
        return list(self._facts.values())


class OrderFold:
    """Adds entries to the state of one order."""

    def __init__(self, order: str) -> None:
        self._order = order
        self.state: OrderState | None = None

    def add(self, found: FoundEntry) -> None:
        """Add an entry that concerns it; decisions about other orders are passed over."""
        for decision in found.entry.decisions:
            self._change(found, decision)
        self._note_refusal(found)
        if self.state is not None:
            self.state.as_of, self.state.as_of_ns = found.name, found.entry.at

    def _change(self, found: FoundEntry, decision: d.AnyDecision) -> None:
        if isinstance(decision, d.Closing):
            self._close(decision)
        elif getattr(decision, "order", None) != self._order:
            self._lead(decision)
        elif isinstance(decision, d.GroupOpened):
            self._known(found).leads = True
        elif isinstance(decision, d.SeatHeld | d.SeatConfirmed):
            self._seat(found, decision)
        elif isinstance(decision, d.SeatReleased):
            state = self._known(found)
            state.status, state.left_because, state.hold_until_ns = "left", decision.cause, None
            state.leads = False
        elif isinstance(decision, d.RefundDue):
            self._known(found).refunds.append(refund_due(found.entry, found.name, decision))
        elif isinstance(decision, d.RefundClosed):
            for refund in self._known(found).refunds:
                if refund.refund == decision.refund:
                    answer_refund(refund, found.name, decision)

    def _known(self, found: FoundEntry) -> OrderState:
        if self.state is None:
            name, at_ns = found.name, found.entry.at
            self.state = OrderState(order=self._order, status="refused", first_entry=name, as_of=name, as_of_ns=at_ns)
        return self.state

    def _lead(self, decision: d.AnyDecision) -> None:
        if self.state is not None and isinstance(decision, d.SeatReleased) and decision.promoted == self._order:
            self.state.leads = True
        elif self.state is not None and isinstance(decision, d.GroupMerged) and decision.group == self.state.group:
            self._move(self.state, decision.into)
            self.state.leads = False

    def _seat(self, found: FoundEntry, decision: d.SeatHeld | d.SeatConfirmed) -> None:
        state = self._known(found)
        is_held = isinstance(decision, d.SeatHeld)
        state.status = "held" if is_held else "confirmed"
        state.member, state.publisher, state.offer = decision.member, decision.publisher, decision.offer
        state.quantity, state.sku = decision.quantity, decision.sku
        state.payable_minor, state.currency = decision.payable_minor, decision.currency
        state.hold_until_ns = decision.hold_until if isinstance(decision, d.SeatHeld) else None
        state.payment = decision.payment if isinstance(decision, d.SeatConfirmed) else state.payment
        state.left_because = None
        self._move(state, decision.group)

    def _move(self, state: OrderState, group: str) -> None:
        state.group = group
        if not state.groups or state.groups[-1] != group:
            state.groups.append(group)

    def _close(self, decision: d.Closing) -> None:
        seat = next((seat for seat in decision.seats if seat.order == self._order), None)
        if seat is None or self.state is None:
            return
        self._move(self.state, decision.group)
        if isinstance(decision, d.GroupFilled):
            self.state.status, self.state.price_minor = "filled", seat.price_minor
        else:
            self.state.status = "expired" if isinstance(decision, d.GroupExpired) else "dissolved"
        self.state.hold_until_ns = None

    def _note_refusal(self, found: FoundEntry) -> None:
        decision = found.entry.decisions[0]
        if not isinstance(decision, d.Refused):
            return
        event = event_of(found)
        if getattr(getattr(event, "data", None), "order", None) != self._order:
            return
        state = self._known(found)
        state.refused.append(f"{decision.reason} ({found.name})")
        if state.offer is None and isinstance(event, OrderPostedEvent | OrderJoinedEvent):
            state.member, state.offer, state.publisher = event.data.member, event.data.offer, found.entry.publisher


def _orders_of(found: FoundEntry, event: AnyEvent | None, member: str) -> dict[str, None]:
    """Return the orders of a member that an entry speaks of, each once, in order."""
    orders: dict[str, None] = {}
    data = getattr(event, "data", None)
    if getattr(data, "member", None) == member and (order := getattr(data, "order", None)) is not None:
        orders[order] = None
    for decision in found.entry.decisions:
        named = decision.seats if isinstance(decision, d.Closing) else [decision]
        for each in named:
            if getattr(each, "member", None) == member and (order := getattr(each, "order", None)) is not None:
                orders[order] = None
    return orders


def _is_other_fact(decision: d.AnyDecision, member: str) -> bool:
    """Tell whether a decision says something of a member that is not about one of its orders."""
    return getattr(decision, "member", None) == member and getattr(decision, "order", None) is None


def _is_accepted(found: FoundEntry) -> bool:
    return isinstance(found.entry.decisions[0], d.MemberNoted)


def _blocked(blocks: dict[str, None], event: MemberBlockedEvent) -> dict[str, None]:
    blocked = event.data.other
    without = {other: None for other in blocks if other != blocked}
    # A pool that a member keeps away from is no member.
    return without if event.data.lifted or blocked is None else {**without, blocked: None}
