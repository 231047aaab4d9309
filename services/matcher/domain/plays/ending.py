"""How a play ends: at its time, when it is complete, or by an event; and the draws that follow (RULES.md section 9)."""

from collections.abc import Iterator
from typing import Final, Literal

from events import play_decisions as p
from events.limits import SEATS_PER_PAGE
from events.play import PlayClosed, PlayClosedEvent
from events.reasons import Reason
from services.matcher.domain.alarms import Alarm, AlarmRule
from services.matcher.domain.plays import lottery
from services.matcher.domain.plays.drawing import Board
from services.matcher.domain.plays.state import DRAWS, ENDS, OPEN, Play
from services.matcher.domain.state import State
from services.matcher.domain.terms import Refusal
from services.matcher.domain.turn import Turn

Cause = Literal["ended", "complete", "bought", "early", "cancelled"]


def close_play(turn: Turn, event: PlayClosedEvent) -> None:
    """Close a play before its time."""
    data = event.data
    play = turn.state.plays.plays.get(data.play)
    if play is None:
        raise Refusal(Reason.PLAY_UNKNOWN)
    if play.status != OPEN:
        raise Refusal(Reason.PLAY_OVER)
    rules = turn.tree.plays.rules(play)
    if data.cause == "bought" and "price_minor" not in rules.form.standing(play, rules.terms):
        raise Refusal(Reason.NOTHING_TO_BUY)
    if data.cause == "cancelled":
        for field in ("actor", "reason", "ticket"):
            if getattr(data, field) is None:
                raise Refusal(Reason.PLAY_INCOMPLETE, field)
    close(turn, play, data.cause, data)


def close(turn: Turn, play: Play, cause: Cause, data: PlayClosed | None = None) -> None:
    """Close `play` and show its seed."""
    rules = turn.tree.plays.rules(play)
    turn.emit(
        p.PlayClosed(
            play=play.play,
            form=play.form,
            member=play.member,
            cause=cause,
            seed=turn.tree.plays.seed(play.play, play.opened).hex(),
            helpers=play.counted,
            order=None if data is None else data.order,
            actor=None if data is None else data.actor,
            reason=None if data is None else data.reason,
            ticket=None if data is None else data.ticket,
            publisher=play.publisher,
            **rules.form.ending(play, rules.terms, cause),
        )
    )


def alarms(state: State) -> Iterator[Alarm]:
    """Yield the alarms of all plays: the end of open ones, the draws of those that are being drawn."""
    for play in state.plays.plays.values():
        if play.status == OPEN:
            yield Alarm(play.ends_ns, play.no, ENDS, play.play)
        elif play.drawn < play.to_draw:
            yield Alarm(play.ends_ns, play.no, DRAWS, play.play)


def _has_ended(state: State, alarm: Alarm) -> bool:
    play = state.plays.plays.get(alarm.key)
    return play is None or play.status != OPEN or play.no != alarm.no


def _end(turn: Turn, alarm: Alarm) -> None:
    turn.seats_named += 1
    close(turn, turn.state.plays.plays[alarm.key], "ended")


def _is_drawn(state: State, alarm: Alarm) -> bool:
    play = state.plays.plays.get(alarm.key)
    return play is None or play.no != alarm.no or play.drawn >= play.to_draw


def _page_of_draws(turn: Turn, alarm: Alarm) -> int:
    play = turn.state.plays.plays[alarm.key]
    return min(SEATS_PER_PAGE, play.to_draw - play.drawn)


def _draw(turn: Turn, alarm: Alarm) -> None:
    """Draw the next page of prizes; the alarm stays until all are drawn."""
    play = turn.state.plays.plays[alarm.key]
    board = _board(turn, play)
    terms = turn.tree.plays.rules(play).terms
    prizes = lottery.prizes_from(terms, play.drawn)
    for _ in range(_page_of_draws(turn, alarm)):
        winner = lottery.names_of(play).name(board.draw())
        turn.seats_named += 1
        turn.emit(
            p.PlayWon(
                play=play.play,
                form=play.form,
                member=winner,
                prize=next(prizes),
                draw=board.drawn,
                draws=play.to_draw,
                helpers=play.counted,
                publisher=play.publisher,
            )
        )
    if play.drawn >= play.to_draw:
        turn.tree.plays.boards.pop(play.play, None)


def _board(turn: Turn, play: Play) -> Board:
    """Return the board of a draw under way; after a restart it is drawn again up to where it was."""
    board = turn.tree.plays.boards.get(play.play)
    if board is None or board.drawn != play.drawn:
        terms = turn.tree.plays.rules(play).terms
        seed = turn.tree.plays.seed(play.play, play.opened)
        tickets = lottery.names_of(play).all_numbers()
        board = Board(seed, lottery.list_sha256(play), tickets, many=terms.wins == "many")
        for _ in range(play.drawn):
            board.draw()
        turn.tree.plays.boards[play.play] = board
    return board


RULES: Final = {
    ENDS: AlarmRule(_has_ended, lambda _turn, _alarm: 1, _end),
    DRAWS: AlarmRule(_is_drawn, _page_of_draws, _draw),
}
