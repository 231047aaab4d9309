"""The rule of an assist (RULES.md section 9)."""

from events import play_decisions as p
from events.assist import AssistGiven, AssistGivenEvent
from events.market import MarketConfigured
from events.reasons import Reason
from services.matcher.domain.index import Index
from services.matcher.domain.members import limits
from services.matcher.domain.plays import ending
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.calendar import week_of
from services.matcher.domain.plays.form import Common, Help
from services.matcher.domain.plays.hashed import NOTHING, assist_key, helper_key, pair_key
from services.matcher.domain.plays.judging import Verdict, judge
from services.matcher.domain.plays.rules import Rules
from services.matcher.domain.plays.state import Play
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

Plain = tuple[Play, Rules, str | None, bool, str]
"""What `decide` needs: (play, rules, whom the assist helps, whether the helper is new, day)."""


def give(turn: Turn, event: AssistGivenEvent) -> None:
    """Let a member help a play: counted, held for review, or refused."""
    data = event.data
    play = turn.state.plays.plays.get(data.play)
    if play is None:
        raise Refusal(Reason.PLAY_UNKNOWN)
    if play.status != ps.OPEN:
        raise Refusal(Reason.PLAY_OVER)
    rules = turn.tree.plays.rules(play)
    helped = _check_helper(play, rules, data)
    market = turn.state.market
    assert market is not None
    if turn.state.plays.assists >= market.assist_capacity:
        raise Refusal(Reason.CAPACITY)
    is_new = _is_new(rules.common, data)
    if rules.common.new_only and not is_new:
        raise Refusal(Reason.NEW_MEMBERS_ONLY)
    day = turn.tree.plays.day(turn.state.plays, market.timezone, turn.now)
    _check_caps(turn, rules.common, data.member, helped, day)
    if turn.state.members.watching and limits.refuses_assist(turn, data.member):
        return
    decide(turn, play, rules, data, helped, is_new=is_new, day=day)


def find_plain(state: State, tree: Index, market: MarketConfigured, now: int, data: AssistGiven) -> Plain | None:
    """Return what `decide` needs of an assist that no rule refuses at `now` (ns); None where a rule might.

    In one pass and without an exception, as `domain.plain` does it for orders: then `give` looks, and says why.
    """
    plays, member = state.plays, data.member
    play = plays.plays.get(data.play)
    if play is None or play.status != ps.OPEN or play.counted >= play.helper_limit or play.member is None:
        return None
    if member == play.member or member == data.via or plays.assists >= market.assist_capacity:
        return None
    if state.members.watching or state.standing.ledge.sanctioned:
        return None
    rules, keys, helper = tree.plays.rules(play), play.keys, helper_key(member)
    if keys.get(helper) != NOTHING or keys.get(assist_key(data.assist)) != NOTHING:
        return None
    common, signals = rules.common, data.signals
    age_days = None if signals is None else signals.account_age_days
    is_new = age_days is not None and age_days < common.new_within_days
    if common.new_only and not is_new:
        return None
    day = tree.plays.day(plays, market.timezone, now)
    helped = rules.form.helped(play, rules.terms, data)
    per_day, per_week = common.per_helper_day, common.per_pair_week
    if day == plays.day:
        if per_day is not None and plays.by_helper.get(helper) >= per_day:
            return None
        if per_week is not None and helped is not None and plays.by_pair.get(pair_key(member, helped)) >= per_week:
            return None
    elif per_day is not None or per_week is not None:
        return None
    return play, rules, helped, is_new, day


def decide(
    turn: Turn, play: Play, rules: Rules, data: AssistGiven, helped: str | None, *, is_new: bool, day: str
) -> None:
    """Decide an assist that no rule refuses, as detection judges it."""
    verdict = judge(turn, play, data)
    if verdict.verdict == "counted":
        count(turn, play, rules, data.assist, data.member, helped, place=play.given, is_new=is_new, day=day)
    else:
        _set_aside(turn, play, data, verdict, is_new=is_new, day=day)


def _check_helper(play: Play, rules: Rules, data: AssistGiven) -> str | None:
    """Return whom the assist helps. Raises Refusal where this member may not help this play, now or again."""
    if data.member in (play.member, data.via):
        raise Refusal(Reason.SELF_HELP)
    helped = rules.form.helped(play, rules.terms, data)
    if play.keys.get(helper_key(data.member)) != NOTHING:
        raise Refusal(Reason.ALREADY_HELPED)
    if play.keys.get(assist_key(data.assist)) != NOTHING:
        raise Refusal(Reason.ASSIST_EXISTS)
    if play.counted >= play.helper_limit:
        raise Refusal(Reason.PLAY_FULL)
    return helped


def _is_new(common: Common, data: AssistGiven) -> bool:
    """Tell whether the helper's account is young; one whose age is not told is not."""
    age_days = None if data.signals is None else data.signals.account_age_days
    return age_days is not None and age_days < common.new_within_days


def _check_caps(turn: Turn, common: Common, member: str, helped: str | None, day: str) -> None:
    plays = turn.state.plays
    per_day, per_week = common.per_helper_day, common.per_pair_week
    today = 0 if per_day is None or day != plays.day else plays.by_helper.get(helper_key(member))
    if per_day is not None and today >= per_day:
        raise Refusal(Reason.HELPER_DAY_CAP)
    if per_week is None or helped is None or week_of(day) != plays.week:
        return
    if plays.by_pair.get(pair_key(member, helped)) >= per_week:
        raise Refusal(Reason.PAIR_WEEK_CAP)


def count(
    turn: Turn,
    play: Play,
    rules: Rules,
    assist: str,
    member: str,
    helped: str | None,
    *,
    place: int,
    is_new: bool,
    day: str | None,
) -> None:
    """Count an assist in an open play that has room, with all that it brings about; without `day` it was held."""
    assert play.counted < play.helper_limit, "nobody helps beyond the limit"
    weight = rules.common.new_weight if is_new else 1
    seed = turn.tree.plays.seed(play.play, play.opened)
    effect = rules.form.effect(play, rules.terms, Help(place, member, weight, helped, seed))
    turn.emit(
        p.AssistCounted(
            play=play.play,
            assist=assist,
            member=member,
            position=place + 1,
            day=day,
            new_member=is_new or None,
            helpers=play.counted + 1,
            helpers_left=play.helpers_left(play.counted + 1),
            publisher=play.publisher,
            **effect.told,
        )
    )
    for decision in effect.decisions:
        turn.emit(decision)
    if rules.form.is_complete(play, rules.terms):
        ending.close(turn, play, "complete")
    if turn.state.members.watching:
        limits.remind(turn, member)


def _set_aside(turn: Turn, play: Play, data: AssistGiven, verdict: Verdict, *, is_new: bool, day: str) -> None:
    assert verdict.reasons, "what does not count says why"
    kind = p.AssistHeld if verdict.verdict == "held" else p.AssistRefused
    new_member = {"new_member": True} if is_new and kind is p.AssistHeld else {}
    turn.emit(
        kind(
            play=play.play,
            assist=data.assist,
            member=data.member,
            position=play.given + 1,
            day=day,
            score=verdict.score,
            reasons=list(verdict.reasons),
            helpers=play.counted,
            publisher=play.publisher,
            **new_member,
        )
    )
