"""What a form of play has to say; everything else about plays is common to all forms.

A new form is one module with a subclass of `Form`, and its line in `forms.py`.
"""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from events import play_decisions as p
from events.assist import AssistGiven
from events.play import PlayOpened
from services.matcher.domain.plays.state import Play

if TYPE_CHECKING:
    from services.matcher.domain.moment import Moment

Told = dict[str, Any]
"""Fields that a form adds to a common decision."""
Own = p.PriceCut | p.PlayAdvanced | p.PlayTicketed | p.PlayWon | p.PlayCorrected | p.PlayClaimed
"""Decisions that a form makes, and applies itself."""


class Opening(NamedTuple):
    """What a play begins with: its form's number, how many may help, and what `play.opened` tells."""

    number: int
    helper_limit: int
    told: Told


class Help(msgspec.Struct, frozen=True, gc=False):
    """One assist that counts from now on."""

    place: int
    member: str
    weight: int
    """More than 1 for a new member where the play says so."""
    helped: str | None
    """Whom it helps."""
    seed: bytes


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What an assist brings about: what `assist.counted` tells of it, and what is decided next."""

    told: Told
    decisions: tuple[Own, ...]


class Common(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The rules that every play has."""

    new_only: bool
    new_within_days: int
    new_weight: int
    per_helper_day: int | None
    per_pair_week: int | None


class Form:
    """A form of play; `terms` in its methods is an instance of its `Terms`."""

    name: ClassVar[str]
    Terms: ClassVar[type[msgspec.Struct]]
    """Frozen, with `forbid_unknown_fields`."""
    value_bytes: ClassVar[int] = 0
    """How many bytes it keeps for each assist in `Play.rows`, behind its status."""

    def open(self, data: PlayOpened, terms: Any) -> Opening:
        """Return what a play of this form begins with. Raises Refusal where its rules contradict each other."""
        raise NotImplementedError

    def helped(self, play: Play, terms: Any, data: AssistGiven) -> str | None:
        """Return whom the assist helps. Raises Refusal where it has to say so and does not."""
        del terms, data
        return play.member

    def effect(self, play: Play, terms: Any, help_: Help) -> Effect:
        """Return what an assist brings about that counts from now on, as number `play.counted` + 1."""
        raise NotImplementedError

    def takes_groups(self, terms: Any) -> bool:
        """Tell whether the seats of filled groups get tickets."""
        del terms
        return False

    def is_complete(self, play: Play, terms: Any) -> bool:
        """Tell whether the play has given all that it can give, and so is over."""
        del play, terms
        return False

    def standing(self, play: Play, terms: Any) -> Told:
        """Return how the play stands, as `play.corrected` tells it."""
        raise NotImplementedError

    def without(self, play: Play, terms: Any, place: int, weight: int) -> Told:
        """Return how the open play would stand without the assist at `place`, which counts now."""
        raise NotImplementedError

    def claim(self, play: Play, terms: Any, place: int, weight: int) -> Told:
        """Return what `play.claimed` tells of the assist at `place` of a closed play, which counts no more."""
        raise NotImplementedError

    def ending(self, play: Play, terms: Any, cause: str) -> Told:
        """Return what `play.closed` tells."""
        raise NotImplementedError

    def held_for(self, play: Play, terms: Any, place: int) -> str | None:
        """Return whom the held assist at `place` helps."""
        del terms, place
        return play.member

    def hold(self, moment: "Moment", play: Play, terms: Any, place: int, helped: str | None) -> None:
        """Note whom the assist at `place` would help, which is held for review."""

    def apply(self, moment: "Moment", play: Play, terms: Any, decision: Own) -> None:
        """Change the state as a decision of this form says."""
        raise NotImplementedError
