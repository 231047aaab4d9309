"""What the matcher decides about plays and assists; `events.decisions` says what holds for all of them.

`member` is whom a decision is about: of `assist.*` the helper, of the others whose play, ticket or prize it is, so that
either can be shown without the other. `publisher` is the play's. `position` numbers the assists of a play that
were not refused by a rule, from 1, in the order in which they came. The exact remainder and the number of counted
helpers stand in every result.
"""

from typing import Literal

from events.decision import Decision


class PlayOpened(Decision, tag="play.opened", kw_only=True):
    """A play is open until `ends_at`; `seed_sha256` commits to the seed that its closing will show."""

    play: str
    form: str
    member: str | None = None
    ends_at: int
    helper_limit: int
    seed_sha256: str
    remaining_minor: int | None = None
    price_minor: int | None = None
    currency: str | None = None
    missing: int | None = None
    publisher: str


class PlayClosed(Decision, tag="play.closed", kw_only=True):
    """A play is over, and with `seed` whatever was drawn in it can be drawn again by anyone.

    `cause` is `complete` where the last thing that it could give has been given, `ended` at its time. `order` and
    `price_minor`: bought so. `tickets` and `entrants` (members who hold any) count the final list, `list_sha256` is
    the digest that entered the draw, `winners` how many are drawn.
    """

    play: str
    form: str
    member: str | None = None
    cause: Literal["ended", "complete", "bought", "early", "cancelled"]
    seed: str
    helpers: int
    remaining_minor: int | None = None
    price_minor: int | None = None
    currency: str | None = None
    order: str | None = None
    missing: int | None = None
    tickets: int | None = None
    entrants: int | None = None
    winners: int | None = None
    list_sha256: str | None = None
    actor: str | None = None
    reason: str | None = None
    ticket: str | None = None
    publisher: str


class PriceCut(Decision, tag="price.cut", kw_only=True):
    """A helper cut a price by `cut_minor`; `remaining_minor` can still be cut, by `helpers_left` helpers."""

    play: str
    member: str
    position: int
    cut_minor: int
    remaining_minor: int
    price_minor: int
    currency: str
    helpers: int
    helpers_left: int
    publisher: str


class PlayAdvanced(Decision, tag="play.advanced", kw_only=True):
    """A play came nearer to its next reward: `missing` more are needed for it."""

    play: str
    member: str | None = None
    position: int
    helpers: int
    reached: int
    missing: int
    publisher: str


class PlayTicketed(Decision, tag="play.ticketed", kw_only=True):
    """A member got tickets for an assist, or each seat named on a page of a filled group got as many.

    Of a group, `group` and `page` stand in place of member and position, and the decision follows that page.
    `total` counts the play's tickets afterwards.
    """

    play: str
    member: str | None = None
    position: int | None = None
    group: str | None = None
    page: int | None = None
    tickets: int
    total: int
    helpers: int
    publisher: str


class PlayWon(Decision, tag="play.won", kw_only=True):
    """A member won a prize, or unlocked a reward. `draw` is the number of the draw, from 1, of `draws` in all."""

    play: str
    form: str
    member: str | None = None
    prize: str
    draw: int | None = None
    draws: int | None = None
    helpers: int
    publisher: str


class PlayCorrected(Decision, tag="play.corrected", kw_only=True):
    """An open play as it stands after an assist was voided; `revoked` are rewards that are not unlocked any more."""

    play: str
    form: str
    member: str | None = None
    position: int
    helpers: int
    remaining_minor: int | None = None
    price_minor: int | None = None
    currency: str | None = None
    reached: int | None = None
    missing: int | None = None
    tickets: int | None = None
    revoked: list[str] | None = None
    publisher: str


class PlayClaimed(Decision, tag="play.claimed", kw_only=True):
    """A closed play would have ended otherwise: a claim for the operator, who settles it with the member.

    `amount_minor`: what the assist had cut. `tickets`: what it had given to `member`. `reached`: where
    the play would stand. `prizes`: what would not
    have been unlocked. Counted after the close, the same says what was missed.
    """

    play: str
    form: str
    member: str | None = None
    assist: str
    cause: Literal["voided_after_close", "counted_after_close"]
    helpers: int
    amount_minor: int | None = None
    currency: str | None = None
    tickets: int | None = None
    reached: int | None = None
    prizes: list[str] | None = None
    publisher: str


class AssistCounted(Decision, tag="assist.counted", kw_only=True):
    """The assist counts. `day` is the day in the market's time zone to which it belongs for the caps.

    Without a day it was held before, and counted for the caps then.
    """

    play: str
    assist: str
    member: str
    position: int
    day: str | None = None
    new_member: bool | None = None
    helpers: int
    helpers_left: int
    cut_minor: int | None = None
    remaining_minor: int | None = None
    publisher: str


class AssistHeld(Decision, tag="assist.held", kw_only=True):
    """The assist is held for review and counts nothing yet."""

    play: str
    assist: str
    member: str
    position: int
    day: str
    new_member: bool | None = None
    score: int
    reasons: list[str]
    helpers: int
    publisher: str


class AssistRefused(Decision, tag="assist.refused", kw_only=True):
    """Detection refused the assist, for good; what a rule refuses is `refused` with its reason."""

    play: str
    assist: str
    member: str
    position: int
    day: str
    score: int
    reasons: list[str]
    helpers: int
    publisher: str


class AssistVoided(Decision, tag="assist.voided", kw_only=True):
    """The assist counts no more, or, where it was held, never will."""

    play: str
    assist: str
    member: str
    position: int
    was: Literal["counted", "held"]
    helpers: int
    actor: str
    reason: str
    ticket: str
    publisher: str


PLAY_DECISIONS = (
    PlayOpened,
    PlayClosed,
    PriceCut,
    PlayAdvanced,
    PlayTicketed,
    PlayWon,
    PlayCorrected,
    PlayClaimed,
)
"""Decisions about whose play it is."""
ASSIST_DECISIONS = (AssistCounted, AssistHeld, AssistRefused, AssistVoided)
"""Decisions about a helper."""
