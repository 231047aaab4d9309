"""The one interface behind which every way to a member or backend stands, and what can come of a message."""

from typing import Final, Protocol

import msgspec

from services.notifier.policy.judge import ChannelRules
from services.notifier.policy.purposes import Kind, Notice, Purpose

# Provider-friendly: minutes rather than seconds, since what waits is on disk and lost by nothing.
RETRY_S: Final = (60.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
CONCURRENCY: Final = 8


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, about one notice or, as a digest, about several.

    `id` is the same whenever the same message is sent again. `address` is the member's on this channel, "" where
    the channel has none; `at_ns` is the moment of sending, `attempt` counts from 1.
    """

    id: str
    member: str
    kind: Kind
    purpose: Purpose
    notices: tuple[Notice, ...]
    address: str
    language: str
    at_ns: int
    attempt: int = 1


class Taken(msgspec.Struct, frozen=True):
    """The other side has it; `delivered` where that is also where it was to go."""

    delivered: bool = False


class Later(msgspec.Struct, frozen=True):
    """Not now. `after_s` is what the other side asked for.

    `whole_channel` says that no other message would get through either: then nothing is sent for a while, and this
    try does not count.
    """

    why: str
    after_s: float | None = None
    whole_channel: bool = False


class Refused(msgspec.Struct, frozen=True):
    """Never like this: it goes to the dead letters with the reason."""

    why: str


class NoLonger(msgspec.Struct, frozen=True):
    """The member's permission is used up or was taken back on the other side."""

    why: str


class Gone(msgspec.Struct, frozen=True):
    """The other side wants nothing more on this channel, ever."""

    why: str


Outcome = Taken | Later | Refused | NoLonger | Gone


class Courier(Protocol):
    """Carries messages over one channel; knows nothing of consent, retries or the disk."""

    @property
    def name(self) -> str:
        """Name of the channel: `email`, `wechat`, `webhook:shop-a`."""
        ...

    @property
    def rules(self) -> ChannelRules:
        """What the policy must know of it."""
        ...

    @property
    def sends_once(self) -> bool:
        """Whether the other side drops a message that comes again with the same id."""
        ...

    @property
    def retry_s(self) -> tuple[float, ...]:
        """The pauses between the tries of one message; after the last it is dead."""
        ...

    @property
    def concurrency(self) -> int:
        """How many messages may be on the way at once."""
        ...

    async def carry(self, message: Message) -> Outcome:
        """Send one message and say what came of it; raises only for faults of the message (poison) or of the code."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
