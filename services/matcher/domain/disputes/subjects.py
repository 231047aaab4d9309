"""What a dispute is about, as far as the matcher knows it: whose it is, and when it was over."""

from collections.abc import Callable
from typing import Final, NamedTuple

from events.dispute import DisputeOpened
from events.reasons import Reason
from events.times import parse_time_ns
from services.matcher.domain import state as s
from services.matcher.domain.plays import state as plays
from services.matcher.domain.plays.hashed import NOTHING, assist_key, helper_key
from services.matcher.domain.plays.state import Play
from services.matcher.domain.standing.asking import standing_of
from services.matcher.domain.state import Order, State
from services.matcher.domain.terms import Refusal


class Subject(NamedTuple):
    """What is disputed: since when (ns) the claim period runs, None while it does not, and the order concerned."""

    since_ns: int | None
    order: Order | None = None
    group: str | None = None
    offer: str | None = None
    play: str | None = None
    publisher: str | None = None


def find_subject(state: State, data: DisputeOpened) -> Subject:
    """Return what `data` disputes. Raises Refusal: subject_unknown, not_concerned."""
    return FINDERS[data.about](state, data)


def _order(state: State, data: DisputeOpened) -> Subject:
    order = state.orders.get(data.disputed)
    if order is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    if order.member != data.member:
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_order(state, order)


def _group(state: State, data: DisputeOpened) -> Subject:
    group = state.groups.get(data.disputed)
    if group is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    seated = (state.orders.get(order_id) for order_id in group.seats)
    order = next((order for order in seated if order is not None and order.member == data.member), None)
    if order is None:
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_order(state, order)


def _of_order(state: State, order: Order) -> Subject:
    seated = order.status in (s.HELD, s.CONFIRMED)
    group = state.groups[order.group]
    since_ns = None if seated else order.ended_at
    return Subject(since_ns, order, group.group, group.offer, publisher=order.publisher)


def _play(state: State, data: DisputeOpened) -> Subject:
    play = _known_play(state, data.disputed)
    if play.member != data.member and play.place_of(helper_key(data.member)) == NOTHING:
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_play(play)


def _assist(state: State, data: DisputeOpened) -> Subject:
    if data.play is None:
        raise Refusal(Reason.REMEDY_INCOMPLETE, "data.play")
    play = _known_play(state, data.play)
    place = play.place_of(assist_key(data.disputed))
    if place == NOTHING:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    if play.member != data.member and place != play.place_of(helper_key(data.member)):
        raise Refusal(Reason.NOT_CONCERNED)
    return _of_play(play)


def _known_play(state: State, name: str) -> Play:
    play = state.plays.plays.get(name)
    if play is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    return play


def _of_play(play: Play) -> Subject:
    since_ns = None if play.status == plays.OPEN else play.ends_ns
    return Subject(since_ns, offer=play.offer, play=play.play, publisher=play.publisher)


def _invitation(state: State, data: DisputeOpened) -> Subject:
    # Of an invitation that was allowed the matcher keeps who and whom as a digest only, so the claimant is believed.
    if data.disputed not in state.members.invited:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    return _told(state, data)


def _told(_: State, data: DisputeOpened) -> Subject:
    """Take what the matcher keeps no list of at the claimant's word."""
    return Subject(None if data.happened_at is None else parse_time_ns(data.happened_at))


def _sanction(state: State, data: DisputeOpened) -> Subject:
    # A member has one sanction at a time: `disputed` names the entry that it was told in.
    if standing_of(state, data.member, state.now) is None:
        raise Refusal(Reason.SUBJECT_UNKNOWN)
    return _told(state, data)


FINDERS: Final[dict[str, Callable[[State, DisputeOpened], Subject]]] = {
    "order": _order,
    "group": _group,
    "play": _play,
    "assist": _assist,
    "invitation": _invitation,
    "notice": _told,
    "sanction": _sanction,
}
"""By what a dispute can be about."""
