"""Which groups, orders, members, offers, plays and disputes entries name."""

from collections.abc import Iterator, Sequence

from services.ledger.lean import Entity, EntityKind, LeanData, LeanDecision, LeanEntry


class _Named:
    """What was named so far. What is absent is None, and a kind to come may put anything where ids stand."""

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.orders: set[str] = set()
        self.members: set[str] = set()
        self.offers: set[str] = set()
        self.plays: set[str] = set()
        self.disputes: set[str] = set()

    def add_of_decision(self, decision: LeanDecision) -> None:
        for group in (decision.group, decision.into):
            if isinstance(group, str):
                self.groups.add(group)
        for order in (decision.order, decision.promoted):
            if isinstance(order, str):
                self.orders.add(order)
        for member in (decision.member, decision.inviter, decision.invitee):
            if isinstance(member, str):
                self.members.add(member)
        self._add_of_both(decision)
        # A merge only counts its seats.
        if isinstance(decision.seats, list):
            for seat in decision.seats:
                if isinstance(seat.order, str):
                    self.orders.add(seat.order)
                if isinstance(seat.member, str):
                    self.members.add(seat.member)

    def add_of_event(self, data: LeanData) -> None:
        if isinstance(data.group, str):
            self.groups.add(data.group)
        if isinstance(data.order, str):
            self.orders.add(data.order)
        for member in (data.member, data.via, data.other, data.inviter, data.invitee):
            if isinstance(member, str):
                self.members.add(member)
        self._add_of_both(data)

    def _add_of_both(self, naming: LeanDecision | LeanData) -> None:
        if isinstance(naming.offer, str):
            self.offers.add(naming.offer)
        if isinstance(naming.play, str):
            self.plays.add(naming.play)
        if isinstance(naming.dispute, str):
            self.disputes.add(naming.dispute)


def entities_of(entries: Sequence[LeanEntry]) -> Iterator[Entity]:
    """Return every group, order, member, offer, play and dispute that the entries name, each once."""
    return ((kind, name) for kind, names in names_of(entries).items() for name in names)


def names_of(entries: Sequence[LeanEntry]) -> dict[EntityKind, set[str]]:
    """Return the same by kind."""
    named = _Named()
    for entry in entries:
        for decision in entry.decisions:
            named.add_of_decision(decision)
        if entry.event is not None and entry.event.data is not None:
            named.add_of_event(entry.event.data)
    return {
        "group": named.groups,
        "order": named.orders,
        "member": named.members,
        "offer": named.offers,
        "play": named.plays,
        "dispute": named.disputes,
    }
