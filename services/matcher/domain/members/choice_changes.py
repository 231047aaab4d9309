"""What decisions about members' choices change."""

from events.member_decisions import MemberChose
from services.matcher.domain.moment import Moment
from services.matcher.domain.state import State


def chosen(moment: Moment, decision: MemberChose) -> None:
    """Put a member's choices in force."""
    members = moment.state.members
    before = members.of(decision.member)
    members.choices[decision.member] = decision.choices
    members.limited += bool(decision.choices.limits) - bool(before.limits)
    watch(moment.state)


def watch(state: State) -> None:
    """Note whether anybody's orders have to be counted."""
    in_market = state.market is not None and state.market.participation is not None
    state.members.watching = in_market or state.members.limited > 0
