"""`python -m tests.bench.no_rules CONFIG.json`: a matcher without rules, to measure what everything else costs.

It reads the same messages, checks the same contract, and writes an entry with the event and one decision of a usual
size; only what the rules do in between, and the state that they keep, is left out.
"""

import sys

import msgspec

from events.decisions import SeatConfirmed
from events.decode import decode_event, split_message
from events.order import OrderPostedEvent
from events.record import Entries, Entry, encode_entries
from services.bus.service import run_service
from services.matcher.app import matcher
from services.matcher.domain.engine import Engine
from services.matcher.domain.message import Message


def decide(engine: Engine, message: Message) -> Entries:
    """Write an entry for each event of `message`, as if each order had a seat."""
    entries: list[Entry] = []
    for index, raw in enumerate(split_message(message.body)):
        event, _ = decode_event(raw)
        assert isinstance(event, OrderPostedEvent), "the backlog holds orders alone"
        engine.state.position = (message.seq, index, 0)
        engine.state.decided = (message.seq, index)
        order, payment = event.data, event.data.payment
        assert payment is not None, "of the backlog every order pays"
        decision = SeatConfirmed(
            group=order.order,
            order=order.order,
            member=order.member,
            offer=order.offer,
            payable_minor=payment.amount_minor,
            currency=payment.currency,
            payment=payment.payment,
            publisher=message.publisher,
        )
        entries.append(
            Entry(
                seq=message.seq,
                index=index,
                part=0,
                at=message.at,
                publisher=message.publisher,
                event=msgspec.Raw(raw),
                decisions=[decision],
            )
        )
    return encode_entries(entries)


if __name__ == "__main__":
    Engine.decide = decide  # type: ignore[method-assign]
    sys.exit(run_service(sys.argv[1:], matcher))
