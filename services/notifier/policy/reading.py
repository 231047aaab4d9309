"""From an entry to notices: pure, and the same for ever for the same entry.

Where a group's end owes a member money back, one notice says both. The seats of one member in one page are told
together, since a notice is identified by its decision and its member.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from events import decisions as d
from events import dispute_decisions as dd
from events import member_decisions as m
from events import play_decisions as p
from events.record import Entry, entry_id
from events.standing_decisions import STANDING_DECISIONS
from events.times import NS_PER_S, format_time_ns
from services.notifier.policy.draws import Draw
from services.notifier.policy.known import KnownMarket, Prices
from services.notifier.policy.purposes import OPERATOR, PURPOSE_OF, Kind, Notice, Purpose

DAY_S: Final = 86_400
USEFUL_FOR_S: Final[dict[Purpose, int]] = {
    Purpose.RESULT: 7 * DAY_S,
    Purpose.INVITATION: 2 * DAY_S,
    Purpose.REMINDER: DAY_S,
    Purpose.DIGEST: 7 * DAY_S,
    Purpose.OPERATOR_ALERT: 30 * DAY_S,
}
"""How long a message is of use, unless the configuration or the matter itself says otherwise."""


class Source(msgspec.Struct, frozen=True):
    """Where notices are read from: the entry, its record, and how long each purpose is useful, in seconds."""

    entry: Entry
    record: int
    useful_for_s: dict[Purpose, int]

    def notice(self, index: int, member: str, kind: Kind, fields: dict[str, Any], **more: Any) -> Notice:
        """Return a notice about the decision at `index`."""
        entry = self.entry
        useful_for_s = self.useful_for_s.get(PURPOSE_OF[kind], USEFUL_FOR_S[PURPOSE_OF[kind]])
        useful_until_ns = entry.at + useful_for_s * NS_PER_S
        # What an invitation leads to may be over sooner.
        ends_ns = more.pop("ends_ns", None)
        return Notice(
            decision=f"{entry_id(entry.seq, entry.index, entry.part)}/{index}",
            member=member,
            kind=kind,
            at_ns=entry.at,
            record=self.record,
            useful_until_ns=min(useful_until_ns, ends_ns) if ends_ns is not None else useful_until_ns,
            fields=fields,
            **more,
        )


def notices_of(source: Source, known: KnownMarket) -> Iterator[Notice]:
    """Yield what members are told of an entry; `known` is what was known before it."""
    told = _closing_orders(source.entry)
    for index, decision in enumerate(source.entry.decisions):
        if isinstance(decision, d.GroupFilled):
            yield from _filled(source, index, decision, known)
        elif isinstance(decision, d.GroupExpired | d.GroupDissolved):
            yield from _ended(source, index, decision, known)
        elif isinstance(decision, d.RefundDue):
            if decision.member is not None and decision.order not in told:
                yield _refund(source, index, decision)
        else:
            read = _OTHERS.get(type(decision)) or _BY_TAG.get(str(decision.__struct_config__.tag))
            if read is not None:
                yield from read(source, index, decision, known)


def _closing_orders(entry: Entry) -> frozenset[str]:
    return frozenset(
        seat.order
        for decision in entry.decisions
        if isinstance(decision, d.GroupFilled | d.GroupExpired | d.GroupDissolved)
        for seat in decision.seats
    )


def _refunds(entry: Entry, orders: list[str]) -> list[d.RefundDue]:
    return [decision for decision in entry.decisions if isinstance(decision, d.RefundDue) and decision.order in orders]


def _by_member(seats: list[d.SeatRef]) -> dict[str, list[d.SeatRef]]:
    members: dict[str, list[d.SeatRef]] = {}
    for seat in seats:
        members.setdefault(seat.member, []).append(seat)
    return members


def _filled(source: Source, index: int, decision: d.GroupFilled, known: KnownMarket) -> Iterator[Notice]:
    group = known.groups.get(decision.group)
    prices = group.prices if group is not None else None
    leader = group.leader if group is not None else None
    for member, seats in _by_member(decision.seats).items():
        fields = {
            **_common(decision, seats, prices),
            "size": decision.size,
            "refund_minor": sum(r.amount_minor for r in _refunds(source.entry, [seat.order for seat in seats])),
            **_money(seats, decision.size, prices, leader),
        }
        kind = Kind.FILLED
        if any(seat.won is not None for seat in seats):
            kind, fields = Kind.DRAW, _drawn_seats(decision, seats, fields)
        publisher = seats[0].publisher
        yield source.notice(index, member, kind, fields, group=decision.group, publisher=publisher)


def _drawn_seats(decision: d.GroupFilled, seats: list[d.SeatRef], fields: dict[str, Any]) -> dict[str, Any]:
    """Return what a member is told whose seats were in a draw; nobody saves by what was not won."""
    won = any(seat.won for seat in seats)
    told = {name: fields[name] for name in ("group", "offer", "orders", "price_minor", "refund_minor", "currency")}
    return {**told, "play": None, "prize": decision.offer if won else None, "drawn": True, "won": won}


def _money(seats: list[d.SeatRef], size: int, prices: Prices | None, leader: str | None) -> dict[str, int | None]:
    """Return what the seats cost, what that saved, and what is still to be paid, exactly, in minor units.

    `saved_minor` is None where the offer names no price for buying alone.
    """
    quantity = sum(seat.quantity for seat in seats)
    price_minor, remains_minor = sum(seat.price_minor for seat in seats), 0
    if prices is not None and not prices.paid:
        # Nothing is paid through the market: the shop is still to get all of it.
        price_minor = sum(prices.unit_minor(size, leads=seat.order == leader) * seat.quantity for seat in seats)
        remains_minor = price_minor
    solo_minor = None if prices is None or prices.solo_minor is None else prices.solo_minor * quantity
    saved_minor = None if solo_minor is None else max(0, solo_minor - price_minor)
    return {"price_minor": price_minor, "saved_minor": saved_minor, "remains_minor": remains_minor}


def _ended(
    source: Source, index: int, decision: d.GroupExpired | d.GroupDissolved, known: KnownMarket
) -> Iterator[Notice]:
    group = known.groups.get(decision.group)
    prices = group.prices if group is not None else None
    for member, seats in _by_member(decision.seats).items():
        refunds = _refunds(source.entry, [seat.order for seat in seats])
        fields = _common(decision, seats, prices)
        fields["refund_minor"] = sum(refund.amount_minor for refund in refunds)
        if refunds:
            fields["currency"] = refunds[0].currency
        if isinstance(decision, d.GroupExpired):
            kind, fields["missing"] = Kind.EXPIRED, decision.missing
        else:
            kind, fields["cause"] = Kind.DISSOLVED, decision.cause
        publisher = seats[0].publisher
        yield source.notice(index, member, kind, fields, group=decision.group, publisher=publisher)


def _common(decision: d.Closing, seats: list[d.SeatRef], prices: Prices | None) -> dict[str, Any]:
    return {
        "group": decision.group,
        "offer": decision.offer,
        "orders": [seat.order for seat in seats],
        "quantity": sum(seat.quantity for seat in seats),
        "currency": prices.currency if prices is not None else "",
    }


def _refund(source: Source, index: int, decision: d.RefundDue) -> Notice:
    assert decision.member is not None, "a refund of nobody is nobody's news"
    fields = {
        "refund": decision.refund,
        "order": decision.order,
        "refund_minor": decision.amount_minor,
        "currency": decision.currency,
        "cause": decision.cause,
    }
    return source.notice(
        index, decision.member, Kind.REFUND_DUE, fields, group=decision.group, publisher=decision.publisher
    )


def _invited(source: Source, index: int, decision: m.InvitationAllowed, known: KnownMarket) -> Iterator[Notice]:
    group = known.groups.get(decision.group) if decision.group is not None else None
    fields = {
        "inviter": decision.inviter,
        "offer": group.offer if group is not None else None,
        "group": decision.group,
        "play": decision.play,
        "pool": decision.pool,
        "link": decision.link,
    }
    yield source.notice(
        index,
        decision.invitee,
        Kind.INVITED,
        fields,
        ends_ns=decision.useful_until,
        group=decision.group,
        publisher=decision.publisher,
        inviter=decision.inviter,
        pool=decision.pool,
        activity="group" if decision.group is not None else None,
        labels=group.labels if group is not None else None,
        via=decision.channel,
        grant=decision.grant,
    )


def _reminded(source: Source, index: int, decision: m.MemberReminded, _: KnownMarket) -> Iterator[Notice]:
    fields = {
        "limit": decision.limit,
        "set_by": decision.set_by,
        "used": decision.used,
        "most": decision.most,
        "currency": decision.currency,
    }
    yield source.notice(index, decision.member, Kind.LIMIT_REACHED, fields, ends_ns=decision.week_ends)


def _price_cut(source: Source, index: int, decision: p.PriceCut, _: KnownMarket) -> Iterator[Notice]:
    fields = {
        "play": decision.play,
        "cut_minor": decision.cut_minor,
        "price_minor": decision.price_minor,
        "remains_minor": decision.remaining_minor,
        "helpers_left": decision.helpers_left,
        "currency": decision.currency,
    }
    yield source.notice(index, decision.member, Kind.PRICE_CUT, fields, publisher=decision.publisher)


_NO_GROUP: Final[dict[str, Any]] = {
    "group": None,
    "offer": None,
    "orders": None,
    "price_minor": 0,
    "refund_minor": 0,
    "currency": None,
}
"""What a draw says of a group, where it is the draw of a play."""


def _won(source: Source, index: int, decision: p.PlayWon, _: KnownMarket) -> Iterator[Notice]:
    if decision.member is None:
        return
    fields = {
        **_NO_GROUP,
        "play": decision.play,
        "prize": decision.prize,
        "drawn": decision.draw is not None,
        "won": True,
    }
    yield source.notice(index, decision.member, Kind.DRAW, fields, publisher=decision.publisher)


def lost_notice(draw: Draw, member: str, useful_for_s: int) -> Notice:
    """Return what a member is told who was in a draw and has not won; `useful_for_s` is how long, in seconds."""
    fields = {**_NO_GROUP, "play": draw.play, "prize": None, "drawn": True, "won": False}
    return Notice(
        decision=draw.decision,
        member=member,
        kind=Kind.DRAW,
        at_ns=draw.at_ns,
        record=draw.record,
        useful_until_ns=draw.at_ns + useful_for_s * NS_PER_S,
        fields=fields,
        publisher=draw.publisher,
    )


def _disputed(source: Source, index: int, decision: Any, _: KnownMarket) -> Iterator[Notice]:
    tag = str(decision.__struct_config__.tag)
    fields = {
        "dispute": decision.dispute,
        "step": tag.removeprefix("dispute."),
        "order": getattr(decision, "order", None),
        "verdict": getattr(decision, "verdict", None),
    }
    yield source.notice(index, decision.member, Kind.DISPUTE, fields, publisher=getattr(decision, "publisher", None))


def _overdue(source: Source, index: int, decision: dd.DisputeOverdue, known: KnownMarket) -> Iterator[Notice]:
    """Tell the claimant, and the operators, who have let it become so."""
    yield from _disputed(source, index, decision, known)
    fields = {"dispute": decision.dispute, "stage": decision.stage, "about": decision.member}
    yield source.notice(index, OPERATOR, Kind.DISPUTE_OVERDUE, fields)


def _standing(source: Source, index: int, decision: Any, _: KnownMarket) -> Iterator[Notice]:
    """Tell the member; what it was counted from would teach whoever fakes help how much goes unnoticed."""
    until_ns = getattr(decision, "until", None)
    fields = {
        "step": str(decision.__struct_config__.tag).removeprefix("member."),
        "until": None if until_ns is None else format_time_ns(until_ns),
    }
    yield source.notice(index, decision.member, Kind.STANDING, fields, publisher=decision.publisher)


Reader = Callable[[Source, int, Any, KnownMarket], Iterator[Notice]]
_OTHERS: Final[dict[type, Reader]] = {
    m.InvitationAllowed: _invited,
    m.MemberReminded: _reminded,
    p.PriceCut: _price_cut,
    p.PlayWon: _won,
    dd.DisputeOverdue: _overdue,
    **dict.fromkeys(STANDING_DECISIONS, _standing),
}
"""How decisions of other families are read, by their type."""
_DISPUTE_STEPS: Final = ("opened", "answered", "resolved", "appealed", "closed")
_BY_TAG: Final[dict[str, Reader]] = {f"dispute.{step}": _disputed for step in _DISPUTE_STEPS}
"""Steps of a dispute that its claimant is told of, by the kind of the decision: each has `dispute` and `member`."""
