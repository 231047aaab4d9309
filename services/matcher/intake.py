"""The drain: reads the intake in order, as much as is pending at a time.

A push consumer without acknowledgements, whose messages come by the short way (`services.bus.wire`) and are taken
in one go. What the library would do for a consumer is done here instead: flow control, heartbeats, gaps, silence.
The position is the journal's, never the consumer's.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import Final, NoReturn

import nats.errors
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from events import subjects
from events.decode import NamesAPerson, Unreadable, decode_event
from events.market import MarketRestoredEvent
from events.record import Through, hash_bytes
from events.times import format_time, format_time_ns
from services.bus.connect import ServiceBroker
from services.bus.journal_consumer import parse_reply
from services.bus.stale import StaleAnswers
from services.bus.wire import WireSubscription, parse_headers, wire_of
from services.matcher.domain.message import Message
from services.matcher.log import LogBroken, Standing

HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 4.0
# Flow control holds the broker back long before.
PENDING_MAX_BYTES: Final = 512 * 1024 * 1024
ORIGINS_MAX: Final = 4_096
INACTIVE_THRESHOLD_S: Final = 10.0
RETRY_S: Final = 0.5
# A few milliseconds of rules, after which the loop looks at the socket and at the commit under way.
TAKE_MESSAGES: Final = 512
TAKE_BYTES: Final = 256 * 1024

_STATUS: Final = b"NATS/1.0 100"
_STALLED: Final = api.Header.CONSUMER_STALLED.value
_LAST_CONSUMER: Final = api.Header.LAST_CONSUMER.value
_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.matcher.intake")


class IntakeReader:
    """Delivers a market's intake from a sequence on, each message once and in order."""

    def __init__(self, broker: ServiceBroker, market: str, user: str) -> None:
        self._broker = broker
        self._market = market
        self._stream = subjects.intake_stream(market)
        self._inbox_prefix = f"_INBOX.{user}"
        self._subscription: WireSubscription | None = None
        self._pending: deque[Message | str] = deque()
        """Messages in order, and between them the subjects to which the broker wants to hear that they were taken."""
        self._pending_bytes = 0
        self._arrived = asyncio.Event()
        self._origins: dict[bytes, tuple[str, str]] = {}
        self._consumer_name = ""
        self._consumer_seq = 0
        self._received_seq = 0
        self._reconnects = -1
        """How often the connection had been made anew when the consumer was made."""
        self._compared = -1
        """How often it had been when the stream was last compared with what was decided."""
        self._heard_at_s = 0.0
        self._hole = False
        self._missing: tuple[int, int] | None = None
        """The first and the last of the messages that the broker passed over, once what came before is taken."""
        self._stale = StaleAnswers()
        self._replicas: int | None = None
        self.next_seq = 1
        self.last_seq = 0
        """The end of the stream as far as it is known here."""
        self.consumers_made = 0

    async def identity(self) -> str:
        """Return the identity of the intake stream. Raises LogBroken when there is no such stream."""
        info = await self._info()
        return (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")

    async def look(self) -> None:
        """Learn where the stream ends. Raises LogBroken when it is gone, nats.errors.Error while the broker is away."""
        info = await self._info()
        self.last_seq = max(self.last_seq, info.state.last_seq)

    async def check(self, standing: Standing) -> str:
        """Compare the stream with what was decided from it, and return its identity.

        Raises LogBroken when it was recreated, is shorter, or holds other messages than those decided, TimeoutError
        while it may only look shorter from where this process is connected. A stream that an operator put in place of
        a lost one, and said so in its first message, is another and will do.
        """
        # Before anything is asked: a connection that is made anew meanwhile asks for another comparison.
        self._compared = self._broker.client.stats["reconnects"]
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
            self._stale.doubt(info.config.num_replicas, f"the end of {self._stream}")
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
            await self._check_message(through)
        self._stale.settled()
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

    async def _check_message(self, decided: Through) -> None:
        try:
            found = await self._broker.jetstream.get_msg(self._stream, seq=decided.seq)
        except NotFoundError:
            self._stale.doubt(self._replicas, f"message {decided.seq} of {self._stream}")
            raise LogBroken(f"message {decided.seq} of {self._stream} was decided and has been deleted") from None
        # A publisher that sends the same bytes again after a loss may well meet the same sequence: then the time at
        # which the broker stored them tells the two apart, to the microsecond that the client keeps.
        same_time = found.time is not None and format_time_ns(decided.at) == format_time(found.time)
        if hash_bytes(found.data or b"") != decided.hash or not same_time:
            raise LogBroken(
                f"message {decided.seq} of {self._stream} is not the one that was decided: the stream was rolled back "
                f"and written again; restore it from the ledger"
            )

    async def message(self, seq: int, at_ns: int) -> Message:
        """Return one message of the stream, whose timestamp is known. Raises LogBroken when it is gone."""
        try:
            found = await self._broker.jetstream.get_msg(self._stream, seq=seq)
        except NotFoundError:
            self._stale.doubt(self._replicas, f"message {seq} of {self._stream}")
            raise LogBroken(f"message {seq} of {self._stream} is needed to go on and has been deleted") from None
        assert found.subject is not None
        publisher, family = _origin(found.subject)
        return Message(seq, at_ns, publisher, family, found.data or b"")

    async def open(self, next_seq: int) -> None:
        """Read from `next_seq` on. Raises nats.errors.Error or TimeoutError while the broker is away."""
        await self.close()
        client = self._broker.client
        self._reconnects = client.stats["reconnects"]
        self.next_seq, self._received_seq, self._consumer_seq, self._hole = next_seq, next_seq - 1, 0, False
        self._missing = None
        self._pending.clear()
        self._pending_bytes = 0
        inbox = client.new_inbox()
        self._subscription = await wire_of(client).subscribe(inbox, self._receive)
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
        """Return messages that are pending, some hundred or some hundred KiB, or what comes within `wait_s` seconds.

        Nothing comes from a stream that is to be compared first, which may be another since the connection was lost.
        Raises LogBroken when the broker has no more what comes next, but what comes after it.
        """
        if self.was_reconnected():
            return []
        if self._missing is not None and not self._pending:
            self._refuse_to_pass_over(*self._missing)
        if self._needs_reopening():
            await self._reopen()
        if not self._pending:
            if wait_s <= 0:
                return []
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(wait_s, SILENCE_S)):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        return [] if self.was_reconnected() else self._take_pending()

    def _refuse_to_pass_over(self, first_seq: int, last_seq: int) -> NoReturn:
        raise LogBroken(
            f"messages {first_seq} to {last_seq} of {self._stream} are missing: they were acknowledged and are not "
            f"decided, and the broker has deleted them or cannot read them. Nothing after them is decided. Bring the "
            f"broker's files back from a copy, or restore the intake from the ledger (groupbuy ledger restore "
            f"--replace): then publishers must send again what they have no outcome for"
        )

    def _take_pending(self) -> list[Message]:
        taken: list[Message] = []
        size_bytes = 0
        while self._pending and len(taken) < TAKE_MESSAGES and size_bytes < TAKE_BYTES:
            message = self._pending.popleft()
            if isinstance(message, str):
                # Only now: so the broker is held back by what is not decided yet.
                with contextlib.suppress(nats.errors.Error):
                    wire_of(self._broker.client).send(message, b"")
                continue
            size_bytes += len(message.body)
            taken.append(message)
        if taken:
            self.next_seq = taken[-1].seq + 1
            self._pending_bytes -= size_bytes
        return taken

    def _receive(self, subject: bytes, reply: bytes, head: bytes, body: bytes) -> None:
        """Take one delivery off the wire."""
        self._heard_at_s = time.monotonic()
        if not body and head.startswith(_STATUS):
            self._control(reply, head)
            return
        seq, consumer_seq, at_ns, to_come = parse_reply(reply)
        full = self._pending_bytes > PENDING_MAX_BYTES
        if self._hole or full or consumer_seq != self._consumer_seq + 1 or seq <= self._received_seq:
            self._hole = True
            self._arrived.set()
            return
        if seq != self._received_seq + 1:
            # Nothing was lost on the way: the broker itself has these no more, or cannot read them.
            self._missing = (self._received_seq + 1, seq - 1)
            self._hole = True
            self._arrived.set()
            return
        self._consumer_seq, self._received_seq = consumer_seq, seq
        self.last_seq = max(self.last_seq, seq + to_come)
        publisher, family = self._origins.get(subject) or self._learn_origin(subject)
        self._pending.append(Message(seq, at_ns, publisher, family, body))
        self._pending_bytes += len(body)
        self._arrived.set()

    def _learn_origin(self, subject: bytes) -> tuple[str, str]:
        if len(self._origins) >= ORIGINS_MAX:
            self._origins.clear()
        origin = self._origins[subject] = _origin(subject.decode(errors="replace"))
        return origin

    def _control(self, reply: bytes, head: bytes) -> None:
        """Answer flow control in its turn, and learn from a heartbeat whether something was lost on the way."""
        found = parse_headers(head)
        reply_to = reply.decode() or found.get(_STALLED, "")
        if reply_to:
            self._pending.append(reply_to)
        delivered = found.get(_LAST_CONSUMER)
        if delivered is not None and int(delivered) != self._consumer_seq:
            self._hole = True
        self._arrived.set()

    def _needs_reopening(self) -> bool:
        if self._subscription is None or (self._hole and not self._pending):
            return True
        if self._broker.client.stats["reconnects"] != self._reconnects:
            return True
        return time.monotonic() - self._heard_at_s > SILENCE_S and not self._pending

    async def _reopen(self) -> None:
        """Begin again after the last message that came; waits for a broker that is away."""
        try:
            await self.open(self.next_seq)
        except _AWAY as error:
            _log.warning("cannot read %s yet: %s", self._stream, str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_S)
        else:
            _log.info("reading %s from %d", self._stream, self.next_seq)

    def was_reconnected(self) -> bool:
        """Tell whether the connection was made anew since the streams were compared: they must be again."""
        return self._broker.client.stats["reconnects"] != self._compared

    async def _info(self) -> api.StreamInfo:
        try:
            info = await self._broker.jetstream.stream_info(self._stream)
            self._replicas = info.config.num_replicas
            return info
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
