"""One push consumer on the journal from a given sequence: bounded, replaceable, trusted for nothing.

By the short way (`services.bus.wire`) and not by a FastStream subscriber: at a thousand single events a second a record
holds one or two, and three services read each. FastStream 0.7.8 with nats-py and an acknowledgement for each costs
80 us a record, this 20. What follows from how the broker works:

- When a consumer is gone (deleted, or in the memory of a broker that restarted) nothing happens at all. So the follower
  replaces it whenever the stream is ahead of it and silent.
- Acknowledgements are the window: at most WINDOW_MESSAGES are on the way. They mean "taken into memory" and nothing
  else; the position is never the consumer's.
- A message that was lost with a connection leaves a hole in the consumer's own sequence. So that sequence is checked.
"""

import contextlib
from collections.abc import Callable
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import api

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.journal_chain import JournalMessage
from services.bus.wire import Wire, WireSubscription, parse_headers, wire_of

# 32 records of at most 4 MiB are 128 MiB in the worst case, and a few MiB as a rule.
WINDOW_MESSAGES: Final = 32
# One acknowledgement tells of all before it: a message to the broker for each would cost it as much as the record.
ACKNOWLEDGE_EVERY: Final = 8
# Redelivery would only repeat what is in memory already.
ACK_WAIT_S: Final = 22 * 3600.0
INACTIVE_THRESHOLD_S: Final = 10.0
_ACK: Final = b"+ACK"
_STATUS: Final = b"NATS/1.0 "
_SHORT_REPLY_TOKENS: Final = 9


class Delivery:
    """A journal message as it came, with the consumer's own count, and the means to ask for more."""

    __slots__ = ("_consumer", "_reply", "consumer_seq", "message")

    def __init__(self, consumer: "JournalConsumer", reply: bytes, head: bytes, body: bytes) -> None:
        stream_seq, self.consumer_seq, at_ns, _ = parse_reply(reply)
        message_id = parse_headers(head).get(subjects.HEADER_MESSAGE_ID) if head else None
        self.message = JournalMessage(stream_seq, at_ns, message_id, body)
        self._consumer = consumer
        self._reply = reply

    def taken(self) -> None:
        """Note that this message and all before it have been taken, so that the broker sends more."""
        self._consumer.acknowledge(self.consumer_seq, self._reply)


class JournalConsumer:
    """A consumer that hands each delivery to `deliver`, which must not block, until it is stopped."""

    def __init__(
        self, broker: ServiceBroker, market: str, user: str, start_seq: int, deliver: Callable[[Delivery], None]
    ) -> None:
        assert start_seq >= 1, "streams count from 1"
        self._broker = broker
        self._stream = subjects.journal_stream(market)
        self._user = user
        self._start_seq = start_seq
        self._deliver = deliver
        self._client: Client = broker.client
        self._wire: Wire = wire_of(broker.client)
        self._subscription: WireSubscription | None = None
        self._acknowledged_seq = 0

    async def start(self) -> None:
        """Make the consumer and subscribe. Raises nats.errors.Error or TimeoutError when the broker does not."""
        inbox = self._client.new_inbox()
        self._subscription = await self._wire.subscribe(inbox, self._receive)
        config = _consumer_config(self._user, inbox, self._start_seq)
        await self._broker.jetstream.add_consumer(self._stream, config=config)

    async def stop(self) -> None:
        """Stop delivering; what is on the way is ignored."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            # Where nobody listens the broker forgets the consumer by itself.
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    def acknowledge(self, consumer_seq: int, reply: bytes) -> None:
        """Let the broker send more, once a part of the window has been taken."""
        if consumer_seq - self._acknowledged_seq < ACKNOWLEDGE_EVERY or self._subscription is None:
            return
        self._acknowledged_seq = consumer_seq
        # Without a connection the consumer is replaced anyway.
        with contextlib.suppress(nats.errors.Error):
            self._wire.send(reply.decode(), _ACK)

    def _receive(self, _subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        if self._subscription is not None and not head.startswith(_STATUS):
            self._deliver(Delivery(self, reply, head, body))


def parse_reply(reply: bytes) -> tuple[int, int, int, int]:
    """Return (stream sequence, consumer sequence, timestamp in ns, messages still pending) of a delivery.

    The library's own metadata has microseconds only. The subject has two forms, with and without domain.
    """
    tokens = reply.split(b".")
    first = 5 if len(tokens) == _SHORT_REPLY_TOKENS else 7
    return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 2]), int(tokens[first + 3])


def _consumer_config(user: str, inbox: str, start_seq: int) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        description=f"journal as read by {user}",
        deliver_subject=inbox,
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start_seq,
        ack_policy=api.AckPolicy.ALL,
        ack_wait=ACK_WAIT_S,
        max_deliver=1,
        max_ack_pending=WINDOW_MESSAGES,
        inactive_threshold=INACTIVE_THRESHOLD_S,
        # Its state is worth nothing to us: not a write to the disk of a broker that syncs every write.
        mem_storage=True,
        num_replicas=1,
    )
