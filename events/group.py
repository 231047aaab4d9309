"""Family `group`: what customer service may do with a whole group."""

from events.envelope import Data, Event, lines
from events.ids import Id


class CustomerServiceAct(Data, kw_only=True):
    """An act on a group, by a named actor, for a reason, under a ticket."""

    group: Id
    actor: Id
    reason: Id
    ticket: Id

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.group, self.actor, self.reason, self.ticket)


class GroupDissolved(CustomerServiceAct, kw_only=True):
    """Ends an open group; every paid seat is refunded."""


class GroupCompleted(CustomerServiceAct, kw_only=True):
    """Fills an open group with the seats it has confirmed; no virtual member is added."""


class GroupDissolvedEvent(Event, tag="groupbuy.group.dissolved.v1", kw_only=True):
    """Customer service dissolves a group."""

    data: GroupDissolved


class GroupCompletedEvent(Event, tag="groupbuy.group.completed.v1", kw_only=True):
    """Customer service completes a group."""

    data: GroupCompleted
