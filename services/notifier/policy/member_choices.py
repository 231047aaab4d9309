"""From entries to what members have chosen: pure."""

from collections.abc import Callable
from typing import Final

import msgspec

from events import decisions as d
from events import member_decisions as m
from events.decode import decode_archived
from events.member import MemberBlockedEvent
from events.record import Entry
from services.notifier.policy.choices import Choices

ChoicesOf = Callable[[str], Choices]
_TELLING: Final = (m.MemberChose, m.InvitationAllowed, d.MemberNoted)


def may_change_choices(entry: Entry) -> bool:
    """Tell whether an entry may hold something that a member has chosen."""
    return any(isinstance(decision, _TELLING) for decision in entry.decisions)


def choices_after(entry: Entry, changed: dict[str, Choices], choices_of: ChoicesOf) -> None:
    """Write into `changed` what members have chosen by an entry; `choices_of` gives what stood before."""

    def before(member: str) -> Choices:
        known = changed.get(member)
        return choices_of(member) if known is None else known

    for decision in entry.decisions:
        if isinstance(decision, m.MemberChose):
            changed[decision.member] = msgspec.structs.replace(before(decision.member), chosen=decision.choices)
        elif isinstance(decision, m.InvitationAllowed) and decision.grant is not None:
            changed[decision.invitee] = _granted(before(decision.invitee), decision)
        elif isinstance(decision, d.MemberNoted) and entry.event is not None:
            event = decode_archived(entry.event)
            if isinstance(event, MemberBlockedEvent) and event.data.other is not None:
                member, other, lifted = event.data.member, event.data.other, event.data.lifted
                blocked = _with(before(member).blocked, other, lifted=lifted)
                changed[member] = msgspec.structs.replace(before(member), blocked=blocked)
                blocked_by = _with(before(other).blocked_by, member, lifted=lifted)
                changed[other] = msgspec.structs.replace(before(other), blocked_by=blocked_by)


def _granted(choices: Choices, decision: m.InvitationAllowed) -> Choices:
    """Return the choices after an invitation has taken a one-time grant."""
    assert decision.grant is not None, "the caller has looked"
    consents = tuple(
        msgspec.structs.replace(consent, lapsed=max(consent.lapsed, decision.grant))
        if consent.purpose == "invitation" and consent.channel == decision.channel
        else consent
        for consent in choices.chosen.consents or ()
    )
    chosen = msgspec.structs.replace(choices.chosen, consents=consents)
    return msgspec.structs.replace(choices, chosen=chosen)


def _with(names: frozenset[str], name: str, *, lifted: bool) -> frozenset[str]:
    return names - {name} if lifted else names | {name}
