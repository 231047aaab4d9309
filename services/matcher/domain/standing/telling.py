"""Rules of standing: doubts are told, rungs are climbed, sanctions end, operators and members speak (RULES.md)."""

from collections.abc import Callable, Iterator
from typing import Final

from events import play_decisions as p
from events import standing_decisions as d
from events.limits import DURATION_MAX_S, SEATS_PER_PAGE
from events.member_standing import MemberReinstated, MemberReinstatedEvent, MemberReportedEvent, MemberSanctionedEvent
from events.reasons import Reason
from events.record import entry_id
from events.times import NS_PER_S
from services.matcher.domain.alarms import Alarm, AlarmRule
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.state import Play
from services.matcher.domain.positions import unpack_entry
from services.matcher.domain.standing import ladder as rungs
from services.matcher.domain.standing.judging import RECALLS_MAX
from services.matcher.domain.standing.ladder import DOUBTS, RUNG_REACHED, RUNGS, SANCTION_ENDS, WORDS, Record
from services.matcher.domain.standing.state import Doubt
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

_KINDS: Final[dict[int, type[d.MemberWarned | d.MemberLimited | d.MemberBanned]]] = {
    rungs.WARNED: d.MemberWarned,
    rungs.LIMITED: d.MemberLimited,
    rungs.BANNED: d.MemberBanned,
}

assert RECALLS_MAX <= SEATS_PER_PAGE, "one piece of due work tells all doubts that one assist casts"


def report(turn: Turn, event: MemberReportedEvent) -> None:
    """Note that a member complains of another."""
    data = event.data
    if data.member == data.reporter:
        raise Refusal(Reason.SELF_REPORT)
    ledge = turn.state.standing.ledge
    record = ledge.records.get(data.member)
    reports = [] if record is None else record.reports
    if any(one.reporter == data.reporter for one in reports):
        raise Refusal(Reason.ALREADY_REPORTED)
    if len(reports) >= rungs.REPORTS_KEPT or (record is None and len(ledge.records) >= rungs.RECORDS_MAX):
        raise Refusal(Reason.CAPACITY)
    turn.emit(d.MemberReported(member=data.member, reports=len(reports) + 1))


def sanction(turn: Turn, event: MemberSanctionedEvent) -> None:
    """Warn, limit or ban a member on an operator's word; a sanction can be made higher or longer so, never less."""
    data, state = event.data, turn.state
    ladder, rung = rungs.ladder_of(state.market), RUNGS[data.rung]
    record = state.standing.ledge.records.get(data.member) or Record()
    lasts_s = rungs.duration_s(rung, ladder) if data.duration_s is None else min(data.duration_s, DURATION_MAX_S)
    until = turn.now + lasts_s * NS_PER_S
    if record.rung > rung or (record.rung == rung and record.until_ns >= until):
        raise Refusal(Reason.ALREADY_SANCTIONED)
    turn.emit(
        _KINDS[rung](
            member=data.member,
            ground="operator",
            strikes=rungs.total(record, ladder, turn.now),
            evidence_entries=evidence_of(record),
            until=until,
            actor=data.actor,
            reason=data.reason,
            ticket=data.ticket,
        )
    )


def reinstate(turn: Turn, event: MemberReinstatedEvent) -> None:
    """Undo a member's sanction, and forget what led to it."""
    plan_reinstatement(turn, event.data)()


def plan_reinstatement(turn: Turn, data: MemberReinstated) -> Callable[[], None]:
    """Return what decides a reinstatement, which cannot fail any more. Raises Refusal when there is nothing to undo."""
    record = turn.state.standing.ledge.records.get(data.member)
    if record is None or not (record.rung or record.strikes):
        raise Refusal(Reason.NOT_SANCTIONED)
    decision = d.MemberReinstated(
        member=data.member,
        cause="operator",
        was=WORDS.get(record.rung),
        actor=data.actor,
        reason=data.reason,
        ticket=data.ticket,
    )
    return lambda: turn.emit(decision)


