"""Tickets for the seats of filled groups, given with each page that names them."""

from events import play_decisions as p
from services.matcher.domain.plays.lottery import LotteryTerms
from services.matcher.domain.state import Group
from services.matcher.domain.turn import Turn


def give_to_seats(turn: Turn, group: Group, page: int, seats: int) -> None:
    """Give tickets of the offer's lotteries to the `seats` seats on a page of a filled group."""
    for play_id in turn.state.plays.by_offer.get(group.offer, ()):
        play = turn.state.plays.plays[play_id]
        terms: LotteryTerms = turn.tree.plays.rules(play).terms
        turn.emit(
            p.PlayTicketed(
                play=play.play,
                group=group.group,
                page=page,
                tickets=terms.tickets_per_seat,
                total=play.number + terms.tickets_per_seat * seats,
                helpers=play.counted,
                publisher=play.publisher,
            )
        )
