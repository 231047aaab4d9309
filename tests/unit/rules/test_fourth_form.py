"""A fourth form of play is one module and one registration: here it is one class and one line."""

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
import pytest

from events import play_decisions as p
from events.play import PlayOpened
from events.reasons import Reason
from services.matcher.domain.moment import Moment
from services.matcher.domain.plays.form import Effect, Form, Help, Opening, Own, Told
from services.matcher.domain.plays.forms import FORMS
from services.matcher.domain.plays.state import Play
from tests.builders import assist, event, play_closed, voided
from tests.unit.rules.given import covers, given_plays


class DonationTerms(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Each helper gives a tree; `trees` of them make a wood."""

    trees: int


class Donation(Form):
    """Helpers plant trees."""

    name: ClassVar[str] = "donation"
    Terms: ClassVar[type[msgspec.Struct]] = DonationTerms

    def open(self, data: PlayOpened, terms: DonationTerms) -> Opening:
        return Opening(0, terms.trees, {"missing": terms.trees})

    def effect(self, play: Play, terms: DonationTerms, help_: Help) -> Effect:
        reached = play.number + help_.weight
        advanced = p.PlayAdvanced(
            play=play.play,
            position=help_.place + 1,
            helpers=play.counted + 1,
            reached=reached,
            missing=max(0, terms.trees - reached),
            publisher=play.publisher,
        )
        return Effect({}, (advanced,))

    def is_complete(self, play: Play, terms: DonationTerms) -> bool:
        return play.number >= terms.trees

    def standing(self, play: Play, terms: DonationTerms) -> Told:
        return {"reached": play.number}

    def without(self, play: Play, terms: DonationTerms, place: int, weight: int) -> Told:
        return {"reached": play.number - weight}

    def claim(self, play: Play, terms: DonationTerms, place: int, weight: int) -> Told:
        return {}

    def ending(self, play: Play, terms: DonationTerms, cause: str) -> Told:
        return {}

    def apply(self, moment: Moment, play: Play, terms: Any, decision: Own) -> None:
        if isinstance(decision, p.PlayAdvanced | p.PlayCorrected):
            assert decision.reached is not None
            play.number = decision.reached


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    FORMS["donation"] = Donation()
    yield
    del FORMS["donation"]


def donation(**terms: Any) -> dict[str, Any]:
    return event("play.opened", play="d1", form="donation", terms={"trees": 3, **terms})


@covers(Reason.PLAY_OVER, Reason.ALREADY_HELPED)
def test_a_fourth_form_is_opened_helped_voided_and_closed_by_the_common_rules() -> None:
    story = given_plays(donation(), assist("d1", "h1", assist="a1"))
    story.then("assist.counted", "play.advanced")
    story.when(assist("d1", "h1")).then_refused(Reason.ALREADY_HELPED)
    story.when(voided("d1", "a1", "h1")).then("assist.voided", "play.corrected")
    story.when(assist("d1")).when(assist("d1")).when(assist("d1"))
    story.then("assist.counted", "play.advanced", "play.closed")
    story.when(play_closed("d1")).then_refused(Reason.PLAY_OVER)
    story.when(voided("d1", "a1", "h1")).then_refused(Reason.ASSIST_VOIDED)


@covers(Reason.PLAY_INCONSISTENT, Reason.PLAY_INCOMPLETE)
def test_its_terms_are_checked_by_its_own_struct() -> None:
    given_plays().when(donation(flowers=1)).then_refused(Reason.PLAY_INCONSISTENT)
    given_plays().when(event("play.opened", play="d1", form="donation")).then_refused(Reason.PLAY_INCOMPLETE)


def test_it_survives_a_snapshot() -> None:
    story = given_plays(donation(), assist("d1")).restart(from_snapshot=True)
    story.when(assist("d1"))
    assert story.one("play.advanced")["reached"] == 2
