"""Sensible participation: limits on a member's calendar week, the member's own and the market's (RULES.md section 8.3).

Nothing here runs while nobody has a limit: who takes a seat asks `state.members.watching` first. A week's count begins
with the limit, and only what is limited is counted.
"""

from typing import Final

from events import decisions as d
from events.member import LimitName
from events.member_decisions import MemberReminded
from events.reasons import Reason
from services.matcher.domain.members.weeks import end_of_week_ns, market_limits, own_limits, used, week_of
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

OWN_LIMITS: Final[dict[Reason, LimitName]] = {
    Reason.SELF_LIMIT_GROUPS: "groups",
    Reason.SELF_LIMIT_ASSISTS: "assists",
    Reason.SELF_LIMIT_SPENDING: "spending",
}
"""The limit behind each refusal for a limit of the member's own."""


def check_order(turn: Turn, member: str, payable_minor: int, currency: str) -> None:
    """Raise Refusal when one more order would take `member` past a limit of the member's own."""
    week = week_of(turn.state.members, member, turn.now)
    for limit in own_limits(turn.state, member, turn.now):
        if limit.name == "groups" and week.groups + 1 > limit.most:
            raise Refusal(Reason.SELF_LIMIT_GROUPS)
    check_spending(turn, member, payable_minor, currency)


def check_spending(turn: Turn, member: str, more_minor: int, currency: str) -> None:
    """Raise Refusal when `more_minor` would take `member` past the own limit on spending in this currency."""
    spent_minor = week_of(turn.state.members, member, turn.now).spent.get(currency, 0)
    for limit in own_limits(turn.state, member, turn.now):
        if limit.currency == currency and spent_minor + more_minor > limit.most and more_minor > 0:
            raise Refusal(Reason.SELF_LIMIT_SPENDING, currency)


def refuses_assist(turn: Turn, member: str) -> bool:
    """Tell whether one more assist would take `member` past a limit of the member's own; refuse it, if so."""
    week = week_of(turn.state.members, member, turn.now)
    limits = own_limits(turn.state, member, turn.now)
    is_past = any(limit.name == "assists" and week.assists + 1 > limit.most for limit in limits)
    if is_past:
        turn.emit(d.Refused(reason=Reason.SELF_LIMIT_ASSISTS))
        remind(turn, member, Reason.SELF_LIMIT_ASSISTS)
    return is_past


def remind(turn: Turn, member: str, refused: Reason | None = None, currency: str | None = None) -> None:
    """Remind `member` of every limit reached for the first time in this week.

    Also of the own limit, in `currency` where it is about money, that something was just `refused` for.
    """
    week = week_of(turn.state.members, member, turn.now)
    past = None if refused is None else ("member", OWN_LIMITS[refused], currency)
    for limit in [*own_limits(turn.state, member, turn.now), *market_limits(turn.state)]:
        so_far = used(week, limit)
        is_due = so_far >= limit.most or limit[:3] == past
        if not is_due or limit.key in week.reminded:
            continue
        turn.emit(
            MemberReminded(
                member=member,
                limit=limit.name,
                set_by=limit.set_by,
                used=so_far,
                most=limit.most,
                currency=limit.currency,
                week_ends=end_of_week_ns(turn),
            )
        )
