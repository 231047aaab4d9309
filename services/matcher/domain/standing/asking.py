"""What other rules ask of standing: may this member order, help, invite?"""

from events.member_standing import Rung
from events.reasons import Reason
from services.matcher.domain.standing.ladder import BANNED, WORDS
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal


def standing_of(state: State, member: str, now_ns: int) -> Rung | None:
    """Return the rung on which `member` stands at `now_ns`, or None; at its end a sanction is over."""
    record = state.standing.ledge.records.get(member)
    if record is None or not record.rung or record.until_ns <= now_ns:
        return None
    return WORDS[record.rung]


def check_helps(state: State, member: str) -> None:
    """Raise Refusal when a member may neither help nor invite: banned or limited."""
    sanctioned = state.standing.ledge.sanctioned
    if sanctioned and member in sanctioned:
        raise Refusal(Reason.MEMBER_BANNED if sanctioned[member] == BANNED else Reason.MEMBER_LIMITED)


def check_orders(state: State, member: str) -> None:
    """Raise Refusal when a member may not order: banned."""
    if state.standing.ledge.sanctioned.get(member) == BANNED:
        raise Refusal(Reason.MEMBER_BANNED)


def may_invite(state: State, member: str) -> bool:
    """Tell whether a member may invite: neither limited nor banned."""
    return member not in state.standing.ledge.sanctioned
