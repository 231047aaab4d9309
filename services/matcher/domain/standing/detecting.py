"""Detection as the rule of an assist asks for it, and how it remembers what became of assists."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from events import play_decisions as p
from events.assist import AssistGiven, AssistGivenEvent
from events.signals import Signals
from services.matcher.domain import state as s
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.hashed import NOTHING, helper_key
from services.matcher.domain.plays.judging import AssistDecision, Verdict
from services.matcher.domain.plays.state import Play
from services.matcher.domain.standing import judging
from services.matcher.domain.standing.asking import check_helps
from services.matcher.domain.standing.book import Watch
from services.matcher.domain.standing.helping import Helping
from services.matcher.domain.standing.ladder import DOUBTS, ladder_of
from services.matcher.domain.standing.learning import learn
from services.matcher.domain.standing.observing import Sight, observe
from services.matcher.domain.standing.state import Doubt, Doubts
from services.matcher.domain.standing.striking import strike, take_back
from services.matcher.domain.standing.weighing import Evidence
from services.matcher.domain.state import State

if TYPE_CHECKING:
    from services.matcher.domain.turn import Turn

NOTIFIED: Final[list[Callable[[State, str, str], bool]]] = []
"""What else knows that a member (third) was notified of, or invited to, a play (second); the families that do are
registered here by `engine`. Sharing is known from the assists themselves."""

_COUNTED: Final = Verdict("counted")
_NO_SIGNALS: Final = Signals()


def judge(turn: "Turn", play: Play, data: AssistGiven) -> Verdict:
    """Judge an assist that the rules allow. Raises Refusal: member_banned, member_limited."""
    if turn.state.standing.ledge.sanctioned:
        check_helps(turn.state, data.member)
    ladder = ladder_of(turn.state.market)
    helping = _helping(turn, play, data)
    verdict = judging.judge(turn.state.standing.book, helping, ladder.hold_points, ladder.refuse_points)
    turn.tree.seen = (data, helping, verdict.sight)
    if verdict.outcome == "counted":
        return _COUNTED
    score = min(100, verdict.score * 100 // ladder.refuse_points)
    return Verdict(verdict.outcome, score, reasons_of(verdict.evidence))


def reasons_of(evidence: list[Evidence]) -> tuple[str, ...]:
    """Return evidence as words, what weighs most first: the signal and how often it was seen."""
    ranked = sorted(evidence, key=lambda piece: -piece.points)
    return tuple([f"{piece.signal}:{piece.seen}" for piece in ranked])


def note(moment: Moment, play: Play, decision: AssistDecision) -> None:
    """Remember what became of an assist."""
    book, place = moment.state.standing.book, decision.position - 1
    if isinstance(decision, p.AssistVoided):
        _set_dropped(moment, play, place, dropped=True)
        strike(moment, decision.member, "assists_voided")
        return
    event = moment.event
    if not isinstance(event, AssistGivenEvent):
        _set_dropped(moment, play, place, dropped=False)
        take_back(moment, decision.member, "assists_held")
        return
    helping, sight = _seen(moment, play, event.data, place)
    counted = isinstance(decision, p.AssistCounted)
    learn(book, helping, sight, counted=counted)
    if not counted:
        strike(moment, decision.member, "assists_held" if isinstance(decision, p.AssistHeld) else "assists_refused")
        _cast_doubts(moment, helping)


def _seen(moment: Moment, play: Play, data: AssistGiven, place: int) -> tuple[Helping, Sight]:
    """Return what an assist shows: as it was seen when it was judged or, when recovering, seen now."""
    seen, moment.tree.seen = moment.tree.seen, None
    if seen is not None and seen[0] is data:
        return seen[1], seen[2]
    helping = _helping(moment, play, data, place)
    return helping, observe(moment.state.standing.book, helping)


def _helping(moment: Moment, play: Play, data: AssistGiven, place: int | None = None) -> Helping:
    beneficiary, name = play.member, play.play
    if beneficiary is None:
        rules = moment.tree.plays.rules(play)
        beneficiary = rules.form.helped(play, rules.terms, data) or play.play
        name = f"{play.play}/{beneficiary}"
    signals = _NO_SIGNALS if data.signals is None else data.signals
    place = play.given if place is None else place
    called = _called(moment.state, play, data)
    device, network, age_days = signals.device, signals.network, signals.account_age_days
    return Helping(play.play, place, data.member, beneficiary, name, moment.now, device, network, age_days, *called)


def _called(state: State, play: Play, data: AssistGiven) -> tuple[bool, bool]:
    """Tell whether a share, a notice or an invitation reached the helper, and whether it was a helper's share."""
    via = data.via
    if via is not None:
        if play.member is None or via == play.member:
            return True, False
        if play.keys.get(helper_key(via)) != NOTHING:
            return True, True
    for knows in NOTIFIED:
        if knows(state, data.play, data.member):
            return True, False
    return False, False


def _set_dropped(moment: Moment, play: Play, place: int, *, dropped: bool) -> None:
    watch = watch_of(moment, play, place)
    if watch is not None:
        watch[0].set_dropped(watch[1], dropped=dropped)


def watch_of(moment: Moment, play: Play, place: int) -> tuple[Watch, int] | None:
    """Return the watch and the row in which an assist is remembered, or None where it is forgotten."""
    book = moment.state.standing.book
    if play.member is not None:
        number = book.numbers.get(play.play)
    else:
        rules = moment.tree.plays.rules(play)
        helped = rules.form.held_for(play, rules.terms, place)
        number = book.numbers.get(f"{play.play}/{helped or play.play}")
    if number is None:
        return None
    watch = book.watches[number]
    row = watch.row_of(place)
    return None if row is None else (watch, row)


def _cast_doubts(moment: Moment, helping: Helping) -> None:
    state = moment.state
    ladder = ladder_of(state.market)
    found = [
        one
        for one in judging.recalls(state.standing.book, helping.name, ladder.hold_points)
        if (other := state.plays.plays.get(one.play)) is not None and other.assist_status(one.place) == ps.COUNTED
    ]
    if not found:
        return
    state.counter += 1
    doubts = [
        Doubt(one.play, one.place, min(100, one.score * 100 // ladder.refuse_points), list(reasons_of(one.evidence)))
        for one in found
    ]
    key = str(state.counter)
    state.standing.doubts[key] = Doubts(state.counter, moment.now, s.pack_entry(*state.position), doubts)
    moment.tree.set_alarm(Alarm(moment.now, state.counter, DOUBTS, key))
