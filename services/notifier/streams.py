"""Members' results as they come: one reader of the results stream for all who are connected.

A reader's place is the sequence of a message in the results stream, so it can go on from there on any connection. What
was stored before it connected is read for it alone; from then on it gets what the one reader hands out. A reader that
takes too long loses nothing: it reads the stream by itself again.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.journal_stream import AWAY, describe

QUEUE_MAX: Final = 64
HEARTBEAT_S: Final = 5.0
SILENCE_S: Final = 12.0
LOOK_S: Final = 1.0
PENDING_MAX_BYTES: Final = 64 * 1024 * 1024
CONSUMER_INACTIVE_S: Final = 30.0
_STATUS: Final = "Status"

_log: Final = logging.getLogger("groupbuy.notifier")


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message of the results stream: where it stands, and its body."""

    seq: int
    body: bytes


class Reader:
    """One connected reader of one member's results."""

    def __init__(self, member: str, after_seq: int) -> None:
        self.member = member
        self.after_seq = after_seq
        self._queue: deque[Stored] = deque()
        self._woken = asyncio.Event()
        # Whether what comes next may stand in the stream without having been handed over.
        self.behind = True

    def hand(self, stored: Stored) -> None:
        """Take a message that has just come."""
        if len(self._queue) >= QUEUE_MAX:
            self._queue.clear()
            self.behind = True
        elif not self.behind:
            self._queue.append(stored)
        self._woken.set()

    def fall_behind(self) -> None:
        """Note that something may have been missed."""
        self._queue.clear()
        self.behind = True
        self._woken.set()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something, or after a while."""
        if not self._queue and not self.behind:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout_s)
        self._woken.clear()

    def take(self) -> list[Stored]:
        """Return what was handed over and lies after the place reached, and move the place."""
        taken = [stored for stored in self._queue if stored.seq > self.after_seq]
        self._queue.clear()
        if taken:
            self.after_seq = taken[-1].seq
        return taken


class ResultStreams:
    """Hands the messages of the results stream to whoever is connected."""

    def __init__(self, broker: ServiceBroker, market: str, user: str) -> None:
        self._broker = broker
        self._market = market
        self._user = user
        self._stream = subjects.results_stream(market)
        self._readers: dict[str, set[Reader]] = {}
        self._seq = 0
        self._consumer_seq = 0
        self._heard_at_s = 0.0
        self._reconnects = 0
        self._subscription: Any = None
        self._hole = asyncio.Event()
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        # Whether readers are asked to go: they come back to the next service with their place.
        self.is_closing = False
        self.readers = 0
        self.handed = 0

    def start(self) -> None:
        """Begin in the background; the stream is read only while somebody is connected."""
        self._task = asyncio.create_task(self._run(), name="notifier streams")

    async def stop(self) -> None:
        """Stop."""
        # A cancellation alone can get lost: nats-py swallows one that meets it while it flushes.
        self._ending = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    async def let_go(self) -> None:
        """Have every reader end at once: a server that stops waits for what it is still sending."""
        self.is_closing = True
        for readers in self._readers.values():
            for reader in readers:
                reader.wake()

    @contextlib.asynccontextmanager
    async def reading(self, member: str, after_seq: int | None) -> AsyncIterator[Reader]:
        """Give a reader of a member's results after a place, or with None of those to come."""
        if after_seq is None:
            after_seq = (await self._broker.jetstream.stream_info(self._stream)).state.last_seq
        reader = Reader(member, after_seq)
        self._readers.setdefault(member, set()).add(reader)
        self.readers += 1
        self._connected.set()
        try:
            yield reader
        finally:
            self.readers -= 1
            others = self._readers[member]
            others.discard(reader)
            if not others:
                del self._readers[member]

    async def next(self, reader: Reader, timeout_s: float) -> list[Stored]:
        """Return what comes next for a reader, nothing after `timeout_s` without anything.

        Raises what a broker that is away raises.
        """
        await reader.wait(timeout_s)
        if not reader.behind:
            return reader.take()
        stored = await self._stored_after(reader)
        if stored is None:
            return []
        reader.after_seq = stored.seq
        return [stored]

    async def _stored_after(self, reader: Reader) -> Stored | None:
        """Return the next message that is stored for a reader; without one it has caught up."""
        # Before the question: what comes while it is asked is handed over, or found by the question.
        reader.behind = self._subscription is None
        try:
            found = await self._broker.jetstream.get_msg(
                self._stream,
                seq=reader.after_seq + 1,
                subject=subjects.result(self._market, reader.member),
                next=True,
                # In a cluster any replica may answer a direct question, and one that lags would say that there is none.
                direct=len(self._broker.client.servers) < 2,
            )
        except NotFoundError:
            if reader.behind:
                await asyncio.sleep(LOOK_S)
            return None
        except BaseException:
            reader.behind = True
            raise
        reader.behind = True
        assert found.seq is not None, "a stored message has its sequence"
        return Stored(found.seq, found.data or b"")

    # The one reader of the stream.

    async def _run(self) -> None:
        while not self._ending:
            await self._connected.wait()
            if not self.readers:
                self._connected.clear()
                await self._close()
                continue
            try:
                if self._subscription is None or self._is_lost():
                    await self._open()
            except AWAY as error:
                _log.warning("%s cannot be read for event streams yet: %s", self._stream, describe(error))
                await self._close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hole.wait(), LOOK_S)

    def _is_lost(self) -> bool:
        reconnected = self._broker.client.stats["reconnects"] != self._reconnects
        return reconnected or self._hole.is_set() or time.monotonic() - self._heard_at_s > SILENCE_S

    async def _open(self) -> None:
        await self._close()
        self._reconnects = self._broker.client.stats["reconnects"]
        self._hole.clear()
        self._consumer_seq = 0
        self._seq = (await self._broker.jetstream.stream_info(self._stream)).state.last_seq
        self._heard_at_s = time.monotonic()
        config = api.ConsumerConfig(
            description=f"results as read by {self._user} for event streams",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._seq + 1,
            ack_policy=api.AckPolicy.NONE,
            idle_heartbeat=HEARTBEAT_S,
            inactive_threshold=CONSUMER_INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
            max_deliver=1,
        )
        self._subscription = await self._broker.jetstream.subscribe(
            subjects.result(self._market, "*"),
            stream=self._stream,
            cb=self._receive,
            config=config,
            manual_ack=True,
            pending_bytes_limit=PENDING_MAX_BYTES,
        )
        # What came between is in the stream: everybody reads it from there.
        for readers in self._readers.values():
            for reader in readers:
                reader.fall_behind()

    async def _receive(self, message: Msg) -> None:
        self._heard_at_s = time.monotonic()
        if message.headers is not None and _STATUS in message.headers:
            return
        sequence = message.metadata.sequence
        seq, consumer_seq = sequence.stream, sequence.consumer
        if consumer_seq != self._consumer_seq + 1:
            self._hole.set()
            return
        self._consumer_seq, self._seq = consumer_seq, seq
        readers = self._readers.get(message.subject.rpartition(".")[2])
        if readers is not None:
            stored = Stored(seq, message.data)
            for reader in readers:
                reader.hand(stored)
            self.handed += 1

    async def _close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
