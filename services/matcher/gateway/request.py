"""A request on its way: its events, which of their outcomes are there, and whom to tell."""

from collections.abc import Callable
from typing import Final

from services.matcher.gateway.answers import Refusal, encode_outcomes, pending, unavailable

Tell = Callable[[bytes | Refusal], None]
"""Called once with the encoded outcomes, or with the reason why there are none; must not block."""

_NOT_YET: Final = b""


class Request:
    """One request: `events` outcomes are missing until each has come, in any order."""

    __slots__ = ("_outcomes", "_tell", "deadline_s", "intake", "messages", "missing", "settled", "size_bytes")

    def __init__(self, events: int, size_bytes: int, deadline_s: float, tell: Tell) -> None:
        assert events >= 1, "a request has an event"
        self._outcomes = [_NOT_YET] * events
        self._tell = tell
        self.missing = events
        self.size_bytes = size_bytes
        self.deadline_s = deadline_s
        self.settled = False
        self.messages = 0
        """In how many intake messages its events have been handed to the broker."""
        self.intake: int | None = None
        """Sequence of the intake message that holds its first stored event."""

    @property
    def events(self) -> int:
        """How many events it has."""
        return len(self._outcomes)

    def note_outcome(self, place: int, outcome: bytes) -> bool:
        """Keep the outcome of the event at `place`; return whether that settled the request."""
        if self.settled or self._outcomes[place] is not _NOT_YET:
            return False
        self._outcomes[place] = outcome
        self.missing -= 1
        if self.missing:
            return False
        self.settled = True
        self._tell(encode_outcomes(self._outcomes))
        return True

    def fail(self, refusal: Refusal) -> bool:
        """Give up because a message with events of this request was refused; return whether that settled it."""
        if self.settled:
            return False
        # What became of the request's other messages, if it has any, is not for this one to say.
        whole = self.messages == 1 and self.intake is None
        return self._give_up(refusal if whole else pending(self.intake))

    def expire(self) -> bool:
        """Give up because the time is over; return whether that settled the request."""
        if self.settled:
            return False
        return self._give_up(
            pending(self.intake) if self.messages else unavailable("the broker took no events in time")
        )

    def _give_up(self, refusal: Refusal) -> bool:
        self.settled = True
        self._tell(refusal)
        return True
