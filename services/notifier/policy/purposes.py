"""What is told by the channels beyond the member's own subject: purposes and kinds, closed lists, and one notice."""

import hashlib
from enum import StrEnum
from typing import Any, Final

import msgspec

ID_CHARS: Final = 32
OPERATOR: Final = "$operator"
"""Stands where a member stands: no member's name may hold a `$`."""


class Purpose(StrEnum):
    """Why somebody is told something; consent, quiet hours and usefulness depend on it."""

    RESULT = "result"
    INVITATION = "invitation"
    REMINDER = "reminder"
    DIGEST = "digest"
    OPERATOR_ALERT = "operator_alert"


class Kind(StrEnum):
    """What exactly is told; each has a template and a purpose of its own."""

    FILLED = "filled"
    EXPIRED = "expired"
    DISSOLVED = "dissolved"
    REFUND_DUE = "refund_due"
    PRICE_CUT = "price_cut"
    DRAW = "draw"
    DISPUTE = "dispute"
    STANDING = "standing"
    INVITED = "invited"
    LIMIT_REACHED = "limit_reached"
    DIGEST = "digest"
    ENDPOINT_DISABLED = "endpoint_disabled"
    DISPUTE_OVERDUE = "dispute_overdue"


PURPOSE_OF: Final[dict[Kind, Purpose]] = {
    Kind.FILLED: Purpose.RESULT,
    Kind.EXPIRED: Purpose.RESULT,
    Kind.DISSOLVED: Purpose.RESULT,
    Kind.REFUND_DUE: Purpose.RESULT,
    Kind.PRICE_CUT: Purpose.RESULT,
    Kind.DRAW: Purpose.RESULT,
    Kind.DISPUTE: Purpose.RESULT,
    Kind.STANDING: Purpose.RESULT,
    Kind.INVITED: Purpose.INVITATION,
    Kind.LIMIT_REACHED: Purpose.REMINDER,
    Kind.DIGEST: Purpose.DIGEST,
    Kind.ENDPOINT_DISABLED: Purpose.OPERATOR_ALERT,
    Kind.DISPUTE_OVERDUE: Purpose.OPERATOR_ALERT,
}


class Reason(StrEnum):
    """Why something is not sent, or not yet; a closed list, each with its sentence in SENTENCES."""

    QUIET_HOURS = "quiet_hours"
    NO_TIME_ZONE = "no_time_zone"
    PAST_USEFULNESS = "past_usefulness"
    NO_CONSENT = "no_consent"
    NO_GRANT = "no_grant"
    NOT_WANTED = "not_wanted"
    BLOCKED = "blocked"
    NO_ADDRESS = "no_address"
    TRY_AGAIN = "try_again"


SENTENCES: Final[dict[Reason, tuple[str, str]]] = {
    Reason.QUIET_HOURS: ("It waits for the end of the member's quiet hours.", "正值会员的免打扰时段，稍后发送。"),
    Reason.NO_TIME_ZONE: (
        "The member's time zone is not known, so that quiet hours count all day.",
        "会员时区未知，全天视为免打扰时段。",
    ),
    Reason.PAST_USEFULNESS: ("It would come too late to be of use.", "消息已失去时效。"),
    Reason.NO_CONSENT: ("The member has not agreed to it, or no longer.", "会员未同意或已撤回同意。"),
    Reason.NO_GRANT: ("The member's one-time permission is used up.", "会员的一次性订阅授权已用完。"),
    Reason.NOT_WANTED: ("The member does not want messages of this kind.", "会员不希望收到此类消息。"),
    Reason.BLOCKED: ("The member has blocked whoever is behind it.", "会员已屏蔽对方。"),
    Reason.NO_ADDRESS: ("No address of the member is known for this channel.", "该渠道没有会员的地址。"),
    Reason.TRY_AGAIN: ("The other side did not take it; it is tried again.", "对方未接收，稍后重试。"),
}


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one member is told.

    `decision` is the entry and the index of the decision in it (`3.0.0/1`); (decision, member, purpose, channel)
    identifies it on its way. `at_ns` is the accepted time of the entry and `record` the journal record that holds it;
    `fields` is what templates may name; `useful_until_ns` is from when on it is of no use any more. Of an invitation,
    `activity` and `labels` are what it is about, `via` the kind of channel that was asked for, and `grant` the one-time
    grant that the matcher has taken for it.
    """

    decision: str
    member: str
    kind: Kind
    at_ns: int
    record: int
    useful_until_ns: int
    fields: dict[str, Any]
    group: str | None = None
    publisher: str | None = None
    inviter: str | None = None
    pool: str | None = None
    activity: str | None = None
    labels: tuple[str, ...] | None = None
    via: str | None = None
    grant: int | None = None

    @property
    def purpose(self) -> Purpose:
        """Why the member is told."""
        return PURPOSE_OF[self.kind]


def notice_id(notice: Notice, channel: str) -> str:
    """Return what identifies a notice on one channel: 32 hexadecimal digits of a SHA-256.

    The same for ever for the same (decision, member, purpose, channel), so that whoever sends it twice can be told.
    """
    identity = f"{notice.decision}\n{notice.member}\n{notice.purpose}\n{channel}"
    return hashlib.sha256(identity.encode()).hexdigest()[:ID_CHARS]


def digest_id(channel: str, member: str, notice_ids: list[str]) -> str:
    """Return what identifies a digest of these notices."""
    identity = "\n".join((channel, member, *sorted(notice_ids)))
    return hashlib.sha256(identity.encode()).hexdigest()[:ID_CHARS]
