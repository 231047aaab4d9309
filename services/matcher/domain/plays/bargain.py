"""Bargain (砍价): every helper cuts a piece off the price; the last one allowed cuts all that is left."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from events import play_decisions as p
from events.fair import cut_minor
from events.ids import AmountMinor, Currency
from events.play import PlayOpened
from events.reasons import Reason
from services.matcher.domain.plays.form import Effect, Form, Help, Opening, Own, Told
from services.matcher.domain.plays.state import Play
from services.matcher.domain.terms import Refusal

if TYPE_CHECKING:
    from services.matcher.domain.moment import Moment

_CUT_BYTES: Final = 5
"""Amounts end at 10^12, below 2^40."""


class BargainTerms(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """From `start_minor` down to `floor_minor`; one cut takes at most `share_percent` of what can still be cut."""

    currency: Currency
    start_minor: AmountMinor
    floor_minor: AmountMinor
    share_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class Bargain(Form):
    """`Play.number` is what can still be cut, and each assist keeps what it has cut."""

    name: ClassVar[str] = "bargain"
    Terms: ClassVar[type[msgspec.Struct]] = BargainTerms
    value_bytes: ClassVar[int] = _CUT_BYTES

    def open(self, data: PlayOpened, terms: BargainTerms) -> Opening:
        """Begin at the start price. Every allowed helper must find at least one minor unit to cut."""
        if data.member is None:
            raise Refusal(Reason.PLAY_INCOMPLETE, "member")
        if data.helper_limit is None:
            raise Refusal(Reason.PLAY_INCOMPLETE, "helper_limit")
        remaining_minor = terms.start_minor - terms.floor_minor
        if remaining_minor <= 0:
            raise Refusal(Reason.PLAY_INCONSISTENT, "terms.floor_minor")
        if remaining_minor < data.helper_limit:
            raise Refusal(Reason.PLAY_INCONSISTENT, "helper_limit")
        return Opening(remaining_minor, data.helper_limit, _price(terms, remaining_minor))

    def effect(self, play: Play, terms: BargainTerms, help_: Help) -> Effect:
        """Cut the price."""
        helpers = play.counted + 1
        cut = cut_minor(
            help_.seed,
            help_.place + 1,
            help_.member,
            remaining_minor=play.number,
            helpers_left=play.helper_limit - play.counted,
            share_percent=terms.share_percent,
            weight=help_.weight,
        )
        remaining_minor = play.number - cut
        assert play.member is not None
        decision = p.PriceCut(
            play=play.play,
            member=play.member,
            position=help_.place + 1,
            cut_minor=cut,
            remaining_minor=remaining_minor,
            price_minor=terms.floor_minor + remaining_minor,
            currency=terms.currency,
            helpers=helpers,
            helpers_left=play.helper_limit - helpers,
            publisher=play.publisher,
        )
        return Effect({"cut_minor": cut, "remaining_minor": remaining_minor}, (decision,))

    def standing(self, play: Play, terms: BargainTerms) -> Told:
        """Tell the price that has been reached."""
        return _price(terms, play.number)

    def without(self, play: Play, terms: BargainTerms, place: int, weight: int) -> Told:
        """Give back what the assist had cut: to be cut again by those who come."""
        del weight
        return _price(terms, play.number + _cut_of(play, place))

    def claim(self, play: Play, terms: BargainTerms, place: int, weight: int) -> Told:
        """Claim what the assist had cut."""
        del weight
        return {"amount_minor": _cut_of(play, place), "currency": terms.currency}

    def ending(self, play: Play, terms: BargainTerms, cause: str) -> Told:
        """End at the price that has been reached."""
        del cause
        return _price(terms, play.number)

    def apply(self, moment: "Moment", play: Play, terms: Any, decision: Own) -> None:
        """Follow what can still be cut, and keep each cut."""
        del moment, terms
        if type(decision) is p.PriceCut:
            play.number = decision.remaining_minor
            _keep_cut(play, decision.position - 1, decision.cut_minor)
        elif isinstance(decision, p.PlayCorrected):
            assert decision.remaining_minor is not None
            play.number = decision.remaining_minor
            _keep_cut(play, decision.position - 1, 0)
        elif isinstance(decision, p.PlayClaimed) and decision.amount_minor is not None:
            play.number += decision.amount_minor


def _price(terms: BargainTerms, remaining_minor: int) -> Told:
    return {
        "remaining_minor": remaining_minor,
        "price_minor": terms.floor_minor + remaining_minor,
        "currency": terms.currency,
    }


def _cut_of(play: Play, place: int) -> int:
    at = place * play.width + 1
    return int.from_bytes(play.rows[at : at + _CUT_BYTES], "little")


def _keep_cut(play: Play, place: int, amount_minor: int) -> None:
    at = place * play.width + 1
    play.rows[at : at + _CUT_BYTES] = amount_minor.to_bytes(_CUT_BYTES, "little")
