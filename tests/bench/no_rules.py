"""`python -m tests.bench.no_rules CONFIG.json`: a matcher without rules, to measure what everything else costs.

It reads the same messages, checks the same contract, and writes entries with the event and as many decisions of the
same size as the rules write for this load: each order has a seat; of each five orders one opens a group, and one fills
it, with the five seats named (727 bytes an entry either way; without groups it would be 598). Only what the rules do in
between, and the state that they keep, is left out.
"""

import sys
from typing import Final

import msgspec

from events.decisions import AnyDecision, GroupFilled, GroupOpened, SeatConfirmed, SeatRef
from events.decode import decode_event, split_unread
from events.order import OrderPosted, OrderPostedEvent
from events.record import Entries, Entry, encode_entries
from services.bus.service import run_service
from services.matcher.app import matcher
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message
from tests.bench.traffic import GROUP_SIZE

_DAY_NS: Final = 86_400 * 10**9
_seated: Final[list[SeatRef]] = []
"""Of the group that is open: there is one at a time."""


def decide(engine: Engine, message: Message) -> Entries:
    """Write an entry for each event of `message`, as if each order had a seat in the group that is open."""
    entries: list[Entry] = []
    for index, raw in enumerate(split_unread(message.body)):
        event, _ = decode_event(bytes(raw))
        assert isinstance(event, OrderPostedEvent), "the backlog holds orders alone"
        engine.state.position = (message.seq, index, 0)
        engine.state.decided = (message.seq, index)
        entries.append(
            Entry(
                seq=message.seq,
                index=index,
                part=0,
                at=message.at,
                publisher=message.publisher,
                event=raw if isinstance(raw, msgspec.Raw) else msgspec.Raw(raw),
                decisions=_decisions(message, index, event.data),
            )
        )
    return encode_entries(entries)


def _decisions(message: Message, index: int, order: OrderPosted) -> list[AnyDecision]:
    """Return what the rules decide of one order in five each: it opens a group, sits down, and fills it."""
    payment, publisher = order.payment, message.publisher
    assert payment is not None, "of the backlog every order pays"
    group = f"g{message.seq}-{index}"
    decisions: list[AnyDecision] = []
    if not _seated:
        decisions.append(
            GroupOpened(
                group=group,
                offer=order.offer,
                edition=1,
                order=order.order,
                member=order.member,
                deadline=message.at + _DAY_NS,
            )
        )
    decisions.append(
        SeatConfirmed(
            group=group,
            order=order.order,
            member=order.member,
            offer=order.offer,
            payable_minor=payment.amount_minor,
            currency=payment.currency,
            payment=payment.payment,
            publisher=publisher,
        )
    )
    _seated.append(
        SeatRef(order=order.order, member=order.member, publisher=publisher, price_minor=payment.amount_minor)
    )
    if len(_seated) == GROUP_SIZE:
        decisions.append(
            GroupFilled(group=group, offer=order.offer, cause="target", size=GROUP_SIZE, seats=list(_seated))
        )
        _seated.clear()
    return decisions


if __name__ == "__main__":
    Engine.decide = decide  # type: ignore[method-assign]
    sys.exit(run_service(sys.argv[1:], matcher))
