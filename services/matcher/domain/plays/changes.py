"""What decisions about plays and assists change."""

from collections.abc import Callable
from sys import intern
from typing import Any, Final

from events import play_decisions as p
from events.assist import AssistGivenEvent
from events.play import PlayOpenedEvent
from services.matcher.domain.alarms import Alarm
from services.matcher.domain.members import weeks
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays import caps
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.calendar import week_of
from services.matcher.domain.plays.form import Own
from services.matcher.domain.plays.giving import Giving, giving_of
from services.matcher.domain.plays.hashed import Table, pair_key
from services.matcher.domain.plays.judging import note
from services.matcher.domain.plays.rules import rules_text
from services.matcher.domain.plays.state import Play
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.standing.learning import learn
from services.matcher.domain.standing.observing import observe
from services.matcher.domain.standing.seeing import helping_of


def play_opened(moment: Moment, decision: p.PlayOpened) -> None:
    """Add the play and the alarm of its end."""
    state, tree, event = moment.state, moment.tree, moment.event
    assert isinstance(event, PlayOpenedEvent)
    data = event.data
    assert state.market is not None
    rules = tree.plays.read(rules_text(data, state.market))
    opening = rules.form.open(data, rules.terms)
    state.counter += 1
    play = Play(
        play=data.play,
        form=rules.form.name,
        publisher=intern(decision.publisher),
        ends_ns=decision.ends_at,
        no=state.counter,
        opened=pack_entry(*state.position[:2], 0),
        helper_limit=opening.helper_limit,
        rules=rules.text,
        member=data.member,
        offer=data.offer,
        width=1 + rules.form.value_bytes + ps.KEYS_BYTES,
        number=opening.number,
    )
    state.plays.plays[play.play] = play
    if rules.form.takes_groups(rules.terms) and data.offer is not None:
        state.plays.by_offer.setdefault(data.offer, []).append(play.play)
    tree.set_alarm(Alarm(play.ends_ns, play.no, ps.ENDS, play.play))


def play_closed(moment: Moment, decision: p.PlayClosed) -> None:
    """End the play; if prizes are to be drawn, that is due at once."""
    state = moment.state
    play = state.plays.plays[decision.play]
    play.status = ps.CLOSED
    if play.offer is not None and play.play in state.plays.by_offer.get(play.offer, ()):
        state.plays.by_offer[play.offer].remove(play.play)
        if not state.plays.by_offer[play.offer]:
            del state.plays.by_offer[play.offer]
    state.plays.ended.push((moment.now, play.play))
    if decision.winners:
        state.counter += 1
        play.no, play.ends_ns, play.to_draw = state.counter, moment.now, decision.winners
        moment.tree.set_alarm(Alarm(moment.now, play.no, ps.DRAWS, play.play))


def assist_counted(moment: Moment, decision: p.AssistCounted) -> None:
    """Count the assist: a new one, or one that was held."""
    play = moment.state.plays.plays[decision.play]
    place = decision.position - 1
    if place == play.given:
        assert decision.day is not None
        _enter(moment, play, ps.COUNTED | ps.NEW if decision.new_member else ps.COUNTED, decision.day)
    else:
        play.set_assist_status(place, ps.COUNTED)
    play.counted += 1
    if moment.state.members.watching:
        weeks.assist_counted(moment, decision.member)
    note(moment, play, decision)


def assist_held(moment: Moment, decision: p.AssistHeld) -> None:
    """Keep the assist for review."""
    play = moment.state.plays.plays[decision.play]
    giving = _enter(moment, play, ps.HELD | ps.NEW if decision.new_member else ps.HELD, decision.day)
    rules = moment.tree.plays.rules(play)
    rules.form.hold(moment, play, rules.terms, decision.position - 1, giving.helped)
    note(moment, play, decision)


def assist_refused(moment: Moment, decision: p.AssistRefused) -> None:
    """Remember that the assist was refused: it may not be tried again."""
    play = moment.state.plays.plays[decision.play]
    _enter(moment, play, ps.REFUSED, None)
    note(moment, play, decision)


def _enter(moment: Moment, play: Play, status: int, day: str | None) -> Giving:
    """Keep an assist: in its play, for caps where they count it on `day`, and in what detection remembers."""
    state, giving = moment.state, _giving(moment, play)
    if giving.seen is None:
        helping = helping_of(state, play, giving, moment.now)
        giving.seen = helping, observe(state.standing.book, helping)
    mark = 0 if day is None else _count_for_caps(state.plays, play, giving, day)
    helping, sight = giving.seen
    counted = status & ps.STATUS == ps.COUNTED
    giving.watch = learn(state.standing.book, helping, sight, counted=counted, day_mark=mark)
    if play.member is not None:
        play.watch = giving.watch
    play.add_place(status, giving.helper, giving.assist)
    state.plays.assists += 1
    return giving


def _giving(moment: Moment, play: Play) -> Giving:
    """Return the assist as the rules looked at it or, when recovering, looked up now."""
    event, giving = moment.event, moment.tree.giving
    assert type(event) is AssistGivenEvent
    if giving is None or giving.data is not event.data:
        giving = moment.tree.giving = giving_of(moment.state, play, moment.tree.plays.rules(play), event.data)
    return giving


def _count_for_caps(plays: ps.Plays, play: Play, giving: Giving, day: str) -> int:
    """Return the mark under which caps find the assist; what it does not tell is counted here."""
    if day != plays.day:
        plays.day = day
        if week_of(day) != plays.week:
            plays.week, plays.by_pair = week_of(day), Table()
    if not caps.is_elsewhere(play, giving.helped):
        return caps.mark_of_day(day)
    if giving.helped is not None:
        plays.by_pair.add(pair_key(giving.data.member, giving.helped), 1)
    return caps.mark_of_day(day) | caps.ELSEWHERE


def assist_voided(moment: Moment, decision: p.AssistVoided) -> None:
    """Count the assist no more. It stays known: its helper may not help the play again."""
    play = moment.state.plays.plays[decision.play]
    place = decision.position - 1
    play.set_assist_status(place, ps.VOIDED)
    play.counted -= decision.was == "counted"
    assert play.counted >= 0
    note(moment, play, decision)


def of_form(moment: Moment, decision: Own) -> None:
    """Let the play's form follow what it decided."""
    play = moment.state.plays.plays[decision.play]
    rules = moment.tree.plays.rules(play)
    rules.form.apply(moment, play, rules.terms, decision)


CHANGES: Final[dict[type, Callable[[Moment, Any], None]]] = {
    p.PlayOpened: play_opened,
    p.PlayClosed: play_closed,
    p.AssistCounted: assist_counted,
    p.AssistHeld: assist_held,
    p.AssistRefused: assist_refused,
    p.AssistVoided: assist_voided,
    **dict.fromkeys((p.PriceCut, p.PlayAdvanced, p.PlayTicketed, p.PlayWon, p.PlayCorrected, p.PlayClaimed), of_form),
}
