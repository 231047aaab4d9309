"""Detection as the rule of an assist asks for it, and how it remembers what became of assists."""

from typing import TYPE_CHECKING, Final

from events import play_decisions as p
from events.assist import AssistGiven, AssistGivenEvent
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.judging import AssistDecision, Verdict
from services.matcher.domain.plays.state import Play
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.standing import judging
from services.matcher.domain.standing.asking import check_helps
from services.matcher.domain.standing.book import Watch
from services.matcher.domain.standing.ladder import DOUBTS, ladder_of
from services.matcher.domain.standing.observing import observe
from services.matcher.domain.standing.seeing import helping_of, watch_name
from services.matcher.domain.standing.state import Doubt, Doubts
from services.matcher.domain.standing.striking import strike, take_back
from services.matcher.domain.standing.weighing import Evidence

if TYPE_CHECKING:
    from services.matcher.domain.turn import Turn

_COUNTED: Final = Verdict("counted")


def judge(turn: "Turn", play: Play, data: AssistGiven) -> Verdict:
    """Judge an assist that the rules allow. Raises Refusal: member_banned, member_limited."""
    state, giving = turn.state, turn.tree.giving
    if state.standing.ledge.sanctioned:
        check_helps(state, data.member)
    assert giving is not None and giving.data is data, "the rules have looked at it"
    book, helping = state.standing.book, helping_of(state, play, giving, turn.now)
    sight = observe(book, helping)
    giving.seen = helping, sight
    evidence = judging.evidence_of(book, sight)
    if not evidence:
        return _COUNTED
    ladder = ladder_of(state.market)
    verdict = judging.verdict_of(evidence, ladder.hold_points, ladder.refuse_points)
    if verdict.outcome == "counted":
        return _COUNTED
    score = min(100, verdict.score * 100 // ladder.refuse_points)
    return Verdict(verdict.outcome, score, reasons_of(verdict.evidence))


def reasons_of(evidence: list[Evidence]) -> tuple[str, ...]:
    """Return evidence as words, what weighs most first: the signal and how often it was seen."""
    ranked = sorted(evidence, key=lambda piece: -piece.points)
    return tuple([f"{piece.signal}:{piece.seen}" for piece in ranked])


def note(moment: Moment, play: Play, decision: AssistDecision) -> None:
    """Draw the consequences of what became of an assist."""
    # Types compared, since `isinstance` is slow on structs.
    if type(decision) is p.AssistCounted and type(moment.event) is AssistGivenEvent:
        return
    if isinstance(decision, p.AssistVoided):
        _set_dropped(moment, play, decision.position - 1, dropped=True)
        strike(moment, decision.member, "assists_voided")
    elif not isinstance(moment.event, AssistGivenEvent):
        _set_dropped(moment, play, decision.position - 1, dropped=False)
        take_back(moment, decision.member, "assists_held")
    else:
        strike(moment, decision.member, "assists_held" if isinstance(decision, p.AssistHeld) else "assists_refused")
        assert moment.tree.giving is not None, "it has just been remembered"
        _cast_doubts(moment, moment.tree.giving.watch)


def _set_dropped(moment: Moment, play: Play, place: int, *, dropped: bool) -> None:
    found = watch_of(moment, play, place)
    if found is not None:
        found[1].set_dropped(found[2], dropped=dropped)


def watch_of(moment: Moment, play: Play, place: int) -> tuple[int, Watch, int] | None:
    """Return number, watch and row where an assist is remembered, or None where it is forgotten."""
    book, number = moment.state.standing.book, play.watch
    if play.member is None:
        rules = moment.tree.plays.rules(play)
        number = book.numbers.get(watch_name(play, rules.form.held_for(play, rules.terms, place)), 0)
    watch = book.watches.get(number)
    if watch is None:
        return None
    row = watch.row_of(place)
    return None if row is None else (number, watch, row)


def _cast_doubts(moment: Moment, number: int) -> None:
    state = moment.state
    ladder = ladder_of(state.market)
    found = [
        one
        for one in judging.recalls(state.standing.book, number, ladder.hold_points)
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
    state.standing.doubts[key] = Doubts(state.counter, moment.now, pack_entry(*state.position), doubts)
    moment.tree.set_alarm(Alarm(moment.now, state.counter, DOUBTS, key))
