"""Family `invitation`: one member asks that another be told of a group, a play or a pool."""

from events.envelope import Data, Event, lines
from events.ids import Id, Name, TimeText
from events.member import Channel


class InvitationRequested(Data, kw_only=True):
    """`inviter` asks that `invitee` be invited by `channel` to exactly one of `group`, `play` and `pool`.

    `useful_until`: when the invitation has lost its sense; it ends with its group, and in any case after the market's
    `useful_s`. An invitation to a group also counts for the group's pool.
    """

    invitation: Id
    inviter: Name
    invitee: Name
    channel: Channel
    group: Id | None = None
    play: Id | None = None
    pool: Id | None = None
    useful_until: TimeText | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.invitation, self.inviter, self.invitee, self.group, self.play, self.pool)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.inviter, self.invitee)

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.useful_until,)


class InvitationRequestedEvent(Event, tag="groupbuy.invitation.requested.v1", kw_only=True):
    """Asks for an invitation."""

    data: InvitationRequested
