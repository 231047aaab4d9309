"""Family `play`: friends help each other to a lower price (bargain), to a draw (lottery), to a reward (unlock)."""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import Id, Name, TimeText
from events.limits import (
    AMOUNT_MAX_MINOR,
    ASSISTS_PER_DAY_MAX,
    DURATION_MAX_S,
    ID_MAX_CHARS,
    NEW_WEIGHT_MAX,
    PLAY_HELPERS_MAX,
    PLAY_TERMS_MAX,
)
from events.signals import AGE_MAX_DAYS

TermNumber = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX_MINOR)]
TermWord = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_MAX_CHARS)]
TermRow = Annotated[dict[Id, TermNumber | TermWord], msgspec.Meta(max_length=PLAY_TERMS_MAX)]
TermRows = Annotated[list[TermRow], msgspec.Meta(max_length=PLAY_TERMS_MAX)]
Terms = Annotated[dict[Id, TermNumber | TermWord | TermRows], msgspec.Meta(max_length=PLAY_TERMS_MAX)]
"""The rules that only one form of play has: numbers, words that are identifiers, and lists of such pairs."""

HelperLimit = Annotated[int, msgspec.Meta(ge=1, le=PLAY_HELPERS_MAX)]
AssistCap = Annotated[int, msgspec.Meta(ge=1, le=ASSISTS_PER_DAY_MAX)]


class PlayOpened(Data, kw_only=True):
    """Opens a play of a form: `bargain`, `lottery`, `unlock`, or another that the market's rules know.

    `member`: whose play it is, who may not help it. `offer`: what it is about; of a lottery, the offer whose filled
    groups give tickets. It ends at `ends_at` or after `ttl_s` (a day, if neither is given), whichever comes first.
    `helper_limit`: after so many counted assists it is full. `new_only`: only members whose account is younger than
    `new_within_days` help; `new_weight`: theirs counts so many times. `per_helper_day`, `per_pair_week`: see the
    market's `assist_caps`, which these replace. `terms`: the rules of its form.
    """

    play: Id
    form: Id
    member: Name | None = None
    offer: Id | None = None
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MAX_S)] | None = None
    ends_at: TimeText | None = None
    helper_limit: HelperLimit | None = None
    new_only: bool = False
    new_within_days: Annotated[int, msgspec.Meta(ge=1, le=AGE_MAX_DAYS)] = 7
    new_weight: Annotated[int, msgspec.Meta(ge=1, le=NEW_WEIGHT_MAX)] = 1
    per_helper_day: AssistCap | None = None
    per_pair_week: AssistCap | None = None
    terms: Terms = {}

    def ids(self) -> str:
        """Return every identifier in the payload, one a line; the names and words of the terms are such."""
        found = [lines(self.play, self.form, self.member, self.offer)]
        for name, value in self.terms.items():
            found.append(name)
            if isinstance(value, str):
                found.append(value)
            elif isinstance(value, list):
                for row in value:
                    found += row
                    found += [word for word in row.values() if isinstance(word, str)]
        return "\n".join(found)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.ends_at,)


class PlayClosed(Data, kw_only=True):
    """Closes a play before its time.

    `bought`: the member of a bargain buys at the price that has been reached, with `order` as the shop's own number.
    `early`: what its end would have brought, now. `cancelled`: nothing is drawn or given any more; customer service
    says who, why and under which ticket.
    """

    play: Id
    cause: Literal["bought", "early", "cancelled"]
    order: Id | None = None
    actor: Id | None = None
    reason: Id | None = None
    ticket: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.play, self.order, self.actor, self.reason, self.ticket)


class PlayOpenedEvent(Event, tag="groupbuy.play.opened.v1", kw_only=True):
    """Opens a play."""

    data: PlayOpened


class PlayClosedEvent(Event, tag="groupbuy.play.closed.v1", kw_only=True):
    """Closes a play."""

    data: PlayClosed
