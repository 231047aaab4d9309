"""What a review makes of an assist that is counted or held (RULES.md section 9)."""

from collections.abc import Callable

from events import play_decisions as p
from events.assist import AssistVoided, AssistVoidedEvent
from events.reasons import Reason
from services.matcher.domain.plays import assisting
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.form import Own
from services.matcher.domain.plays.hashed import NOTHING, assist_key, helper_key
from services.matcher.domain.plays.state import Play
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn


def review(turn: Turn, event: AssistVoidedEvent) -> None:
    """Void an assist, or count one that was held."""
    plan_review(turn, event.data)()


def plan_review(turn: Turn, data: AssistVoided) -> Callable[[], None]:
    """Return what decides a review, which cannot fail any more. Raises Refusal when there is nothing to review."""
    play = turn.state.plays.plays.get(data.play)
    if play is None:
        raise Refusal(Reason.PLAY_UNKNOWN)
    place = play.place_of(assist_key(data.assist))
    if place == NOTHING or place != play.place_of(helper_key(data.member)):
        raise Refusal(Reason.ASSIST_UNKNOWN)
    status = play.assist_status(place)
    if status == ps.VOIDED:
        raise Refusal(Reason.ASSIST_VOIDED)
    if status == ps.REFUSED:
        raise Refusal(Reason.ASSIST_REFUSED)
    if data.verdict == "void":
        return lambda: _void(turn, play, data, place, was_counted=status == ps.COUNTED)
    if status != ps.HELD:
        raise Refusal(Reason.ASSIST_NOT_HELD)
    if play.status == ps.OPEN and play.counted >= play.helper_limit:
        raise Refusal(Reason.PLAY_FULL)
    return lambda: _count(turn, play, data, place)


def _void(turn: Turn, play: Play, data: AssistVoided, place: int, *, was_counted: bool) -> None:
    rules = turn.tree.plays.rules(play)
    weight = rules.common.new_weight if play.is_new(place) else 1
    followed: Own | None = None
    if was_counted and play.status == ps.OPEN:
        followed = p.PlayCorrected(
            play=play.play,
            form=play.form,
            member=play.member,
            position=place + 1,
            helpers=play.counted - 1,
            publisher=play.publisher,
            **rules.form.without(play, rules.terms, place, weight),
        )
    elif was_counted:
        followed = _claim(play, data, "voided_after_close", play.counted - 1)
        for name, value in rules.form.claim(play, rules.terms, place, weight).items():
            setattr(followed, name, value)
    turn.emit(
        p.AssistVoided(
            play=play.play,
            assist=data.assist,
            member=data.member,
            position=place + 1,
            was="counted" if was_counted else "held",
            helpers=play.counted - was_counted,
            actor=data.actor,
            reason=data.reason,
            ticket=data.ticket,
            publisher=play.publisher,
        )
    )
    if followed is not None:
        turn.emit(followed)


def _count(turn: Turn, play: Play, data: AssistVoided, place: int) -> None:
    """Count a held assist; in a play that is over it changes nothing but what may be claimed."""
    rules = turn.tree.plays.rules(play)
    if play.status == ps.OPEN:
        helped = rules.form.held_for(play, rules.terms, place)
        is_new = play.is_new(place)
        assisting.count(turn, play, rules, data.assist, data.member, helped, place=place, is_new=is_new, day=None)
        return
    turn.emit(
        p.AssistCounted(
            play=play.play,
            assist=data.assist,
            member=data.member,
            position=place + 1,
            helpers=play.counted + 1,
            helpers_left=play.helpers_left(play.counted + 1),
            publisher=play.publisher,
        )
    )
    turn.emit(_claim(play, data, "counted_after_close", play.counted))


def _claim(play: Play, data: AssistVoided, cause: str, helpers: int) -> p.PlayClaimed:
    return p.PlayClaimed(
        play=play.play,
        form=play.form,
        member=play.member,
        assist=data.assist,
        cause=cause,  # type: ignore[arg-type]  # callers name a cause of the closed list
        helpers=helpers,
        publisher=play.publisher,
    )
