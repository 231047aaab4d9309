"""Which parts of an entry a reader may see: what is about the reader, and nothing about anybody else."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from events import decisions as d
from events import dispute_decisions as dd
from events import member_decisions as m
from events import outcomes
from events.decode import decode_archived
from events.leaf import parts
from events.record import decode_entry_bytes
from events.registry import AnyEvent
from services.ledger.dossier.contents import Audience
from services.ledger.history import FoundEntry

_PUBLIC: Final = (d.OfferListed,)
# A part is shown whole or not at all, so one that holds what outsiders are not told stays shut: another member's order,
# and what a suspicion was counted from. What a member chose, the member may see.
_HIDDEN_FROM_MERCHANTS: Final = outcomes.NOT_FOR_PUBLISHERS
_HIDDEN_FROM_MEMBERS: Final = ("promoted", "strikes", "evidence_entries", "score", "reasons")
_ANSWERS: Final = (d.Refused, d.Duplicate, d.Malformed)


class Reader(msgspec.Struct):
    """For whom a dossier is, and what of the entries in it is that reader's."""

    audience: Audience
    name: str
    orders: set[str] = msgspec.field(default_factory=set)
    groups: set[str] = msgspec.field(default_factory=set)
    disputes: set[str] = msgspec.field(default_factory=set)

    def learn(self, entries: Iterable[FoundEntry]) -> None:
        """Note which orders, groups and disputes in `entries` are the reader's."""
        if self.audience == "auditor":
            return
        for found in entries:
            for decision in found.entry.decisions:
                self._learn(decision)

    def owns(self, thing: Any) -> bool:
        """Tell whether a seat or a decision is about the reader's own."""
        return getattr(thing, "member" if self.audience == "member" else "publisher", None) == self.name

    def _learn(self, decision: d.AnyDecision) -> None:
        owned = [decision, *(decision.seats if isinstance(decision, d.Closing) else ())]
        for each in filter(self.owns, owned):
            if isinstance(order := getattr(each, "order", None), str):
                self.orders.add(order)
            if isinstance(group := getattr(decision, "group", None), str):
                self.groups.add(group)
            if isinstance(dispute := getattr(each, "dispute", None), str):
                self.disputes.add(dispute)


class Part(msgspec.Struct, frozen=True):
    """A part of an entry: its exact bytes, whether the reader sees it, and the decision that it belongs to."""

    text: bytes
    is_open: bool
    decision: d.AnyDecision | None = None


def parts_for(found: FoundEntry, reader: Reader) -> list[Part]:
    """Return the parts of an entry in the order of their commitments, each opened or not for `reader`."""
    texts = parts(decode_entry_bytes(found.raw))
    seen = list(_judged(found, reader))
    assert len(seen) == len(texts), "a commitment for each part"
    return [Part(text, is_open, decision) for text, (is_open, decision) in zip(texts, seen, strict=True)]


def event_of(found: FoundEntry) -> AnyEvent | None:
    """Return the event of an entry, None where there is none."""
    return None if found.entry.event is None else decode_archived(found.entry.event)


def holds_what_is_hidden(decision: d.AnyDecision, reader: Reader) -> bool:
    """Tell whether a decision holds something that no reader of this kind is shown, even of what is their own."""
    if reader.audience == "member":
        # A sanction on an operator's word counts nothing and names no evidence: all of it may be read.
        return any(getattr(decision, field, None) for field in _HIDDEN_FROM_MEMBERS)
    return any(getattr(decision, field, None) is not None for field in _HIDDEN_FROM_MERCHANTS)


def _judged(found: FoundEntry, reader: Reader) -> Iterable[tuple[bool, d.AnyDecision | None]]:
    everything = reader.audience == "auditor"
    sees_event = everything or _sees_event(found, reader)
    if found.entry.event is not None:
        yield sees_event, None
    for decision in found.entry.decisions:
        if isinstance(decision, _ANSWERS):
            # Why somebody else was refused says something of that somebody.
            yield sees_event, decision
            continue
        yield everything or _sees(decision, reader), decision
        if isinstance(decision, d.Closing):
            for seat in decision.seats:
                yield everything or reader.owns(seat), None


def _sees_event(found: FoundEntry, reader: Reader) -> bool:
    if reader.audience == "merchant":
        return found.entry.publisher == reader.name
    if any(isinstance(decision, dd.DisputeProposed) for decision in found.entry.decisions):
        return False
    data = getattr(event_of(found), "data", None)
    members = {name for name in data.members() if name is not None} if data is not None else set()
    if members - {reader.name}:
        return False
    is_named = reader.name in members or getattr(data, "order", None) in reader.orders
    return is_named or getattr(data, "dispute", None) in reader.disputes


def _sees(decision: d.AnyDecision, reader: Reader) -> bool:
    if isinstance(decision, dd.DisputeProposed):
        # What is only proposed is nobody's yet.
        return False
    if holds_what_is_hidden(decision, reader):
        return False
    if isinstance(decision, _PUBLIC) or reader.owns(decision):
        return True
    if isinstance(decision, d.Closing):
        return decision.group in reader.groups
    if isinstance(decision, d.GroupMerged):
        return decision.group in reader.groups or decision.into in reader.groups
    if isinstance(decision, m.InvitationAllowed):
        # Both were told by whom and to whom.
        return reader.name in (decision.inviter, decision.invitee)
    return isinstance(decision, d.GroupOpened) and decision.order in reader.orders
