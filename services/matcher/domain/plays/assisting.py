"""The rule of an assist (RULES.md section 9)."""

from events import play_decisions as p
from events.assist import AssistGiven, AssistGivenEvent
from events.market import MarketConfigured
from events.reasons import Reason
from services.matcher.domain.index import Index
from services.matcher.domain.members import limits
from services.matcher.domain.plays import caps, ending
from services.matcher.domain.plays import state as ps
from services.matcher.domain.plays.form import Common, Help
from services.matcher.domain.plays.giving import Giving, giving_of
from services.matcher.domain.plays.hashed import NOTHING, assist_key, key_of
from services.matcher.domain.plays.judging import Verdict, judge
from services.matcher.domain.plays.rules import Rules
from services.matcher.domain.plays.state import Play
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

Plain = tuple[Play, Rules, Giving, bool, str]
"""What `decide` needs: (play, rules, the assist, whether the helper is new, day)."""


def give(turn: Turn, event: AssistGivenEvent) -> None:
    """Let a member help a play: counted, held for review, or refused."""
    data = event.data
    play = turn.state.plays.plays.get(data.play)
    if play is None:
        raise Refusal(Reason.PLAY_UNKNOWN)
    if play.status != ps.OPEN:
        raise Refusal(Reason.PLAY_OVER)
    rules = turn.tree.plays.rules(play)
    giving = _check_helper(turn.state, play, rules, data)
    market = turn.state.market
    assert market is not None
    if turn.state.plays.assists >= market.assist_capacity:
        raise Refusal(Reason.CAPACITY)
    is_new = _is_new(rules.common, data)
    if rules.common.new_only and not is_new:
        raise Refusal(Reason.NEW_MEMBERS_ONLY)
    day = turn.tree.plays.day(turn.state.plays, market.timezone, turn.now)
    _check_caps(turn, rules.common, giving, day)
    if turn.state.members.watching and limits.refuses_assist(turn, data.member):
        return
    decide(turn, play, rules, giving, is_new=is_new, day=day)


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
    helper, assist = key_of(member), assist_key(data.assist)
    if play.index is None:
        # Whatever matches, rightly or wrongly, the general rules look at.
        if play.rows.rfind(helper) >= 0 or play.rows.rfind(assist) >= 0:
            return None
    elif play.index.get(helper) != NOTHING or play.index.get(assist) != NOTHING:
        return None
    rules = tree.plays.rules(play)
    common, signals = rules.common, data.signals
    age_days = None if signals is None else signals.account_age_days
    is_new = age_days is not None and age_days < common.new_within_days
    if common.new_only and not is_new:
        return None
    day = tree.plays.day(plays, market.timezone, now)
    helped = rules.form.helped(play, rules.terms, data)
    giving = Giving(data, helper, assist, helped, state.standing.book.helpings.rows(helper))
    if (giving.past or plays.by_pair.count) and _cap_reached(state, common, giving, day, now) is not None:
        return None
    return play, rules, giving, is_new, day


def decide(turn: Turn, play: Play, rules: Rules, giving: Giving, *, is_new: bool, day: str) -> None:
    """Decide an assist that no rule refuses, as detection judges it."""
    data = giving.data
    turn.tree.giving = giving
    verdict = judge(turn, play, data)
    if verdict.verdict == "counted":
        count(turn, play, rules, data.assist, data.member, giving.helped, place=play.given, is_new=is_new, day=day)
    else:
        _set_aside(turn, play, data, verdict, is_new=is_new, day=day)


def _check_helper(state: State, play: Play, rules: Rules, data: AssistGiven) -> Giving:
    """Return the assist. Raises Refusal where this member may not help this play, now or again."""
    if data.member in (play.member, data.via):
        raise Refusal(Reason.SELF_HELP)
    giving = giving_of(state, play, rules, data)
    if play.place_of(giving.helper) != NOTHING:
        raise Refusal(Reason.ALREADY_HELPED)
    if play.place_of(giving.assist) != NOTHING:
        raise Refusal(Reason.ASSIST_EXISTS)
    if play.counted >= play.helper_limit:
        raise Refusal(Reason.PLAY_FULL)
    return giving


def _is_new(common: Common, data: AssistGiven) -> bool:
    """Tell whether the helper's account is young; one whose age is not told is not."""
    age_days = None if data.signals is None else data.signals.account_age_days
    return age_days is not None and age_days < common.new_within_days


def _check_caps(turn: Turn, common: Common, giving: Giving, day: str) -> None:
    reason = _cap_reached(turn.state, common, giving, day, turn.now)
    if reason is not None:
        raise Refusal(reason)


def _cap_reached(state: State, common: Common, giving: Giving, day: str, now_ns: int) -> Reason | None:
    """Return the reason of the first cap that the helper has reached, or None."""
    per_day, per_week = common.per_helper_day, common.per_pair_week
    if per_day is not None and caps.helped_today(giving, day, now_ns) >= per_day:
        return Reason.HELPER_DAY_CAP
    if per_week is None or giving.helped is None:
        return None
    return Reason.PAIR_WEEK_CAP if caps.pair_this_week(state, giving, day, now_ns) >= per_week else None


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
