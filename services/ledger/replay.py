"""`ledger replay`: the state of a group as of an entry or a time, folded anew from the archived decisions."""

import heapq
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from events import decisions as d
from events.record import Entry
from services.ledger.faults import NotFound
from services.ledger.history import (
    END,
    FoundEntry,
    Until,
    check_until,
    entries_in,
    entries_of,
    read_record,
)
from services.ledger.refunds import RefundState, answer_refund, refund_due
from services.ledger.store import LedgerStore

GroupStatus = Literal["open", "filled", "expired", "dissolved", "merged"]
SeatStatus = Literal["held", "confirmed", "left", "ended", "moved"]
"""`ended`: the group ended unfilled; `moved`: it merged into another; `left`: given up before or after."""
_REFUND: Final = b'"refund.'


class SeatState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A seat; `price_minor` is what it cost in the end, once the group is filled."""

    order: str
    member: str
    publisher: str
    status: SeatStatus
    quantity: int = 1
    sku: str | None = None
    payable_minor: int = 0
    currency: str | None = None
    hold_until_ns: int | None = None
    payment: str | None = None
    price_minor: int | None = None
    left_because: str | None = None
    merged_from: str | None = None


class MoneyState(msgspec.Struct, kw_only=True):
    """The group's money in minor units: taken for its seats, due back, and of that settled."""

    currency: str | None = None
    taken_minor: int = 0
    refunds_due_minor: int = 0
    refunds_settled_minor: int = 0


class GroupState(msgspec.Struct, kw_only=True):
    """A group as of `as_of`, the last entry that changed it; seats that were given up stand under `left`."""

    group: str
    offer: str
    edition: int
    pool: str | None = None
    status: GroupStatus = "open"
    cause: str | None = None
    leader: str
    deadline_ns: int
    opened_entry: str
    opened_at_ns: int
    closed_entry: str | None = None
    closed_at_ns: int | None = None
    size: int | None = None
    missing: int | None = None
    merged_into: str | None = None
    merged_from: list[str] = []
    seats_held: int = 0
    seats_confirmed: int = 0
    seats: list[SeatState] = []
    left: list[SeatState] = []
    refunds: list[RefundState] = []
    money: MoneyState = msgspec.field(default_factory=MoneyState)
    as_of: str
    as_of_ns: int


def replay_group(store: LedgerStore, group: str, until: Until = END) -> GroupState:
    """Return the state of a group as of `until`.

    Raises BadQuestion for a name that cannot be a group's, NotFound when there was no such group by then or the
    position lies past the end.
    """
    check_until(store, until)
    fold = _GroupFold(store, group)
    for found in entries_of(store, "group", group, until):
        fold.add(found)
    state = fold.state
    if state is None:
        raise NotFound(f"there is no group {group} as of {until.describe()}")
    _add_refunds(store, state, until)
    state.seats_held = sum(seat.status == "held" for seat in state.seats)
    state.seats_confirmed = sum(seat.status == "confirmed" for seat in state.seats)
    return state


