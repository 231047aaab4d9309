"""Strikes against members, and the alarm that has the ladder look at one who reaches a higher rung."""

from events.standing_decisions import Ground
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.moment import Moment
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.standing import ladder as rungs


def strike(moment: Moment, member: str, ground: Ground) -> None:
    """Keep a strike against a member; if it takes them up a rung, that is due at once."""
    state = moment.state
    ledge, ladder = state.standing.ledge, rungs.ladder_of(state.market)
    kept = rungs.Strike(moment.now, rungs.POINTS[ground], ground, pack_entry(*state.position))
    record = rungs.note_strike(ledge, ladder, member, kept)
    rungs.forget(ledge, ladder, moment.now)
    if record is not None:
        look_again(moment, member, record)


def look_again(moment: Moment, member: str, record: rungs.Record) -> None:
    """Have the ladder look at a member if what speaks against them reaches a higher rung."""
    ladder = rungs.ladder_of(moment.state.market)
    rung = rungs.rung_for(rungs.total(record, ladder, moment.now), ladder)
    if rung > record.rung and not record.suspect_no:
        moment.state.counter += 1
        record.suspect_no, record.suspect_ns = moment.state.counter, moment.now
        moment.tree.set_alarm(Alarm(moment.now, record.suspect_no, rungs.RUNG_REACHED, member))


def take_back(moment: Moment, member: str, ground: Ground) -> None:
    """Take back the latest strike of a kind: a review found for the member."""
    ledge = moment.state.standing.ledge
    record = ledge.records.get(member)
    if record is None:
        return
    for place in range(len(record.strikes) - 1, -1, -1):
        if record.strikes[place].ground == ground:
            record.strikes = record.strikes[:place] + record.strikes[place + 1 :]
            break
    rungs.drop_if_empty(ledge, member)
