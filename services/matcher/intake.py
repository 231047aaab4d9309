"""The drain: reads the intake in order, as much as is pending at a time.

A push consumer without acknowledgements on a plain subscription, whose queue is emptied in one go: nats-py's own
ways of taking a message cost a coroutine, a future or a timer each. What the library would do for a consumer is
done here instead: flow control, heartbeats, gaps, silence. The position is the journal's, never the consumer's.
"""

import asyncio
import contextlib
import logging
import time
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from events import subjects
from events.decode import NamesAPerson, Unreadable, decode_event
from events.market import MarketRestoredEvent
from events.record import hash_bytes
from services.bus.connect import ServiceBroker
from services.bus.journal_consumer import parse_reply
from services.matcher.domain.message import Message
from services.matcher.log import LogBroken, Standing

HEARTBEAT_S: Final = 2.0
SILENCE_S: Final = 7.0
PENDING_MAX_MESSAGES: Final = 400_000
PENDING_MAX_BYTES: Final = 512 * 1024 * 1024
INACTIVE_THRESHOLD_S: Final = 10.0
RETRY_S: Final = 0.5
# A few milliseconds of rules, after which the loop looks at the socket and at the commit under way.
TAKE_MESSAGES: Final = 512
TAKE_BYTES: Final = 256 * 1024

_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.matcher.intake")


