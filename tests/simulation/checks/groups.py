"""Checks on groups: seats and stock recounted from the decisions, ends that exclude each other, deadlines."""

from collections import defaultdict
from typing import Any, Final

import msgspec

from tests.simulation.checks.history import History, Told, must

_CLOSINGS: Final = {"group.filled": "filled", "group.expired": "expired", "group.dissolved": "dissolved"}
_LATE_S: Final = 60.0
"""After the faults have ended, nothing that is due is left undone for so long."""


class _Seat(msgspec.Struct):
    """A seat as it stands."""

    group: str
    member: str
    offer: str
    sku: str
    quantity: int
    is_confirmed: bool
    hold_until: int = 0


class _Group(msgspec.Struct):
    """A group as it stands."""

    offer: str
    edition: int
    deadline: int
    end: str | None = None
    told: list[str] = []
    """Orders named on the pages of its end."""
    due: list[str] = []
    """Orders that these pages have to name."""
    pages: int = 0


class _Groups:
    """Follows groups, seats and stock."""

    def __init__(self) -> None:
        self.groups: dict[str, _Group] = {}
        self.seats: dict[str, _Seat] = {}
        """Order -> its seat in an open or filled group."""
        self.stock: dict[str, dict[str, int]] = {}
        self.terms: dict[tuple[str, int], dict[str, Any]] = {}
        self.lenient: set[str] = set()
        """Offers that ever let late payments take a seat again."""

    def follow(self, told: Told, event: dict[str, Any] | None) -> None:
        """Book one decision."""
        kind, what = told.kind, told.what
        if kind == "offer.listed":
            self._listed(what, event)
        elif kind == "group.opened":
            must(what.group not in self.groups, f"{what.group} is opened twice")
            self.groups[what.group] = _Group(what.offer, what.edition, what.deadline)
        elif kind in ("seat.held", "seat.confirmed"):
            self._seated(told, event)
        elif kind == "seat.released":
            self._released(told)
        elif kind == "group.merged":
            self._merged(told)
        elif kind in _CLOSINGS:
            self._closed(told)

    def _listed(self, what: Any, event: dict[str, Any] | None) -> None:
        kind = event["type"] if event is not None else ""
        data = event["data"] if event is not None else {}
        before = self.terms.get((what.offer, what.edition - 1), {})
        if kind in ("groupbuy.offer.published.v1", "groupbuy.offer.changed.v1"):
            self.terms[what.offer, what.edition] = {**before, **data}
            if data.get("late_payment") == "rejoin":
                self.lenient.add(what.offer)
        if what.stock is None:
            return
        expected = dict(self.stock.get(what.offer, what.stock))
        if kind == "groupbuy.offer.stocked.v1":
            expected[data.get("sku", "")] = expected.get(data.get("sku", ""), 0) + data["delta"]
        must(expected == what.stock, f"{what.offer} is told to have {what.stock} in stock, counted are {expected}")
        self.stock[what.offer] = expected

    def _take(self, seat: _Seat, times: int) -> None:
        stock = self.stock.get(seat.offer)
        if stock is not None:
            stock[seat.sku] -= times * seat.quantity
            must(stock[seat.sku] >= 0, f"{seat.offer} has {stock[seat.sku]} of {seat.sku!r} in stock")

    def _seated(self, told: Told, event: dict[str, Any] | None) -> None:
        what, group = told.what, self.groups[told.what.group]
        must(group.end is None, f"{told.name}: a seat in {what.group}, which is {group.end}")
        must(told.entry.at < group.deadline, f"{told.name}: a seat in {what.group} at or after its deadline")
        is_confirmed = told.kind == "seat.confirmed"
        old = self.seats.get(what.order)
        if old is not None:
            self._check_confirming(told, old, event)
            self._take(old, -1)
        hold_until = 0 if is_confirmed else what.hold_until
        self.seats[what.order] = seat = _Seat(
            what.group, what.member, what.offer, what.sku or "", what.quantity, is_confirmed, hold_until
        )
        self._take(seat, 1)
        self._check_room(told, group)

    def _check_confirming(self, told: Told, old: _Seat, event: dict[str, Any] | None) -> None:
        what = told.what
        is_paid = event is not None and event["type"] == "groupbuy.order.paid.v1"
        if is_paid and not old.is_confirmed and old.offer not in self.lenient:
            must(told.entry.at < old.hold_until, f"{told.name}: {what.order} is paid after its hold, and confirmed")
        must(old.group == what.group or is_paid, f"{told.name}: {what.order} sits in two groups")

    def _check_room(self, told: Told, group: _Group) -> None:
        seats = [seat for seat in self.seats.values() if seat.group == told.what.group]
        members = [seat.member for seat in seats]
        must(len(set(members)) == len(members), f"{told.name}: {told.what.group} seats a member twice")
        terms = self.terms[group.offer, group.edition]
        if "size" in terms:
            weight = sum(seat.quantity if terms.get("count") == "units" else 1 for seat in seats)
            most = terms.get("max_size") or (1_000 if terms.get("close") == "at_deadline" else terms["size"])
            must(weight <= most, f"{told.name}: {told.what.group} seats {weight} of {most}")

    def _released(self, told: Told) -> None:
        what = told.what
        seat = self.seats.pop(what.order, None)
        must(seat is not None, f"{told.name}: {what.order} is released from no seat")
        assert seat is not None
        must(seat.group == what.group, f"{told.name}: {what.order} is released from another group than its own")
        if what.cause == "hold_ended" and told.entry.publisher is None:
            must(not seat.is_confirmed, f"{told.name}: the hold of {what.order} ends, which has paid")
            must(told.entry.at >= seat.hold_until, f"{told.name}: the hold of {what.order} ends before its time")
        self._take(seat, -1)

    def _merged(self, told: Told) -> None:
        what = told.what
        self._end(told, what.group, "merged")
        for seat in self.seats.values():
            if seat.group == what.group:
                seat.group = what.into

    def _end(self, told: Told, name: str, how: str) -> None:
        group = self.groups[name]
        must(group.end is None, f"{told.name}: {name} is {how} after it was {group.end}")
        group.end = how

    def _closed(self, told: Told) -> None:
        what, group = told.what, self.groups[told.what.group]
        if what.page == 1:
            self._end(told, what.group, _CLOSINGS[told.kind])
            self._check_moment(told, group)
            group.pages = what.pages
            group.due = [order for order, seat in self.seats.items() if seat.group == what.group]
        must(group.end == _CLOSINGS[told.kind], f"{told.name}: pages of two ends of {what.group}")
        group.told += [seat.order for seat in what.seats]
        for each in what.seats:
            if told.kind != "group.filled" or each.won is False:
                seat = self.seats.pop(each.order, None)
                must(seat is not None, f"{told.name}: {each.order} ends without a seat")
                assert seat is not None
                self._take(seat, -1)
        if what.page == what.pages:
            same = sorted(group.told) == sorted(group.due)
            must(same, f"{told.name}: {what.group} ends with {sorted(group.told)}, seated were {sorted(group.due)}")

    def _check_moment(self, told: Told, group: _Group) -> None:
        what = told.what
        if told.kind == "group.expired":
            must(told.entry.at >= group.deadline, f"{told.name}: {what.group} expired before its deadline")
        if told.kind != "group.filled":
            return
        if what.cause == "target":
            must(told.entry.at < group.deadline, f"{told.name}: {what.group} filled by itself at its deadline")
        seats = [seat for seat in self.seats.values() if seat.group == what.group]
        must(all(seat.is_confirmed for seat in seats), f"{told.name}: {what.group} fills with seats that are held")
        terms = self.terms[group.offer, group.edition]
        enough = min(terms.get("size", 2), terms.get("fill_if_at_least") or 1_000)
        if what.cause != "completed":
            must(what.size >= enough, f"{told.name}: {what.group} fills with {what.size} of {enough}")


def groups_and_stock_add_up(history: History) -> None:
    """Seats, stock and ends of groups, recounted: never too many, never two ends, never before or after its time."""
    books = _Groups()
    for told in history.decisions:
        books.follow(told, history.event_of(told.entry))
    if history.world.setting.clock == "event":
        return
    now_ns = history.world.loop.now_ns() - int(_LATE_S * 1e9)
    late = [name for name, group in books.groups.items() if group.end is None and group.deadline < now_ns]
    must(not late, f"groups are open past their deadlines: {late[:3]}")
    unpaid: dict[str, list[str]] = defaultdict(list)
    for order, seat in books.seats.items():
        if not seat.is_confirmed and books.groups[seat.group].end is not None:
            unpaid[seat.group].append(order)
    must(not unpaid, f"seats are held in groups that are over: {dict(unpaid)}")
