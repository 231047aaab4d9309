"""From entries to what members have chosen: pure."""

from collections.abc import Callable

import msgspec

from events import decisions as d
from events.decode import decode_archived
from events.member import MemberBlockedEvent
from events.record import Entry
from services.notifier.policy.choices import BLOCKS_MAX, Choices

ChoicesOf = Callable[[str], Choices]


def may_change_choices(entry: Entry) -> bool:
    """Tell whether an entry may hold something that a member has chosen."""
    return entry.event is not None and type(entry.decisions[0]) is d.MemberNoted


def choices_after(entry: Entry, changed: dict[str, Choices], choices_of: ChoicesOf) -> None:
    """Write into `changed` what members have chosen by an accepted entry; `choices_of` gives what stood before."""
    if entry.event is None or not may_change_choices(entry):
        return
    event = decode_archived(entry.event)
    if isinstance(event, MemberBlockedEvent):
        member = event.data.member
        before = changed.get(member) or choices_of(member)
        changed[member] = _blocked(before, event.data.other, lifted=event.data.lifted)


def _blocked(choices: Choices, other: str, *, lifted: bool) -> Choices:
    blocked = choices.blocked_members - {other} if lifted else choices.blocked_members | {other}
    # The matcher refuses more than this; whoever gets here all the same keeps the blocks that there are.
    return choices if len(blocked) > BLOCKS_MAX else msgspec.structs.replace(choices, blocked_members=blocked)