def evidence_of(record: Record) -> list[str]:
    """Return the entries that speak against a member, at most sixteen, the latest."""
    return [entry_id(*unpack_entry(strike.entry)) for strike in record.strikes[-rungs.EVIDENCE_SHOWN :]]


# Due work


def _climb(turn: Turn, alarm: Alarm) -> None:
    """Take a member up to the rung that is reached."""
    ladder = rungs.ladder_of(turn.state.market)
    record = turn.state.standing.ledge.records[alarm.key]
    points = rungs.total(record, ladder, turn.now)
    # Reached when the alarm was set, in the entry before this one.
    rung = max(rungs.rung_for(points, ladder), record.rung + 1)
    turn.emit(
        _KINDS[rung](
            member=alarm.key,
            ground=rungs.leading_ground(record),
            strikes=points,
            evidence_entries=evidence_of(record),
            until=turn.now + rungs.duration_s(rung, ladder) * NS_PER_S,
        )
    )


def _end_sanction(turn: Turn, alarm: Alarm) -> None:
    record = turn.state.standing.ledge.records[alarm.key]
    turn.emit(d.MemberReinstated(member=alarm.key, cause="expired", was=WORDS.get(record.rung)))


def _tell_doubts(turn: Turn, alarm: Alarm) -> None:
    """Hold for review what one assist cast doubt on, and correct the plays that are open."""
    told = turn.state.standing.doubts[alarm.key]
    because = entry_id(*unpack_entry(told.because))
    for doubt in told.doubts:
        play = turn.state.plays.plays.get(doubt.play)
        assert play is not None and play.assist_status(doubt.place) == ps.COUNTED, "nothing comes in between"
        _doubt(turn, play, doubt, because)
    turn.seats_named += len(told.doubts)


def _doubt(turn: Turn, play: Play, doubt: Doubt, because: str) -> None:
    corrected: p.PlayCorrected | None = None
    if play.status == ps.OPEN:
        rules = turn.tree.plays.rules(play)
        weight = rules.common.new_weight if play.is_new(doubt.place) else 1
        corrected = p.PlayCorrected(
            play=play.play,
            form=play.form,
            member=play.member,
            position=doubt.place + 1,
            helpers=play.counted - 1,
            publisher=play.publisher,
            **rules.form.without(play, rules.terms, doubt.place, weight),
        )
    turn.emit(
        d.AssistDoubted(
            play=play.play,
            position=doubt.place + 1,
            score=doubt.score,
            reasons=doubt.reasons,
            because=because,
            over=None if corrected is not None else True,
            helpers=play.counted - (corrected is not None),
            publisher=play.publisher,
        )
    )
    if corrected is not None:
        turn.emit(corrected)


def alarms(state: State) -> Iterator[Alarm]:
    """Yield every alarm of standing."""
    for key, told in state.standing.doubts.items():
        yield Alarm(told.at_ns, told.no, DOUBTS, key)
    for member, record in state.standing.ledge.records.items():
        if record.suspect_no:
            yield Alarm(record.suspect_ns, record.suspect_no, RUNG_REACHED, member)
        if record.rung:
            yield Alarm(record.until_ns, record.no, SANCTION_ENDS, member)


def _record(state: State, member: str) -> Record:
    return state.standing.ledge.records.get(member) or Record()


ALARM_RULES: Final[dict[str, AlarmRule]] = {
    DOUBTS: AlarmRule(
        is_void=lambda state, alarm: alarm.key not in state.standing.doubts,
        size=lambda turn, alarm: len(turn.state.standing.doubts[alarm.key].doubts),
        ring=_tell_doubts,
    ),
    RUNG_REACHED: AlarmRule(
        is_void=lambda state, alarm: _record(state, alarm.key).suspect_no != alarm.no,
        size=lambda _turn, _alarm: 1,
        ring=_climb,
    ),
    SANCTION_ENDS: AlarmRule(
        is_void=lambda state, alarm: _record(state, alarm.key).no != alarm.no,
        size=lambda _turn, _alarm: 1,
        ring=_end_sanction,
    ),
}
