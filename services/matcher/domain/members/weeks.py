"""How far members have come in their calendar week, counted where anything is limited (RULES.md section 8.3)."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from events.market import Participation
from events.member import LimitName
from events.member_decisions import MemberReminded
from services.matcher.domain import state as s
from services.matcher.domain.calendar import week_end_ns
from services.matcher.domain.members.choices import most_now
from services.matcher.domain.members.memory import Members, Week, forget
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import Order, State

_NO_WEEK: Final = Week(ends_ns=0)


class Limit(NamedTuple):
    """A limit in force now."""

    set_by: Literal["member", "market"]
    name: LimitName
    currency: str | None
    most: int

    @property
    def key(self) -> str:
        """What tells it from other limits of the same week."""
        return f"{self.set_by} {self.name} {self.currency or ''}"


def reminded(moment: Moment, decision: MemberReminded) -> None:
    """Note that a member was reminded in this week."""
    limit = Limit(decision.set_by, decision.limit, decision.currency, decision.most)
    _running_week(moment, decision.member).reminded.append(limit.key)


def seat_taken(moment: Moment, order: Order, *, is_new: bool) -> None:
    """Count an order that took a seat, if anything of its member's is limited; one that came back is no new group."""
    if not _is_limited(moment.state, order.member, moment.now):
        return
    week = _running_week(moment, order.member)
    week.groups += is_new
    _spend(week, order, _currency_of(moment.state, order), order.payable_minor)


def order_changed(moment: Moment, order: Order) -> None:
    """Count what an order costs since its quantity was changed."""
    week = _week_with(moment, order)
    if week is not None:
        currency = week.orders[order.order][0]
        _give_back(week, order.order)
        _spend(week, order, currency, order.payable_minor)


def seat_lost(moment: Moment, order: Order) -> None:
    """Give back what an order counted for whose seat came to nothing, while its week runs."""
    week = _week_with(moment, order)
    if week is not None:
        _give_back(week, order.order)


def price_cut(moment: Moment, order: Order, by_minor: int) -> None:
    """Give back what a member pays less for an order than was counted."""
    week = _week_with(moment, order)
    if week is not None:
        currency, counted_minor = week.orders[order.order]
        _give_back(week, order.order)
        _spend(week, order, currency, counted_minor - by_minor)


def assist_counted(moment: Moment, member: str) -> None:
    """Count an assist, if anything of the member's is limited."""
    if _is_limited(moment.state, member, moment.now):
        _running_week(moment, member).assists += 1


def _spend(week: Week, order: Order, currency: str, amount_minor: int) -> None:
    assert amount_minor >= 0 and order.order not in week.orders, "an order counts once"
    if amount_minor:
        week.orders[order.order] = (currency, amount_minor)
        week.spent[currency] = week.spent.get(currency, 0) + amount_minor


def _give_back(week: Week, order_id: str) -> None:
    currency, amount_minor = week.orders.pop(order_id)
    week.spent[currency] -= amount_minor
    assert week.spent[currency] >= 0, "no more is given back than was counted"


def week_of(members: Members, member: str, now_ns: int) -> Week:
    """Return a member's running week, an empty one where none has begun."""
    week = members.weeks.get(member)
    return _NO_WEEK if week is None or now_ns >= week.ends_ns else week


def _week_with(moment: Moment, order: Order) -> Week | None:
    week = week_of(moment.state.members, order.member, moment.now)
    return week if order.order in week.orders else None


def _running_week(moment: Moment, member: str) -> Week:
    """Return a member's running week, begun where need be; weeks that are over are forgotten, some each time."""
    members = moment.state.members
    week = members.weeks.get(member)
    if week is not None and moment.now < week.ends_ns:
        return week
    forget(members.week_ends, members.weeks, attrgetter("ends_ns"), moment.now)
    week = members.weeks[member] = Week(ends_ns=end_of_week_ns(moment))
    members.week_ends.push((week.ends_ns, member))
    return week


def end_of_week_ns(moment: Moment) -> int:
    """Return when the present calendar week in the market's zone is over, in ns."""
    market = moment.state.market
    assert market is not None
    return week_end_ns(moment.tree.zones.offsets(market.timezone), moment.now)


def own_limits(state: State, member: str, now_ns: int) -> Iterator[Limit]:
    """Yield the limits that a member has set itself, as they are in force at `now_ns`."""
    for limit in state.members.of(member).limits or ():
        most = most_now(limit, now_ns)
        if most is not None:
            yield Limit("member", limit.name, limit.currency, most)


def market_limits(state: State) -> Iterator[Limit]:
    """Yield the limits that the market sets for every member."""
    assert state.market is not None
    set_by_market = state.market.participation or Participation()
    if set_by_market.groups is not None:
        yield Limit("market", "groups", None, set_by_market.groups)
    if set_by_market.assists is not None:
        yield Limit("market", "assists", None, set_by_market.assists)
    if set_by_market.spending is not None:
        yield Limit("market", "spending", set_by_market.spending.currency, set_by_market.spending.amount_minor)


def _is_limited(state: State, member: str, now_ns: int) -> bool:
    assert state.market is not None
    return state.market.participation is not None or any(own_limits(state, member, now_ns))


def used(week: Week, limit: Limit) -> int:
    """Return how far a member has come in `week` with what `limit` is about."""
    if limit.name == "groups":
        return week.groups
    if limit.name == "assists":
        return week.assists
    return week.spent.get(limit.currency or "", 0)


def _currency_of(state: State, order: Order) -> str:
    return s.terms_of(state, state.groups[order.group]).currency
