"""What a member has chosen, as far as it decides whether and when the member is told: pure.

The matcher says the whole of it in each `member.chose`; here it is kept with the blocks between members, and with the
one-time grants that messages of the notifier's own have used.
"""

from typing import Final

import msgspec

from events import member_decisions as m
from services.notifier.policy.purposes import Notice, Purpose
from services.notifier.policy.quiet import QuietHours, parse_quiet_hours


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a member has chosen; a member who has chosen nothing has the defaults.

    `blocked` and `blocked_by` are the members from whom this one keeps apart, and who keep apart from it. `used` holds,
    by `purpose/channel`, the number of the last one-time grant that a message has taken.
    """

    chosen: m.Choices = m.Choices()
    blocked: frozenset[str] = frozenset()
    blocked_by: frozenset[str] = frozenset()
    used: dict[str, int] = {}

    @property
    def quiet(self) -> QuietHours | None:
        """The member's own quiet hours."""
        quiet = self.chosen.quiet
        return None if quiet is None else parse_quiet_hours(f"{quiet.begins}-{quiet.ends}")


NO_CHOICES: Final = Choices()


class Permission(msgspec.Struct, frozen=True):
    """What allows a message: a consent until it is taken back, or the one-time grant of that number."""

    purpose: str
    channel: str
    grant: int | None = None

    @property
    def key(self) -> str:
        """What its grants are counted by."""
        return f"{self.purpose}/{self.channel}"


def consent_to(choices: Choices, purpose: Purpose, channel: str) -> m.Consent | None:
    """Return what the member last said of a purpose and a channel, None for nothing."""
    for consent in choices.chosen.consents or ():
        if consent.purpose == purpose and consent.channel == channel:
            return consent
    return None


def permission_for(choices: Choices, notice: Notice, channel: str) -> Permission | None:
    """Return what allows to send a notice over a channel, None where nothing does.

    What was decided before the member took the consent back may not be sent after it, whatever was agreed to since.
    """
    consent = consent_to(choices, notice.purpose, channel)
    if consent is None or (consent.withdrawn_at is not None and consent.withdrawn_at >= notice.at_ns):
        return None
    if notice.purpose is Purpose.INVITATION and notice.grant is not None:
        # The matcher has taken it for this very invitation.
        return Permission(notice.purpose.value, channel, notice.grant)
    if consent.standing:
        return Permission(notice.purpose.value, channel)
    if notice.purpose is Purpose.INVITATION:
        # Allowed under a consent that stood then and does not now.
        return None
    next_grant = max(consent.lapsed, choices.used.get(f"{notice.purpose}/{channel}", 0)) + 1
    return Permission(notice.purpose.value, channel, next_grant) if next_grant <= consent.granted else None


def was_withdrawn(choices: Choices, notice: Notice, channel: str) -> bool:
    """Tell whether the member has taken back what was agreed to, and agreed to nothing since that would allow it."""
    consent = consent_to(choices, notice.purpose, channel)
    return consent is not None and consent.withdrawn_at is not None and permission_for(choices, notice, channel) is None


def after_use(choices: Choices, used: Permission) -> Choices:
    """Return the choices after one message under a one-time grant."""
    if used.grant is None or used.purpose == Purpose.INVITATION:
        return choices
    last = max(used.grant, choices.used.get(used.key, 0))
    return msgspec.structs.replace(choices, used={**choices.used, used.key: last})
