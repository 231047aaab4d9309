"""Entries and records as a matcher writes them, with what the notifier must make of them known beforehand."""

import msgspec

from events import decisions as d
from events.reasons import Reason
from events.record import Entry
from tests.builders import encode, joined

AT_NS = 1_790_000_000_000_000_000
SHOP = "shop-a"


def confirmed(seq: int, index: int = 0, *, member: str | None = None, publisher: str = SHOP, fills: int = 0) -> Entry:
    """An order of `publisher` takes a seat; with `fills` it fills a group of that many, of the members before."""
    member = member or f"m-{seq}-{index}"
    order = f"o-{seq}-{index}"
    seat = d.SeatConfirmed(
        group=f"g{seq}-0", order=order, member=member, offer="tea", payable_minor=0, currency="CNY", publisher=publisher
    )
    decisions: list[d.AnyDecision] = [seat]
    if fills:
        seats = [
            d.SeatRef(order=f"o-{seq}-{at}", member=f"m-{seq}-{at}", publisher=publisher, price_minor=8_000)
            for at in range(index - fills + 1, index)
        ]
        own = d.SeatRef(order=order, member=member, publisher=publisher, price_minor=8_000)
        filled = d.GroupFilled(group=f"g{seq}-0", offer="tea", cause="target", size=fills, seats=[*seats, own])
        decisions.append(filled)
    event = msgspec.Raw(encode(joined(order, member, id=f"e-{seq}-{index}"), AT_NS))
    return Entry(seq=seq, index=index, part=0, at=AT_NS + seq, publisher=publisher, event=event, decisions=decisions)


def crowd(seq: int, members: int, *, publisher: str = SHOP) -> list[Entry]:
    """One batch of `members` orders, each with one result."""
    return [confirmed(seq, index, publisher=publisher) for index in range(members)]


def refused(seq: int, *, publisher: str = SHOP) -> Entry:
    """An event that changes nothing: an outcome, and no result."""
    event = msgspec.Raw(encode(joined(f"o-{seq}", f"m-{seq}", id=f"e-{seq}-0"), AT_NS))
    decision = d.Refused(reason=Reason.OFFER_UNKNOWN)
    return Entry(seq=seq, index=0, part=0, at=AT_NS + seq, publisher=publisher, event=event, decisions=[decision])


def expired(seq: int, seats: list[tuple[str, str]]) -> Entry:
    """A deadline: timer work that closes a group with these seats, (member, publisher) each; nobody's event."""
    refs = [
        d.SeatRef(order=f"o-{seq}-{at}", member=member, publisher=publisher)
        for at, (member, publisher) in enumerate(seats)
    ]
    decision = d.GroupExpired(group=f"g{seq}-0", offer="tea", missing=1, seats=refs)
    return Entry(seq=seq, index=0, part=0, at=AT_NS + seq, decisions=[decision])


def knock(seq: int) -> Entry:
    """The clock's knock: no result, and an outcome for nobody but the matcher itself."""
    event = msgspec.Raw(b'{"id":"tick","source":"matcher"}')
    decisions: list[d.AnyDecision] = [d.ClockAdvanced()]
    return Entry(seq=seq, index=0, part=0, at=AT_NS + seq, publisher="matcher", event=event, decisions=decisions)
