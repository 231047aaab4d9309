"""Arrivals through the production rules, under the ways of matching that an offer can choose."""

import json
from typing import Any, Final, NamedTuple

from events import decisions as d
from events.record import decode_entry
from events.times import NS_PER_S, format_time_ns, parse_time_ns
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from tests.bench.matching.arrivals import Party

POLICIES: Final[dict[str, dict[str, str]]] = {
    "no_strangers": {"strangers": "never"},
    "earliest_deadline": {},
    "nearest_full": {"match": "nearest_full"},
    "earliest_deadline_merging": {"merge": "allowed"},
    "nearest_full_merging": {"match": "nearest_full", "merge": "allowed"},
    "launching_merging": {"merge": "allowed"},
}
"""Terms of the offer, by what the way of matching is called in reports."""

LAUNCHING: Final = "launching_merging"
"""With this way whoever comes alone launches a group as well (`lead: always`): merging alone brings them together."""

_BEGIN_NS: Final = parse_time_ns("2026-01-01T00:00:00Z")


class Outcome(NamedTuple):
    """What came of the members of one history."""

    members: int
    filled: int
    wait_s_mean: float
    """Of the members in filled groups, from their order to the fill; 0 where nobody got one."""


class _Market:
    """One market on the clock of its events, fed one event at a time, without a broker."""

    def __init__(self) -> None:
        self._engine = Engine("bench", Facts(b"k" * 32))
        self._seq = 0
        self.ordered_ns: dict[str, int] = {}
        self._deadline_ns: dict[str, int] = {}
        self.waits_s: list[float] = []
        self.decisions: list[d.AnyDecision] = []

    def say(self, kind: str, at_ns: int, data: dict[str, Any]) -> None:
        """Let an event happen, and everything that is due before it."""
        self._seq += 1
        event = {
            "specversion": "1.0",
            "type": f"groupbuy.{kind}.v1",
            "id": f"e-{self._seq}",
            "source": "/bench",
            "time": format_time_ns(at_ns),
            "data": data,
        }
        family = kind.split(".", maxsplit=1)[0]
        publisher = "operator" if family == "market" else "bench"
        message = Message(self._seq, at_ns, publisher, family, json.dumps(event).encode())
        self.decisions = []
        for raw in self._engine.process(message):
            entry = decode_entry(raw)
            for decision in entry.decisions:
                assert type(decision) not in (d.Refused, d.Malformed), decision
                if type(decision) is d.GroupOpened:
                    self._deadline_ns[decision.group] = decision.deadline
                if type(decision) is d.GroupFilled:
                    # Here a deadline waits for the next event; a running market knocks at itself when one is due.
                    at_ns = min(entry.at, self._deadline_ns[decision.group])
                    self.waits_s += [(at_ns - self.ordered_ns[seat.order]) / NS_PER_S for seat in decision.seats]
                self.decisions.append(decision)

    def order(self, member: int, at_ns: int, **how: Any) -> None:
        """Let a member order, who agrees to being merged."""
        order = f"o-{member}"
        self.ordered_ns[order] = at_ns
        kind = "order.joined" if "group" in how else "order.posted"
        self.say(kind, at_ns, {"order": order, "member": f"m-{member}", "offer": "tea", "merge": True, **how})


def play_out(parties: list[Party], size: int, ttl_s: int, way: str) -> Outcome:
    """Return what the rules make of `parties` in an offer of `size` with the terms of a way.

    Who comes alone takes the best seat there is, or opens a group (by the way `LAUNCHING` always); who brings friends
    launches a group and the friends join it by name.
    """
    market = _Market()
    market.say("market.configured", _BEGIN_NS, {"clock": "event", "publishers": {"bench": ["offer", "order"]}})
    free = {"currency": "CNY", "group_minor": 0, "hold_s": 0}
    market.say(
        "offer.published", _BEGIN_NS, {"offer": "tea", "size": size, "group_ttl_s": ttl_s, **free, **POLICIES[way]}
    )
    for party in parties:
        _arrive(market, party, launches=way == LAUNCHING)
    end_ns = _BEGIN_NS + (parties[-1].at_s + ttl_s + 1) * NS_PER_S
    market.say("offer.withdrawn", end_ns, {"offer": "tea", "open_groups": "dissolve"})
    members, waits_s = sum(party.size for party in parties), market.waits_s
    return Outcome(members, len(waits_s), sum(waits_s) / len(waits_s) if waits_s else 0.0)


def _arrive(market: _Market, party: Party, *, launches: bool) -> None:
    at_ns = _BEGIN_NS + party.at_s * NS_PER_S
    lead = "always" if launches or party.size > 1 else "if_needed"
    market.order(party.first_member, at_ns, lead=lead)
    friends = range(party.first_member + 1, party.first_member + party.size)
    if friends:
        group = next(one.group for one in market.decisions if type(one) is d.GroupOpened)
        for friend in friends:
            market.order(friend, at_ns, group=group)
