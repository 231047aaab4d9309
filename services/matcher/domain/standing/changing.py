"""What decisions about standing change."""

from collections.abc import Callable
from typing import Any, Final

from events import standing_decisions as d
from events.member_standing import MemberReportedEvent
from events.times import NS_PER_S
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import state as ps
from services.matcher.domain.standing import ladder
from services.matcher.domain.standing.detecting import watch_of
from services.matcher.domain.standing.striking import look_again


def reported(moment: Moment, decision: d.MemberReported) -> None:
    """Keep the complaint; with other things that speak against the member it may take them up a rung."""
    state, event = moment.state, moment.event
    assert isinstance(event, MemberReportedEvent)
    record = ladder.record_of(state.standing.ledge, decision.member)
    assert record is not None, "the rule asked for room"
    record.reports = [*record.reports, ladder.Report(moment.now, event.data.reporter)]
    memory_ns = ladder.ladder_of(state.market).memory_s * NS_PER_S
    state.standing.ledge.aging.push((moment.now + memory_ns, decision.member))
    look_again(moment, decision.member, record)


def sanctioned(moment: Moment, decision: d.MemberWarned | d.MemberLimited | d.MemberBanned) -> None:
    """Put the member on the rung until its time is over."""
    state = moment.state
    ledge = state.standing.ledge
    record = ladder.record_of(ledge, decision.member)
    if record is None:
        record = ledge.records[decision.member] = ladder.Record()  # an operator's word always finds room
    state.counter += 1
    record.rung, record.until_ns, record.no = _RUNG[type(decision)], decision.until, state.counter
    record.suspect_no = record.suspect_ns = 0
    if record.rung >= ladder.LIMITED:
        ledge.sanctioned[decision.member] = record.rung
    moment.tree.set_alarm(Alarm(decision.until, record.no, ladder.SANCTION_ENDS, decision.member))


_RUNG: Final[dict[type, int]] = {
    d.MemberWarned: ladder.RUNGS["warned"],
    d.MemberLimited: ladder.RUNGS["limited"],
    d.MemberBanned: ladder.RUNGS["banned"],
}


def reinstated(moment: Moment, decision: d.MemberReinstated) -> None:
    """Take the member off the ladder; an operator's word also forgets what led there."""
    ledge = moment.state.standing.ledge
    record = ledge.records[decision.member]
    record.rung = record.until_ns = record.no = 0
    ledge.sanctioned.pop(decision.member, None)
    if decision.cause == "operator":
        record.strikes, record.reports = [], []
        record.suspect_no = record.suspect_ns = 0
    ladder.drop_if_empty(ledge, decision.member)


def doubted(moment: Moment, decision: d.AssistDoubted) -> None:
    """Hold an assist for review that had counted; in a play that is over it only ceases to be taken for help."""
    state = moment.state
    play, place = state.plays.plays[decision.play], decision.position - 1
    found = watch_of(moment, play, place)
    if found is not None:
        found[1].set_dropped(found[2], dropped=True)
    if not decision.over:
        play.set_assist_status(place, ps.HELD)
        play.counted -= 1
    _told(moment, decision.play, place)


def _told(moment: Moment, play: str, place: int) -> None:
    """Take a doubt off the list of those to be told."""
    doubts = moment.state.standing.doubts
    key, told = next(iter(doubts.items()))
    assert (told.doubts[0].play, told.doubts[0].place) == (play, place), "doubts are told in order"
    told.doubts = told.doubts[1:]
    if not told.doubts:
        del doubts[key]


CHANGES: Final[dict[type, Callable[[Moment, Any], None]]] = {
    d.MemberReported: reported,
    d.MemberWarned: sanctioned,
    d.MemberLimited: sanctioned,
    d.MemberBanned: sanctioned,
    d.MemberReinstated: reinstated,
    d.AssistDoubted: doubted,
}
