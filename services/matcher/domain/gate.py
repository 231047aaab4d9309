"""Before the rules (RULES.md section 1): who may speak, what was said before, and when."""

import re
from collections.abc import Sequence
from sys import intern
from typing import Final

from events import clock, market, order
from events.market import MarketConfigured
from events.raw import Unread
from events.reasons import Reason
from events.registry import FAMILY_OF, AnyEvent
from events.subjects import GATEWAY, MATCHER, MIXED, OPERATOR
from events.times import NS_PER_S
from services.matcher.domain import seating
from services.matcher.domain.forgetting import may_be_forgotten
from services.matcher.domain.identities import identity_key, recall
from services.matcher.domain.message import Message
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

_FAMILIES_BY_OFFICE: Final = {
    OPERATOR: frozenset({"market", "member", "dispute", "offer", "group", "play", "assist"}),
    MATCHER: frozenset({"clock"}),
}
_WRAPPED: Final = re.compile(rb'\{"publisher":"([A-Za-z0-9_-]{1,64})",').match
_OWED_BACK: Final = (Reason.ID_REUSED, Reason.TOO_OLD, Reason.FROM_THE_FUTURE, Reason.CAPACITY)


def configuration(state: State, event: AnyEvent | None) -> MarketConfigured | None:
    """Return the configuration that `event` is judged by: for the first one of a market, itself."""
    if state.market is None and isinstance(event, market.MarketConfiguredEvent):
        return event.data
    return state.market


def accepted_time(configured: MarketConfigured | None, last: int, message: Message, claimed_at: int) -> int:
    """Return the accepted time of an input in ns, at the earliest `last`; `claimed_at` is its own, 0 if unreadable."""
    at = message.at if configured is None or configured.clock == "broker" else claimed_at
    return max(last, at)


def unwrap(raws: Sequence[Unread]) -> tuple[list[str | None], list[Unread]]:
    """Return the publishers and own bytes of events that came by the gateway; (None, `raw`) for one it did not wrap.

    The gateway puts the attribute `publisher` before an event's own bytes. Taken off, the same event is the same
    whichever way it came in, and its limits are its own. A publisher's events come many at a time: what begins like
    the one before is not searched, which is half a microsecond less for each.
    """
    publishers: list[str | None] = []
    owns: list[Unread] = []
    head, publisher = b"", None
    for raw in map(bytes, raws):
        if not head or not raw.startswith(head):
            wrapped = _WRAPPED(raw)
            head, publisher = (b"", None) if wrapped is None else (wrapped[0], intern(wrapped[1].decode("ascii")))
        publishers.append(publisher)
        owns.append(b"{" + raw[len(head) :] if head else raw)
    return publishers, owns


def publisher_of(message: Message, event: AnyEvent) -> str:
    """Return who published an event that the gateway did not wrap."""
    if message.publisher == GATEWAY and message.family == MIXED and isinstance(event.publisher, str):
        return intern(event.publisher)
    return intern(message.publisher)


def check_right(state: State, message: Message, publisher: str, event: AnyEvent) -> None:
    """Raise Refusal unless `publisher` may publish such an event here."""
    family = FAMILY_OF[type(event)]
    if state.market is None and family != "market":
        raise Refusal(Reason.MARKET_NOT_CONFIGURED)
    if family != message.family and not (message.family == MIXED and message.publisher == GATEWAY):
        raise Refusal(Reason.WRONG_FAMILY)
    if state.market is not None and family in state.market.publishers.get(publisher, ()):
        return
    if family not in _FAMILIES_BY_OFFICE.get(publisher, ()):
        raise Refusal(Reason.PUBLISHER_NOT_ALLOWED)


def check_identity(turn: Turn, event: AnyEvent, raw: bytes) -> bytes | None:
    """Return the key under which the event is to be remembered; None for a tick, and when what is known answers.

    Raises Refusal: id_reused, too_old, from_the_future, capacity.
    """
    key = None
    if not isinstance(event, clock.ClockTickedEvent):
        key = identity_key(turn.publisher, event.source, event.id)
        remembered = turn.tree.identities.get(key)
        if remembered is not None:
            duplicate = recall(remembered, raw)
            if duplicate is None:
                raise Refusal(Reason.ID_REUSED)
            turn.emit(duplicate)
            return None
    return key


def check_time(turn: Turn, configured: MarketConfigured, event: AnyEvent, claimed_at: int) -> None:
    """Raise Refusal when the event's own time is too far from the accepted one, or identities are at capacity."""
    if claimed_at <= turn.now - configured.replay_window_s * NS_PER_S:
        raise Refusal(Reason.TOO_OLD)
    if claimed_at > turn.now + configured.future_slack_s * NS_PER_S:
        raise Refusal(Reason.FROM_THE_FUTURE)
    full = turn.tree.identities.count >= configured.identity_capacity
    if full and not isinstance(event, clock.ClockTickedEvent):
        raise Refusal(Reason.CAPACITY)


def owe_back_early(
    turn: Turn, configured: MarketConfigured | None, event: AnyEvent, claimed_at: int, reason: Reason
) -> None:
    """Owe back what an order carries that was refused before its own rule saw it."""
    if reason not in _OWED_BACK or not isinstance(event, order.OrderPostedEvent | order.OrderJoinedEvent):
        return
    assert configured is not None, "a right to speak needs a configuration"
    if reason is Reason.TOO_OLD and may_be_forgotten(configured, claimed_at, turn.now):
        # Nobody knows any more what this payment bought: to owe it back could give away what was honoured.
        return
    seating.owe_back(turn, event.data)
