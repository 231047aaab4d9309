"""Unlock (助力领券): so many assists within the play's time unlock a reward, more of them the next."""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from events import play_decisions as p
from events.ids import Id
from events.limits import PLAY_HELPERS_MAX, PLAY_TERMS_MAX
from events.play import PlayOpened
from events.reasons import Reason
from services.matcher.domain.plays.form import Effect, Form, Help, Opening, Own, Told
from services.matcher.domain.plays.state import Play
from services.matcher.domain.terms import Refusal

if TYPE_CHECKING:
    from services.matcher.domain.moment import Moment


class RewardTier(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """`helpers` counted assists unlock `reward`."""

    helpers: Annotated[int, msgspec.Meta(ge=1, le=PLAY_HELPERS_MAX)]
    reward: Id


class UnlockTerms(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Rewards, from the nearest to the farthest."""

    tiers: Annotated[tuple[RewardTier, ...], msgspec.Meta(min_length=1, max_length=PLAY_TERMS_MAX)]


class Unlock(Form):
    """`Play.number` is how far it has come: its counted assists, those of new members with their weight."""

    name: ClassVar[str] = "unlock"
    Terms: ClassVar[type[msgspec.Struct]] = UnlockTerms

    def open(self, data: PlayOpened, terms: UnlockTerms) -> Opening:
        """Begin with nothing; the tiers must rise, and be within reach."""
        if data.member is None:
            raise Refusal(Reason.PLAY_INCOMPLETE, "member")
        needed = [tier.helpers for tier in terms.tiers]
        if any(a >= b for a, b in pairwise(needed)):
            raise Refusal(Reason.PLAY_INCONSISTENT, "terms.tiers")
        helper_limit = data.helper_limit or needed[-1]
        if helper_limit * data.new_weight < needed[-1]:
            raise Refusal(Reason.PLAY_INCONSISTENT, "helper_limit")
        return Opening(0, helper_limit, {"missing": needed[0]})

    def effect(self, play: Play, terms: UnlockTerms, help_: Help) -> Effect:
        """Come nearer to the next reward, or unlock it."""
        helpers, reached = play.counted + 1, play.number + help_.weight
        advanced = p.PlayAdvanced(
            play=play.play,
            member=play.member,
            position=help_.place + 1,
            helpers=helpers,
            reached=reached,
            missing=_missing(terms, reached),
            publisher=play.publisher,
        )
        won = [
            p.PlayWon(
                play=play.play,
                form=play.form,
                member=play.member,
                prize=reward,
                helpers=helpers,
                publisher=play.publisher,
            )
            for reward in _between(terms, play.number, reached)
        ]
        return Effect({}, (advanced, *won))

    def is_complete(self, play: Play, terms: UnlockTerms) -> bool:
        """Tell whether the last reward is unlocked."""
        return play.number >= terms.tiers[-1].helpers

    def standing(self, play: Play, terms: UnlockTerms) -> Told:
        """Tell how far the play has come."""
        return {"reached": play.number, "missing": _missing(terms, play.number)}

    def without(self, play: Play, terms: UnlockTerms, place: int, weight: int) -> Told:
        """Step back, below a reward where it takes one."""
        del place
        reached = play.number - weight
        revoked = _between(terms, reached, play.number)
        standing = {"reached": reached, "missing": _missing(terms, reached)}
        return {**standing, "revoked": revoked} if revoked else standing

    def claim(self, play: Play, terms: UnlockTerms, place: int, weight: int) -> Told:
        """Claim the rewards that would not have been unlocked."""
        del place
        lost = _between(terms, play.number - weight, play.number)
        return {"reached": play.number - weight, **({"prizes": lost} if lost else {})}

    def ending(self, play: Play, terms: UnlockTerms, cause: str) -> Told:
        """End as far as the play has come."""
        del cause
        return {"missing": _missing(terms, play.number)}

    def apply(self, moment: "Moment", play: Play, terms: Any, decision: Own) -> None:
        """Follow how far the play has come."""
        del moment, terms
        if isinstance(decision, p.PlayAdvanced | p.PlayCorrected | p.PlayClaimed) and decision.reached is not None:
            play.number = decision.reached


def _missing(terms: UnlockTerms, reached: int) -> int:
    """Return how many more are needed for the next reward; 0 behind the last."""
    return next((tier.helpers - reached for tier in terms.tiers if tier.helpers > reached), 0)


def _between(terms: UnlockTerms, below: int, reached: int) -> list[str]:
    """Return the rewards that stand above `below` and not above `reached`."""
    return [tier.reward for tier in terms.tiers if below < tier.helpers <= reached]
