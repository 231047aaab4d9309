"""Family `member`: so far the blocks, which the matching rules need; consent and standing join here."""

from events.envelope import Data, Event
from events.ids import Name


class MemberBlocked(Data, kw_only=True):
    """`member` and `other` never sit in one group; `lifted` takes the block back."""

    member: Name
    other: Name
    lifted: bool = False

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return f"{self.member}\n{self.other}"

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member, self.other)


class MemberBlockedEvent(Event, tag="groupbuy.member.blocked.v1", kw_only=True):
    """Blocks a member."""

    data: MemberBlocked