class IntakeReader:
    """Delivers a market's intake from a sequence on, each message once and in order."""

    def __init__(self, broker: ServiceBroker, market: str, user: str) -> None:
        self._broker = broker
        self._market = market
        self._stream = subjects.intake_stream(market)
        self._inbox_prefix = f"_INBOX.{user}"
        self._subscription: Subscription | None = None
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._consumer_name = ""
        self._consumer_seq = 0
        self._reconnects = -1
        self._heard_at_s = 0.0
        self._hole = False
        self.next_seq = 1
        self.last_seq = 0
        """The end of the stream as far as it is known here."""
        self.consumers_made = 0

    async def identity(self) -> str:
        """Return the identity of the intake stream. Raises LogBroken when there is no such stream."""
        info = await self._info()
        return (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")

    async def check(self, standing: Standing) -> str:
        """Compare the stream with what was decided from it, and return its identity.

        Raises LogBroken when it was recreated, is shorter, or holds other messages than those decided. A stream that
        an operator put in place of a lost one, and said so in its first message, is another and will do.
        """
        info = await self._info()
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")
        self.last_seq = info.state.last_seq
        through = standing.through
        if through is None:
            return identity
        if identity != standing.intake:
            if await self._takes_the_place(identity, standing, through.seq):
                return identity
            raise LogBroken(
                f"the intake {self._stream} was recreated: it is {identity or 'without identity'} now, decided was "
                f"{standing.intake} up to message {through.seq}; restore the old stream or rebuild it from the ledger "
                "(groupbuy ledger restore)"
            )
        if info.state.last_seq < through.seq:
            raise LogBroken(
                f"the intake {self._stream} ends at message {info.state.last_seq}, but it is decided up to "
                f"{through.seq}: {info.state.last_seq + 1} to {through.seq} are missing; restore it from the ledger"
            )
        if info.state.first_seq > through.seq + 1:
            raise LogBroken(
                f"the intake {self._stream} begins at message {info.state.first_seq}, but it is decided only up to "
                f"{through.seq}: {through.seq + 1} to {info.state.first_seq - 1} were deleted undecided"
            )
        if info.state.first_seq <= through.seq:
            await self._check_message(through.seq, through.hash)
        return identity

    async def _takes_the_place(self, identity: str, standing: Standing, through_seq: int) -> bool:
        """Tell whether the stream begins with an operator's word that it follows the one that was decided from."""
        try:
            first = await self._broker.jetstream.get_msg(self._stream, seq=through_seq + 1)
        except NotFoundError:
            return False
        if first.subject != subjects.intake(self._market, subjects.OPERATOR, "market"):
            return False
        try:
            event, _ = decode_event(first.data or b"")
        except (Unreadable, NamesAPerson):
            return False
        return isinstance(event, MarketRestoredEvent) and (
            (event.data.previous, event.data.intake, event.data.through) == (standing.intake, identity, through_seq)
        )

    async def _check_message(self, seq: int, known_hash: str) -> None:
        try:
            found = await self._broker.jetstream.get_msg(self._stream, seq=seq)
        except NotFoundError:
            raise LogBroken(f"message {seq} of {self._stream} was decided and has been deleted") from None
        if hash_bytes(found.data or b"") != known_hash:
            raise LogBroken(
                f"message {seq} of {self._stream} is not the one that was decided: the stream was rolled back and "
                f"written again; restore it from the ledger"
            )

    async def message(self, seq: int, at_ns: int) -> Message:
        """Return one message of the stream, whose timestamp is known. Raises LogBroken when it is gone."""
        try:
            found = await self._broker.jetstream.get_msg(self._stream, seq=seq)
        except NotFoundError:
            raise LogBroken(f"message {seq} of {self._stream} is needed to go on and has been deleted") from None
        assert found.subject is not None
        publisher, family = _origin(found.subject)
        return Message(seq, at_ns, publisher, family, found.data or b"")

    async def open(self, next_seq: int) -> None:
        """Read from `next_seq` on. Raises nats.errors.Error or TimeoutError while the broker is away."""
        await self.close()
        client = self._broker.client
        self._reconnects = client.stats["reconnects"]
        self.next_seq, self._consumer_seq, self._hole = next_seq, 0, False
        inbox = client.new_inbox()
        subscription = await client.subscribe(
            inbox, pending_msgs_limit=PENDING_MAX_MESSAGES, pending_bytes_limit=PENDING_MAX_BYTES
        )
        self._subscription, self._queue = subscription, subscription._pending_queue
        created = await self._broker.jetstream.add_consumer(self._stream, config=_config(inbox, next_seq))
        self._consumer_name = created.name
        self._heard_at_s = time.monotonic()
        self.consumers_made += 1

    async def close(self) -> None:
        """Stop reading."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        if self._consumer_name:
            name, self._consumer_name = self._consumer_name, ""
            with contextlib.suppress(nats.errors.Error, TimeoutError, APIError):
                await self._broker.jetstream.delete_consumer(self._stream, name)

    async def take(self, wait_s: float) -> list[Message]:
        """Return messages that are pending, some hundred or some hundred KiB, or what comes within `wait_s` seconds."""
        if self._needs_reopening():
            await self._reopen()
        taken: list[Message] = []
        if self._queue.empty():
            if wait_s <= 0:
                return taken
            try:
                first = await asyncio.wait_for(self._queue.get(), min(wait_s, SILENCE_S))
            except TimeoutError:
                return taken
            await self._accept(first, taken)
        size_bytes = 0
        while len(taken) < TAKE_MESSAGES and size_bytes < TAKE_BYTES and not self._hole and not self._queue.empty():
            msg = self._queue.get_nowait()
            size_bytes += len(msg.data)
            await self._accept(msg, taken)
        return taken

    async def _accept(self, msg: Msg, taken: list[Message]) -> None:
        subscription = self._subscription
        assert subscription is not None
        # The library counts what is pending in bytes and drops what exceeds the limit.
        subscription._pending_size -= len(msg.data)
        self._heard_at_s = time.monotonic()
        if msg.headers is not None and not msg.data and msg.headers.get(api.Header.STATUS):
            await self._control(msg)
            return
        seq, consumer_seq, at_ns, pending = parse_reply(msg.reply)
        if consumer_seq != self._consumer_seq + 1 or seq < self.next_seq:
            self._hole = True
            return
        self._consumer_seq = consumer_seq
        self.next_seq = seq + 1
        self.last_seq = max(self.last_seq, seq + pending)
        publisher, family = _origin(msg.subject)
        taken.append(Message(seq, at_ns, publisher, family, msg.data))

    async def _control(self, msg: Msg) -> None:
        """Answer flow control, and learn from a heartbeat whether something was lost on the way."""
        headers = msg.headers or {}
        reply = msg.reply or headers.get(api.Header.CONSUMER_STALLED, "")
        if reply:
            await self._broker.client.publish(reply)
        delivered = headers.get(api.Header.LAST_CONSUMER)
        if delivered is not None and int(delivered) != self._consumer_seq:
            self._hole = True

    def _needs_reopening(self) -> bool:
        if self._subscription is None or self._hole:
            return True
        if self._broker.client.stats["reconnects"] != self._reconnects:
            return True
        return time.monotonic() - self._heard_at_s > SILENCE_S and self._queue.empty()

    async def _reopen(self) -> None:
        """Begin again after the last message that came; waits for a broker that is away."""
        try:
            await self.open(self.next_seq)
        except _AWAY as error:
            _log.warning("cannot read %s yet: %s", self._stream, str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_S)
        else:
            _log.info("reading %s from %d", self._stream, self.next_seq)

    @property
    def was_reconnected(self) -> bool:
        """Tell whether the connection was made anew since the consumer was: the streams must be compared again."""
        return self._broker.client.stats["reconnects"] != self._reconnects

    async def _info(self) -> api.StreamInfo:
        try:
            return await self._broker.jetstream.stream_info(self._stream)
        except NotFoundError:
            raise LogBroken(f"the intake stream {self._stream} does not exist: it was deleted, or never made") from None


def _origin(subject: str) -> tuple[str, str]:
    """Return (publisher, family) of an intake subject; an empty family where it has not the form of one."""
    tokens = subject.split(".")
    if len(tokens) != 5:
        return (tokens[3] if len(tokens) > 3 else "unknown"), ""
    return tokens[3], tokens[4]


def _config(inbox: str, next_seq: int) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        description="the intake as drained by a matcher",
        deliver_subject=inbox,
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=next_seq,
        ack_policy=api.AckPolicy.NONE,
        max_deliver=1,
        flow_control=True,
        idle_heartbeat=HEARTBEAT_S,
        inactive_threshold=INACTIVE_THRESHOLD_S,
        mem_storage=True,
        num_replicas=1,
    )
