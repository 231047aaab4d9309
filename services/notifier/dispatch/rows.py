"""What the outbox holds of a notice, and what happens to it: plain data between the disk and the workers."""

from enum import StrEnum

import msgspec

from services.notifier.policy.choices import Permission
from services.notifier.policy.judge import Send
from services.notifier.policy.purposes import Notice, Reason


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A notice on one channel, waiting until `due_at_ns`.

    `digest_key` is what it may be gathered with, `digest` the message that it has been put into for good.
    `facts` counts what was said of it, `round` and `first` tell that it is sent again after it had failed.
    """

    id: str
    channel: str
    due_at_ns: int
    notice: Notice
    attempts: int = 0
    facts: int = 0
    round: int = 1
    first: str | None = None
    digest_key: str | None = None
    digest: str | None = None


class Held(msgspec.Struct, frozen=True):
    """A waiting notice that may go out, what that rests on, when it was judged, and through which record."""

    row: Waiting
    verdict: Send
    judged_at_ns: int
    as_of: int


class Parcel(msgspec.Struct, frozen=True):
    """One message to be sent: a notice, or all notices of a digest. `language` and `address` are the member's."""

    id: str
    held: tuple[Held, ...]
    address: str
    language: str

    @property
    def member(self) -> str:
        """Whom it is for."""
        return self.held[0].row.notice.member

    @property
    def attempts(self) -> int:
        """How often it has been tried."""
        return max(held.row.attempts for held in self.held)


class Busy(msgspec.Struct, frozen=True):
    """What of a channel is on the way: notices by id, and, where each takes a grant of the member's, members."""

    notices: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    one_per_member: bool = False


class Claim(msgspec.Struct, frozen=True):
    """What a channel may send now, and when it should ask again (None: when something new comes)."""

    parcels: list[Parcel]
    next_due_ns: int | None


class Streamed(msgspec.Struct, frozen=True, gc=False):
    """What a member was sent by an event stream of one entry, and when."""

    member: str
    entry: str
    kind: str
    at_ns: int


class EndKind(StrEnum):
    """What became of a parcel."""

    SENT = "sent"
    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    SUPPRESSED = "suppressed"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a parcel, to be written down; `used` is the one-time grant that it took."""

    parcel: Parcel
    kind: EndKind
    at_ns: int
    why: str | None = None
    reason: Reason | None = None
    due_at_ns: int | None = None
    used: Permission | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that could not be sent: why, when, after how many tries; `fact` is what was published about it."""

    id: str
    channel: str
    member: str
    kind: str
    why: str
    at_ns: int
    attempts: int
    fact: str
    row: Waiting


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel's other side is doing: since when nothing has got through, and whether it was given up."""

    channel: str
    failing_since_ns: int | None = None
    disabled_at_ns: int | None = None
    why: str | None = None
