"""Family `assist`: one member's help in a play, and what a review makes of it afterwards."""

from typing import Literal

from events.envelope import Data, Event, lines
from events.ids import Id, Name
from events.signals import Signals


class AssistGiven(Data, kw_only=True):
    """`member` helps a play. `assist` is unique within the play. `via`: the member who shared it to the helper."""

    play: Id
    assist: Id
    member: Name
    via: Name | None = None
    signals: Signals | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        text = f"{self.play}\n{self.assist}\n{self.member}"
        if self.via is not None:
            text = f"{text}\n{self.via}"
        if self.signals is not None and self.signals.channel is not None:
            text = f"{text}\n{self.signals.channel}"
        return text

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member, self.via)


class AssistVoided(Data, kw_only=True):
    """What a review comes to: `void` takes an assist back that is counted or held, `count` counts a held one.

    `play`, `assist` and `member` name the assist together, as the decision about it named them.
    """

    play: Id
    assist: Id
    member: Name
    verdict: Literal["void", "count"] = "void"
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.play, self.assist, self.member, self.actor, self.reason, self.ticket)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class AssistGivenEvent(Event, tag="groupbuy.assist.given.v1", kw_only=True):
    """Helps a play."""

    data: AssistGiven


class AssistVoidedEvent(Event, tag="groupbuy.assist.voided.v1", kw_only=True):
    """Ends the review of an assist."""

    data: AssistVoided
