"""One FastStream subscriber on the journal from a given sequence: bounded, replaceable, trusted for nothing.

What FastStream 0.7.8 and nats-py 2.16 do, and what follows from it:

- A push subscriber subscribes once. When its consumer is gone (deleted, or in the memory of a broker that
  restarted) nothing happens at all; an ordered one begins again at sequence 1 if nothing had come yet.
  So the follower replaces the whole subscriber whenever the stream is ahead of it and silent.
- With a callback nats-py answers flow control before the message is dealt with, so it holds nothing back and
  what exceeds the limit is dropped. So acknowledgements are the window: at most WINDOW_MESSAGES are on
  the way. They mean "taken into memory" and nothing else; the position is never the consumer's.
- A message that FastStream drops because the subscriber is not running yet, or that was lost with a
  connection, leaves a hole in the consumer's own sequence. So that sequence is checked.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import nats.errors
from faststream.message import StreamMessage
from faststream.middlewares import AckPolicy as HandlerAckPolicy
from faststream.nats import JStream, NatsBroker
from nats.aio.msg import Msg
from nats.js import api

from events import subjects
from services.bus.journal_chain import JournalMessage

# 32 records of at most 4 MiB are 128 MiB in the worst case, and a few MiB as a rule.
WINDOW_MESSAGES: Final = 32
WINDOW_BYTES: Final = 160 * 1024 * 1024
# Redelivery would only repeat what is in memory already.
ACK_WAIT_S: Final = 22 * 3600.0
INACTIVE_THRESHOLD_S: Final = 10.0
_SHORT_REPLY_TOKENS: Final = 9


class Delivery:
    """A journal message as it came, with the consumer's own count, and the means to ask for more."""

    __slots__ = ("_raw", "consumer_seq", "message")

    def __init__(self, raw: Msg) -> None:
        stream_seq, self.consumer_seq, at_ns, _ = parse_reply(raw.reply.encode())
        message_id = raw.headers.get(subjects.HEADER_MESSAGE_ID) if raw.headers else None
        self.message = JournalMessage(stream_seq, at_ns, message_id, raw.data)
        self._raw = raw

    async def taken(self) -> None:
        """Tell the broker that this message and all before it have been taken, so that it sends more."""
        # Without a connection the consumer is replaced anyway.
        with contextlib.suppress(nats.errors.Error):
            await self._raw.ack()


class JournalConsumer:
    """A subscriber that hands each delivery to `deliver`, which must not block, until it is stopped."""

    def __init__(
        self, broker: NatsBroker, market: str, user: str, start_seq: int, deliver: Callable[[Delivery], None]
    ) -> None:
        assert start_seq >= 1, "streams count from 1"
        self._deliver = deliver
        self._live = True
        self._subscriber = broker.subscriber(
            subjects.journal(market),
            # Declaring would overwrite the limits that the operator gave the stream.
            stream=JStream(subjects.journal_stream(market), declare=False),
            config=_consumer_config(user, start_seq),
            pending_bytes_limit=WINDOW_BYTES,
            ack_policy=HandlerAckPolicy.MANUAL,
            decoder=_keep_message,
            no_reply=True,
            include_in_schema=False,
            # The broker would keep every replaced subscriber for ever.
            persistent=False,
        )
        self._subscriber(self._receive)

    async def start(self) -> None:
        """Make the consumer and subscribe. Raises nats.errors.Error or TimeoutError when the broker does not."""
        await self._subscriber.start()

    async def stop(self) -> None:
        """Stop delivering; what is on the way is ignored."""
        self._live = False
        with contextlib.suppress(nats.errors.Error):
            await self._subscriber.stop()

    async def _receive(self, message: StreamMessage[Msg]) -> None:
        if self._live:
            self._deliver(Delivery(message.raw_message))


def parse_reply(reply: bytes) -> tuple[int, int, int, int]:
    """Return (stream sequence, consumer sequence, timestamp in ns, messages still pending) of a delivery.

    The library's own metadata has microseconds only. The subject has two forms, with and without domain.
    """
    tokens = reply.split(b".")
    first = 5 if len(tokens) == _SHORT_REPLY_TOKENS else 7
    return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 2]), int(tokens[first + 3])


def _consumer_config(user: str, start_seq: int) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        description=f"journal as read by {user}",
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


async def _keep_message(message: StreamMessage[Any]) -> StreamMessage[Any]:
    """Stand in for the decoder: a record is read by the follower, which needs the headers too."""
    return message
