"""Family `clock`: the matcher's own knock on the door when a deadline is due; it carries no time."""

from events.envelope import Data, Event


class ClockTicked(Data, kw_only=True):
    """Nothing: the broker's timestamp of the message is what counts."""

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return "tick"


class ClockTickedEvent(Event, tag="groupbuy.clock.ticked.v1", kw_only=True):
    """A deadline is due."""

    data: ClockTicked
