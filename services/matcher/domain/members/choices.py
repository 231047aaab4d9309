"""What a member's choices allow: asked by the rules when they decide and by whoever sends, before sending."""

from typing import Final, get_args

from msgspec.structs import replace

from events.member import Channel, Purpose
from events.member_decisions import Choices, Consent, SelfLimit
from events.times import NS_PER_S
from services.matcher.domain.state import State

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)


def consent_to(choices: Choices, purpose: Purpose, channel: Channel) -> Consent | None:
    """Return what a member said of a purpose by a channel; None where nothing was said."""
    for consent in choices.consents or ():
        if consent.purpose == purpose and consent.channel == channel:
            return consent
    return None


def allows(consent: Consent | None) -> bool:
    """Tell whether a message may go out under `consent`: it stands, or a one-time grant is left."""
    return consent is not None and (consent.standing or consent.granted > consent.lapsed)


def is_withdrawn(consent: Consent | None) -> bool:
    """Tell whether what was agreed to has been taken back since, as far as `consent` says."""
    return consent is not None and consent.withdrawn_at is not None and not allows(consent)


def grant_to_take(consent: Consent) -> int | None:
    """Return the number of the one-time grant that the next invitation takes; None under a standing consent."""
    assert allows(consent), "only what is allowed takes a grant"
    return None if consent.standing else consent.lapsed + 1


def objection(
    choices: Choices, purpose: Purpose, kind: str | None = None, labels: tuple[str, ...] | None = None
) -> str | None:
    """Return the preference that speaks against telling a member of something; None where none does.

    `kind`: `group` or the kind of a play, `labels`: what it carries; None where it has none by nature, as a pool.
    """
    if choices.purposes is not None and purpose not in choices.purposes:
        return "purposes"
    if choices.kinds is not None and kind is not None and kind not in choices.kinds:
        return "kinds"
    if choices.labels and labels is not None and not any(label in choices.labels for label in labels):
        return "labels"
    return None


def with_consent(choices: Choices, consent: Consent) -> Choices:
    """Return `choices` with `consent` in the place of what was said of its purpose and channel."""
    kept = tuple(
        known
        for known in choices.consents or ()
        if (known.purpose, known.channel) != (consent.purpose, consent.channel)
    )
    return replace(choices, consents=(*kept, consent))


def after_grant(choices: Choices, channel: Channel, grant: int) -> Choices:
    """Return a member's choices after an invitation took the one-time grant numbered `grant`."""
    consent = consent_to(choices, "invitation", channel)
    assert consent is not None and consent.lapsed < grant <= consent.granted, "a grant is taken once"
    return with_consent(choices, replace(consent, lapsed=grant))


def most_now(limit: SelfLimit, now_ns: int) -> int | None:
    """Return what a limit allows at `now_ns`; None where it allows everything."""
    if limit.changes_at is not None and now_ns >= limit.changes_at:
        return limit.then_most
    return limit.most


def is_new(state: State, member: str, now_ns: int) -> bool:
    """Tell whether `member` registered so short a time ago as to count as new; nobody who is not registered does."""
    assert state.market is not None
    registered_at = state.members.of(member).registered_at
    return registered_at is not None and now_ns < registered_at + state.market.new_member_s * NS_PER_S
