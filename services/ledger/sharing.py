"""`ledger tree`: how a play was shared: who brought whom, how deep, how wide, how fast."""

from collections import Counter
from typing import Final

import msgspec

from events import play_decisions as p
from events.assist import AssistGivenEvent
from events.decode import decode_archived
from events.times import NS_PER_S
from services.ledger.faults import NotFound
from services.ledger.history import FoundEntry, entries_of
from services.ledger.store import LedgerStore

GROWTH_STEPS: Final = 24
"""Into how many equal times the growth is divided."""


class Helper(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One helper: who shared the play to it, how far from the beginning, what became of its assist."""

    member: str
    via: str | None = None
    depth: int | None = None
    status: str
    at_ns: int
    brought: int = 0
    """How many it brought itself."""


class GrowthStep(msgspec.Struct, frozen=True):
    """How many helped from `from_ns` on, until the next step, and up to then."""

    from_ns: int
    helpers: int
    total: int


class SharingTree(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The tree of a play. Refused assists are not in it.

    `breadth` counts the helpers at depth 1, 2, ...; `circular` those who only brought each other.
    """

    play: str
    form: str
    member: str | None = None
    helpers: int
    counted: int
    sharers: int
    """Members who brought somebody, those at the beginning included."""
    depth: int
    breadth: list[int]
    most_by_one: int
    circular: int
    growth_factor: float
    """Helpers for each member at the beginning: the play's own, or those who shared without having helped."""
    roots: list[str]
    growth: list[GrowthStep]
    tree: list[Helper]


def sharing_tree(store: LedgerStore, play: str) -> SharingTree:
    """Return how `play` was shared. Raises NotFound when the ledger does not know it."""
    opened: p.PlayOpened | None = None
    opened_ns = 0
    helpers: dict[str, Helper] = {}
    for found in entries_of(store, "play", play):
        for decision in found.entry.decisions:
            if getattr(decision, "play", None) != play:
                continue
            if isinstance(decision, p.PlayOpened):
                opened, opened_ns = decision, found.entry.at
            elif isinstance(decision, p.AssistCounted | p.AssistHeld | p.AssistVoided):
                _note(helpers, found, decision)
    if opened is None:
        raise NotFound(f"the ledger knows no play {play}")
    return _tree(opened, opened_ns, helpers)


def _note(
    helpers: dict[str, Helper], found: FoundEntry, decision: p.AssistCounted | p.AssistHeld | p.AssistVoided
) -> None:
    status = str(decision.__struct_config__.tag).removeprefix("assist.")
    known = helpers.get(decision.member)
    if known is not None:
        known.status = status
        return
    event = None if found.entry.event is None else decode_archived(found.entry.event)
    via = event.data.via if isinstance(event, AssistGivenEvent) else None
    helpers[decision.member] = Helper(member=decision.member, via=via, status=status, at_ns=found.entry.at)


def _tree(opened: p.PlayOpened, opened_ns: int, helpers: dict[str, Helper]) -> SharingTree:
    children: dict[str, list[Helper]] = {}
    for helper in helpers.values():
        children.setdefault(helper.via or opened.member or "", []).append(helper)
    roots = [name for name in children if name not in helpers]
    breadth = _measure(roots, children)
    for name, brought in children.items():
        if name in helpers:
            helpers[name].brought = len(brought)
    named = [name for name in roots if name]
    return SharingTree(
        play=opened.play,
        form=opened.form,
        member=opened.member,
        helpers=len(helpers),
        counted=sum(helper.status == "counted" for helper in helpers.values()),
        sharers=sum(1 for name in children if name),
        depth=len(breadth),
        breadth=breadth,
        most_by_one=max((len(found) for name, found in children.items() if name), default=0),
        circular=sum(helper.depth is None for helper in helpers.values()),
        growth_factor=round(len(helpers) / max(1, len(named)), 2),
        roots=named,
        growth=_growth(opened_ns, [helper.at_ns for helper in helpers.values()]),
        tree=list(helpers.values()),
    )


def _measure(roots: list[str], children: dict[str, list[Helper]]) -> list[int]:
    """Set the depth of every helper that is reached from the roots; return how many there are at each."""
    breadth: list[int] = []
    level = [helper for name in roots for helper in children[name]]
    while level:
        breadth.append(len(level))
        for helper in level:
            helper.depth = len(breadth)
        level = [child for helper in level for child in children.get(helper.member, ())]
    return breadth


def _growth(opened_ns: int, times_ns: list[int]) -> list[GrowthStep]:
    if not times_ns:
        return []
    step_ns = max(NS_PER_S, -(-(max(times_ns) + 1 - opened_ns) // GROWTH_STEPS))
    in_step = Counter((at_ns - opened_ns) // step_ns for at_ns in times_ns)
    steps, total = [], 0
    for number in range(max(in_step) + 1):
        total += in_step[number]
        steps.append(GrowthStep(opened_ns + number * step_ns, in_step[number], total))
    return steps
