"""Work that is due by itself: pages to tell, groups of withdrawn offers, holds, deadlines (RULES.md section 0)."""

import heapq
from collections.abc import Callable
from typing import Final

from events.limits import GROUPS_PER_PIECE, SEATS_PER_PAGE
from services.matcher.domain import closing, leaving, matching
from services.matcher.domain import state as s
from services.matcher.domain.alarms import RULES, Alarm
from services.matcher.domain.index import Index
from services.matcher.domain.state import Group, Order, State
from services.matcher.domain.turn import Turn

NEVER_NS: Final = 1 << 63
"""After every time that an event can name."""
_Item = tuple[int, int, Callable[[], None]]
"""(seats that it names, groups that it closes, what it does)."""


def is_due(state: State, tree: Index, now: int) -> bool:
    """Tell whether work may be due at `now`; a void timer counts until it is looked at."""
    if now < tree.due_from:
        return False
    if state.closings or state.dissolving.peek() is not None:
        return True
    first = NEVER_NS
    if tree.deadlines:
        first = tree.deadlines[0].deadline
    if tree.holds:
        first = min(first, tree.holds[0][0])
    if tree.alarms:
        first = min(first, tree.alarms[0].at_ns)
    tree.due_from = first
    return first <= now


def next_due_ns(state: State, tree: Index) -> int | None:
    """Return when the first timer that is not void is due, in ns; None when there is none."""
    timer = _first_timer(state, tree)
    return None if timer is None else timer[0]


def do_piece(turn: Turn) -> None:
    """Do one bounded piece of the work that is due; without any, decide nothing."""
    if turn.state.closings:
        closing.next_page(turn, next(iter(turn.state.closings.values())))
        return
    next_item = _withdrawn_group if turn.state.dissolving.peek() is not None else _due_timer
    groups_closed = 0
    while (item := next_item(turn)) is not None:
        seats, groups, act = item
        fits = turn.seats_named + seats <= SEATS_PER_PAGE and groups_closed + groups <= GROUPS_PER_PIECE
        if turn.decisions and not fits:
            return
        groups_closed += groups
        act()
        if turn.state.closings:
            return  # its other pages come before anything else that is due


def _withdrawn_group(turn: Turn) -> _Item | None:
    group_id = turn.state.dissolving.peek()
    if group_id is None:
        return None
    group = turn.state.groups[group_id]
    return _first_page(len(group.seats)), 1, lambda: closing.dissolve(turn, group, "offer_withdrawn")


def _due_timer(turn: Turn) -> _Item | None:
    timer = _first_timer(turn.state, turn.tree)
    if timer is None or timer[0] > turn.now:
        return None
    subject = timer[2]
    if isinstance(subject, Alarm):
        alarm, rule = subject, RULES[subject.kind]
        return rule.size(turn, alarm), 0, lambda: rule.ring(turn, alarm)
    if isinstance(subject, Order):
        return _hold_ends(turn, subject)
    if subject.taken > subject.confirmed:
        return _holds_end_with_group(turn, subject)
    return _deadline(turn, subject)


def _first_timer(state: State, tree: Index) -> tuple[int, int, Group | Order | Alarm] | None:
    """Return the first timer that is not void: by its time, then by the order in which it was made."""
    while tree.deadlines and tree.deadlines[0].status != s.OPEN:
        heapq.heappop(tree.deadlines)
    while tree.holds and _is_void(state, tree.holds[0]):
        heapq.heappop(tree.holds)
    while tree.alarms and RULES[tree.alarms[0].kind].is_void(state, tree.alarms[0]):
        heapq.heappop(tree.alarms)
    first: tuple[int, int, Group | Order | Alarm] | None = tree.holds[0] if tree.holds else None
    if tree.deadlines:
        group = tree.deadlines[0]
        if first is None or (group.deadline, group.no) < first[:2]:
            first = group.deadline, group.no, group
    if tree.alarms:
        alarm = tree.alarms[0]
        if first is None or alarm[:2] < first[:2]:
            first = alarm.at_ns, alarm.no, alarm
    return first


def _is_void(state: State, hold: tuple[int, int, Order]) -> bool:
    return state.holds.get(hold[2].order) != hold[1]


def _first_page(seats: int) -> int:
    return min(seats, SEATS_PER_PAGE)


def _hold_ends(turn: Turn, order: Order) -> _Item:
    group = turn.state.groups[order.group]
    leads_others = group.leader == order.order and len(group.seats) > 1
    dissolves = leads_others and s.terms_of(turn.state, group).leader_leaves == "dissolve"
    seats = 1 + (_first_page(len(group.seats) - 1) if dissolves else 0)
    return seats, 0, lambda: leaving.release(turn, order, group, "hold_ended", may_promote=True)


def _holds_end_with_group(turn: Turn, group: Group) -> _Item:
    held = [o for o in group.seats if turn.state.orders[o].status == s.HELD]

    def release() -> None:
        turn.seats_named += closing.release_unpaid(turn, group, SEATS_PER_PAGE)

    return _first_page(len(held)), 0, release


def _deadline(turn: Turn, group: Group) -> _Item:
    terms = s.terms_of(turn.state, group)
    enough = min(terms.size, terms.fill_if_at_least or terms.size)
    if group.confirmed >= enough:
        return _first_page(len(group.seats)), 1, lambda: closing.fill(turn, group, "deadline")
    donors = matching.find_donors(turn.state, turn.tree, group, terms)
    if donors:
        seats = len(group.seats) + sum(len(donor.seats) for donor in donors)
        return _first_page(seats), 1, lambda: matching.merge(turn, group, donors)
    return _first_page(len(group.seats)), 1, lambda: closing.expire(turn, group)
