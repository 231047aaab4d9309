"""What a member has chosen, as far as it decides whether and when the member is told: pure."""

from typing import Final

import msgspec

from services.notifier.policy.purposes import Purpose
from services.notifier.policy.quiet import QuietHours

GRANTS_MAX: Final = 1_000
BLOCKS_MAX: Final = 10_000


class Consent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agreement to one purpose over one channel (None: over any).

    `uses_left` counts the messages of a one-time grant; None means until it is taken back. `entry` is where the
    ledger has it.
    """

    purpose: str
    channel: str | None = None
    uses_left: int | None = None
    entry: str = ""


class Choices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a member has chosen; a member who has chosen nothing has the defaults.

    `zone` is the member's own time zone, None where the market's counts. `unwanted` holds purposes and kinds, `labels`
    is None where every label is welcome. `blocked_members` and `blocked_pools` are whom the member never hears of.
    """

    language: str | None = None
    zone: str | None = None
    quiet: QuietHours | None = None
    consents: tuple[Consent, ...] = ()
    unwanted: frozenset[str] = frozenset()
    labels: frozenset[str] | None = None
    blocked_members: frozenset[str] = frozenset()
    blocked_pools: frozenset[str] = frozenset()


NO_CHOICES: Final = Choices()


def consent_for(choices: Choices, purpose: Purpose, channel: str) -> Consent | None:
    """Return the consent that allows a message, a lasting one first; None when there is none."""
    fitting = [
        consent
        for consent in choices.consents
        if consent.purpose == purpose and consent.channel in (None, channel) and consent.uses_left != 0
    ]
    return min(fitting, key=lambda consent: consent.uses_left is not None, default=None)


def with_consent(choices: Choices, given: Consent) -> Choices:
    """Return the choices after a consent; one-time grants for the same add up."""
    same = [old for old in choices.consents if (old.purpose, old.channel) == (given.purpose, given.channel)]
    others = tuple(old for old in choices.consents if old not in same)
    uses = [old.uses_left for old in same]
    if given.uses_left is None or None in uses:
        merged = msgspec.structs.replace(given, uses_left=None)
    else:
        merged = msgspec.structs.replace(
            given, uses_left=min(GRANTS_MAX, given.uses_left + sum(left or 0 for left in uses))
        )
    return msgspec.structs.replace(choices, consents=(*others, merged))


def without_consent(choices: Choices, purpose: str, channel: str | None) -> Choices:
    """Return the choices after a withdrawal: of one channel, or with None of all."""
    kept = tuple(
        consent
        for consent in choices.consents
        if consent.purpose != purpose or (channel is not None and consent.channel not in (None, channel))
    )
    return msgspec.structs.replace(choices, consents=kept)


def after_use(choices: Choices, used: Consent) -> Choices:
    """Return the choices after one message under a one-time grant."""
    if used.uses_left is None:
        return choices
    left = msgspec.structs.replace(used, uses_left=max(0, used.uses_left - 1))
    return msgspec.structs.replace(
        choices, consents=tuple(left if consent == used else consent for consent in choices.consents)
    )