class _GroupFold:
    """Adds entries to the state of one group."""

    def __init__(self, store: LedgerStore, group: str) -> None:
        self._store = store
        self._group = group
        self._seats: dict[str, SeatState] = {}
        self.state: GroupState | None = None

    def add(self, found: FoundEntry) -> None:
        """Add an entry; decisions about other groups are passed over."""
        for decision in found.entry.decisions:
            if isinstance(decision, d.GroupOpened) and decision.group == self._group:
                self.state = _opened(found, decision)
            elif self.state is not None:
                self._change(self.state, found, decision)
        if self.state is not None:
            self.state.as_of, self.state.as_of_ns = found.name, found.entry.at
            self.state.seats = list(self._seats.values())

    def _change(self, state: GroupState, found: FoundEntry, decision: d.AnyDecision) -> None:
        if isinstance(decision, d.GroupMerged):
            self._merge(state, found, decision)
        elif getattr(decision, "group", None) != self._group:
            return
        elif isinstance(decision, d.SeatHeld | d.SeatConfirmed):
            self._seat(state, decision)
        elif isinstance(decision, d.SeatReleased):
            self._leave(state, decision)
        elif isinstance(decision, d.GroupFilled | d.GroupExpired | d.GroupDissolved):
            self._close(state, found, decision)

    def _seat(self, state: GroupState, decision: d.SeatHeld | d.SeatConfirmed) -> None:
        is_held = isinstance(decision, d.SeatHeld)
        state.left = [seat for seat in state.left if seat.order != decision.order]
        self._seats[decision.order] = SeatState(
            order=decision.order,
            member=decision.member,
            publisher=decision.publisher,
            status="held" if is_held else "confirmed",
            quantity=decision.quantity,
            sku=decision.sku,
            payable_minor=decision.payable_minor,
            currency=decision.currency,
            hold_until_ns=decision.hold_until if isinstance(decision, d.SeatHeld) else None,
            payment=decision.payment if isinstance(decision, d.SeatConfirmed) else None,
        )

    def _leave(self, state: GroupState, decision: d.SeatReleased) -> None:
        seat = self._seats.pop(decision.order, None)
        if seat is not None:
            seat.status, seat.left_because, seat.hold_until_ns = "left", decision.cause, None
            state.left.append(seat)
        state.leader = decision.promoted or state.leader

    def _close(self, state: GroupState, found: FoundEntry, decision: d.Closing) -> None:
        if decision.page == 1:
            state.closed_entry, state.closed_at_ns = found.name, found.entry.at
        if isinstance(decision, d.GroupFilled):
            state.status, state.cause, state.size = "filled", decision.cause, decision.size
        elif isinstance(decision, d.GroupExpired):
            state.status, state.cause, state.missing = "expired", "deadline", decision.missing
        else:
            state.status, state.cause = "dissolved", decision.cause
        if state.status != "filled":
            self._end_seats("ended")
            return
        for named in decision.seats:
            seat = self._seats.get(named.order)
            if seat is not None:
                seat.price_minor = named.price_minor

    def _end_seats(self, status: SeatStatus) -> None:
        for seat in self._seats.values():
            seat.status, seat.hold_until_ns = status, None

    def _merge(self, state: GroupState, found: FoundEntry, decision: d.GroupMerged) -> None:
        if decision.group == self._group:
            state.status, state.merged_into = "merged", decision.into
            state.closed_entry, state.closed_at_ns = found.name, found.entry.at
            self._end_seats("moved")
        elif decision.into == self._group:
            state.merged_from.append(decision.group)
            for seat in _seats_of_donor(self._store, decision.group, found):
                seat.merged_from = decision.group
                self._seats[seat.order] = seat


def _seats_of_donor(store: LedgerStore, group: str, merged: FoundEntry) -> list[SeatState]:
    """Return the seats of a group at the entry in which it merged into another; a group merges only once."""
    fold = _GroupFold(store, group)
    for found in entries_of(store, "group", group, Until(position=merged.position)):
        if found.position < merged.position:
            fold.add(found)
    return fold.state.seats if fold.state is not None else []


def _opened(found: FoundEntry, decision: d.GroupOpened) -> GroupState:
    return GroupState(
        group=decision.group,
        offer=decision.offer,
        edition=decision.edition,
        pool=decision.pool,
        leader=decision.order,
        deadline_ns=decision.deadline,
        opened_entry=found.name,
        opened_at_ns=found.entry.at,
        as_of=found.name,
        as_of_ns=found.entry.at,
    )


def _add_refunds(store: LedgerStore, state: GroupState, until: Until) -> None:
    """Add the refunds of the group's orders and sum up its money."""
    seats = [*state.seats, *state.left]
    groups = {state.group, *state.merged_from, None}
    refunds: dict[str, RefundState] = {}
    for name, entry in _refund_entries(store, [seat.order for seat in seats], until):
        for decision in entry.decisions:
            if isinstance(decision, d.RefundDue) and decision.group in groups:
                refunds[decision.refund] = refund_due(entry, name, decision)
            elif isinstance(decision, d.RefundClosed) and decision.refund in refunds:
                answer_refund(refunds[decision.refund], name, decision)
    orders = {seat.order for seat in seats}
    state.refunds = [refund for refund in refunds.values() if refund.order in orders]
    state.money = MoneyState(
        currency=next((seat.currency for seat in seats if seat.currency is not None), None),
        taken_minor=sum(seat.payable_minor for seat in seats if seat.payment is not None),
        refunds_due_minor=sum(refund.amount_minor for refund in state.refunds),
        refunds_settled_minor=sum(refund.amount_minor for refund in state.refunds if refund.status == "settled"),
    )


def _refund_entries(store: LedgerStore, orders: list[str], until: Until) -> Iterator[tuple[str, Entry]]:
    """Yield the entries that speak of refunds in the records that concern the orders, each record read once."""
    last = 0
    for seq in heapq.merge(*(store.find("order", order) for order in orders)):
        if seq == last:
            continue
        last = seq
        for found in entries_in(seq, read_record(store, seq), _REFUND):
            if not until.includes(found.entry):
                return
            yield found.name, found.entry
