"""Family `member`: what members are told about, by whom they are left alone, and the limits they set themselves.

No event of this family names a person: members are pseudonyms, and of a text that a member agreed to only the hash
is kept. What is absent from `member.preferred` and `member.limited_self` stays as it was.
"""

from typing import Annotated, Literal

import msgspec

from events.envelope import Data, Event, lines
from events.ids import Id, Name, Sha256Hex, TimeText
from events.limits import LABELS_MAX, WEEKLY_MAX
from events.market import MoneyLimit, ZoneName

Purpose = Literal["result", "invitation", "reminder", "digest"]
"""What a member can be told about; alerts go to operators, whom nobody asks."""
Channel = Literal["nats", "sse", "webhook", "email", "wechat"]
"""How a member can be told: the own NATS subject, an event stream, the member's backend, e-mail, WeChat."""
Mechanism = Literal["form", "button", "platform_prompt", "double_opt_in", "customer_service", "import"]
"""How a member agreed: a ticked box, a press of a button, a platform's own prompt, a mail that was answered, ..."""
ClockTime = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", min_length=5, max_length=5)]
"""A time of day on the member's own clock, e.g. 22:00."""
Language = Literal["en", "zh"]
Weekly = Annotated[int, msgspec.Meta(ge=0, le=WEEKLY_MAX)]
LimitName = Literal["groups", "assists", "spending"]


class QuietHours(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """When a member is not to be disturbed, half-open, over midnight where it ends before it begins.

    Equal times mean that there are none.
    """

    begins: ClockTime
    ends: ClockTime


class MemberRegistered(Data, kw_only=True):
    """A member exists since `registered_at`, which the publisher vouches for; absent, since now."""

    member: Name
    registered_at: TimeText | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.member

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return (self.registered_at,)


class MemberConsented(Data, kw_only=True):
    """A member agreed to be told about `purpose` by `channel`: from now on, or `one_time` once.

    `text_hash` is the SHA-256 of the text that was shown, in UTF-8, in hexadecimal.
    """

    member: Name
    purpose: Purpose
    channel: Channel
    mechanism: Mechanism
    text_hash: Sha256Hex
    one_time: bool = False

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.member

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberWithdrew(Data, kw_only=True):
    """A member takes back what was agreed to: for a purpose, a channel, both, or with neither given for everything."""

    member: Name
    purpose: Purpose | None = None
    channel: Channel | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.member

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberPreferred(Data, kw_only=True):
    """What a member wants to hear of, in which language, and when not; what is absent stays as it was.

    `purposes` and `kinds` (`group`, or a kind of play) list all that is wanted, an empty list nothing. `labels`: only
    what carries one of them; an empty list means whatever it carries.
    """

    member: Name
    purposes: Annotated[list[Purpose], msgspec.Meta(max_length=4)] | None = None
    kinds: Annotated[list[Id], msgspec.Meta(max_length=LABELS_MAX)] | None = None
    labels: Annotated[list[Id], msgspec.Meta(max_length=LABELS_MAX)] | None = None
    language: Language | None = None
    timezone: ZoneName | None = None
    quiet: QuietHours | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.member, *(self.kinds or ()), *(self.labels or ()))

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberBlocked(Data, kw_only=True):
    """`member` keeps apart from the member `other` or from the pool `pool`; `lifted` takes the block back.

    Two members who keep apart never sit in one group nor invite each other; a pool that is blocked invites no more.
    """

    member: Name
    other: Name | None = None
    lifted: bool = False
    pool: Id | None = None

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return lines(self.member, self.other, self.pool)

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member, self.other)


class MemberLimitedSelf(Data, kw_only=True):
    """A member limits the groups joined, assists given and money spent in a calendar week; what is absent stays.

    Lower limits hold at once. A limit that is raised, or named in `remove`, changes a day later.
    """

    member: Name
    groups: Weekly | None = None
    assists: Weekly | None = None
    spending: MoneyLimit | None = None
    remove: Annotated[list[LimitName], msgspec.Meta(max_length=3)] = []

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        return self.member

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload."""
        return (self.member,)


class MemberRegisteredEvent(Event, tag="groupbuy.member.registered.v1", kw_only=True):
    """Registers a member."""

    data: MemberRegistered


class MemberConsentedEvent(Event, tag="groupbuy.member.consented.v1", kw_only=True):
    """Records a consent."""

    data: MemberConsented


class MemberWithdrewEvent(Event, tag="groupbuy.member.withdrew.v1", kw_only=True):
    """Takes a consent back."""

    data: MemberWithdrew


class MemberPreferredEvent(Event, tag="groupbuy.member.preferred.v1", kw_only=True):
    """Records preferences."""

    data: MemberPreferred


class MemberBlockedEvent(Event, tag="groupbuy.member.blocked.v1", kw_only=True):
    """Blocks a member or a pool."""

    data: MemberBlocked


class MemberLimitedSelfEvent(Event, tag="groupbuy.member.limited_self.v1", kw_only=True):
    """Sets a member's own limits."""

    data: MemberLimitedSelf
