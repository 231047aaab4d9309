"""Lottery (助力抽奖): assists and filled groups give tickets; at the close prizes are drawn over the list of them."""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from events import play_decisions as p
from events.assist import AssistGiven
from events.fair import EMPTY_LIST, extend_list
from events.ids import Id
from events.limits import PLAY_HELPERS_MAX, PLAY_PRIZES_MAX, PLAY_TERMS_MAX, TICKETS_MAX
from events.play import PlayOpened
from events.reasons import Reason
from services.matcher.domain.pages import page_seats
from services.matcher.domain.plays.form import Effect, Form, Help, Opening, Own, Told
from services.matcher.domain.plays.hashed import assist_key
from services.matcher.domain.plays.names import Names
from services.matcher.domain.plays.state import Play
from services.matcher.domain.terms import Refusal

if TYPE_CHECKING:
    from services.matcher.domain.moment import Moment

_VALUE: Final = struct.Struct("<IB")
"""Of an assist: (index of the member with the tickets, how many it gave)."""
Tickets = Annotated[int, msgspec.Meta(ge=0, le=TICKETS_MAX)]


class Prize(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """`quantity` of one prize."""

    prize: Id
    quantity: Annotated[int, msgspec.Meta(ge=1, le=PLAY_PRIZES_MAX)] = 1


class LotteryTerms(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Prizes in the order in which they are drawn, and what gives tickets to whom.

    `tickets_per_seat`: to each seat of a filled group of the play's offer. `tickets_to`: who gets an assist's, the one
    who shared (`via`, else the play's own member) or the helper. `wins`: `one` prize a member, or `many`, one a ticket.
    """

    prizes: Annotated[tuple[Prize, ...], msgspec.Meta(min_length=1, max_length=PLAY_TERMS_MAX)]
    tickets_per_assist: Tickets = 1
    tickets_per_seat: Tickets = 0
    tickets_to: Literal["sharer", "helper"] = "sharer"
    wins: Literal["one", "many"] = "one"


class Lottery(Form):
    """`Play.number` is how many tickets there are, `Play.names` who holds them."""

    name: ClassVar[str] = "lottery"
    Terms: ClassVar[type[msgspec.Struct]] = LotteryTerms
    value_bytes: ClassVar[int] = _VALUE.size

    def open(self, data: PlayOpened, terms: LotteryTerms) -> Opening:
        """Begin without tickets; filled groups give some only of an offer that is named."""
        if terms.tickets_per_seat and data.offer is None:
            raise Refusal(Reason.PLAY_INCOMPLETE, "offer")
        if units_of(terms) > PLAY_PRIZES_MAX:
            raise Refusal(Reason.PLAY_INCONSISTENT, "terms.prizes")
        return Opening(0, data.helper_limit or PLAY_HELPERS_MAX, {})

    def helped(self, play: Play, terms: LotteryTerms, data: AssistGiven) -> str | None:
        """Return who shared the lottery to the helper; who must be known if the tickets go there."""
        sharer = data.via or play.member
        if sharer is None and terms.tickets_to == "sharer":
            raise Refusal(Reason.VIA_REQUIRED)
        return sharer

    def effect(self, play: Play, terms: LotteryTerms, help_: Help) -> Effect:
        """Give the tickets of an assist."""
        tickets = terms.tickets_per_assist * help_.weight
        decision = p.PlayTicketed(
            play=play.play,
            member=help_.helped if terms.tickets_to == "sharer" else help_.member,
            position=help_.place + 1,
            tickets=tickets,
            total=play.number + tickets,
            helpers=play.counted + 1,
            publisher=play.publisher,
        )
        return Effect({}, (decision,))

    def takes_groups(self, terms: LotteryTerms) -> bool:
        """Tell whether filled groups give tickets."""
        return terms.tickets_per_seat > 0

    def standing(self, play: Play, terms: LotteryTerms) -> Told:
        """Tell how many tickets there are."""
        del terms
        return {"tickets": play.number}

    def without(self, play: Play, terms: LotteryTerms, place: int, weight: int) -> Told:
        """Take the assist's tickets off the list."""
        del terms, weight
        return {"tickets": play.number - _value(play, place)[1]}

    def claim(self, play: Play, terms: LotteryTerms, place: int, weight: int) -> Told:
        """Claim that these tickets were in the draw, and whose they were."""
        del terms, weight
        index, tickets = _value(play, place)
        return {"tickets": tickets, **({"member": names_of(play).name(index)} if tickets else {})}

    def ending(self, play: Play, terms: LotteryTerms, cause: str) -> Told:
        """End with the final list; its draws follow, unless the lottery is cancelled."""
        entrants = sum(map(bool, names_of(play).all_numbers()))
        told = {"tickets": play.number, "entrants": entrants, "list_sha256": list_sha256(play)}
        most = entrants if terms.wins == "one" else play.number
        return told if cause == "cancelled" else {**told, "winners": min(units_of(terms), most)}

    def held_for(self, play: Play, terms: LotteryTerms, place: int) -> str | None:
        """Return who gets the tickets, where that is not the helper."""
        return names_of(play).name(_value(play, place)[0]) if terms.tickets_to == "sharer" else None

    def hold(self, moment: "Moment", play: Play, terms: LotteryTerms, place: int, helped: str | None) -> None:
        """Note whose tickets they would be; the helper's own are found by name when they count."""
        del moment
        if terms.tickets_to == "sharer" and helped is not None:
            _keep(play, place, _names(play).enter(helped), 0)

    def apply(self, moment: "Moment", play: Play, terms: Any, decision: Own) -> None:
        """Follow the list of tickets, and how many prizes are drawn."""
        del terms
        if isinstance(decision, p.PlayTicketed):
            play.number = decision.total
            if decision.member is None:
                _to_seats(moment, play, decision)
            else:
                assert decision.position is not None
                index = _grant(play, decision.member, decision.tickets, f"a{decision.position}")
                _keep(play, decision.position - 1, index, decision.tickets)
        elif isinstance(decision, p.PlayWon):
            play.drawn += 1
        elif isinstance(decision, p.PlayCorrected | p.PlayClaimed):
            _take_back(play, decision)


def units_of(terms: LotteryTerms) -> int:
    """Return how many prizes there are in all."""
    return sum(prize.quantity for prize in terms.prizes)


def prizes_from(terms: LotteryTerms, drawn: int) -> Iterator[str]:
    """Yield the prizes in the order in which they are drawn, without the first `drawn`."""
    return islice((prize.prize for prize in terms.prizes for _ in range(prize.quantity)), drawn, None)


def names_of(play: Play) -> Names:
    """Return who holds tickets."""
    return Names() if play.names is None else play.names


def list_sha256(play: Play) -> str:
    """Return the digest of the list of tickets as it stands, which enters every draw."""
    return (play.digest or EMPTY_LIST).hex()


def _names(play: Play) -> Names:
    if play.names is None:
        play.names = Names()
    return play.names


def _value(play: Play, place: int) -> tuple[int, int]:
    index, tickets = _VALUE.unpack_from(play.rows, place * play.width + 1)
    return index, tickets


def _keep(play: Play, place: int, index: int, tickets: int) -> None:
    _VALUE.pack_into(play.rows, place * play.width + 1, index, tickets)


def _grant(play: Play, member: str, tickets: int, of: str) -> int:
    """Add tickets to a member's, and the line to the list; return the member's index."""
    names = _names(play)
    index = names.enter(member)
    names.add(index, tickets)
    play.digest = extend_list(play.digest or EMPTY_LIST, member, tickets, of)
    return index


def _to_seats(moment: "Moment", play: Play, decision: p.PlayTicketed) -> None:
    assert decision.group is not None and decision.page is not None
    for order in page_seats(moment.state.groups[decision.group], decision.page):
        _grant(play, moment.state.orders[order].member, decision.tickets, order)


def _take_back(play: Play, decision: p.PlayCorrected | p.PlayClaimed) -> None:
    """Take an assist's tickets away; the list, once drawn over, stays what it was."""
    if isinstance(decision, p.PlayCorrected):
        place = decision.position - 1
    else:
        place = play.place_of(assist_key(decision.assist))
    index, tickets = _value(play, place)
    if not tickets:
        return
    names = _names(play)
    names.add(index, -tickets)
    play.number -= tickets
    _keep(play, place, index, 0)
    if isinstance(decision, p.PlayCorrected):
        play.digest = extend_list(play.digest, names.name(index), -tickets, f"a{decision.position}")
