"""Following a market's journal: each valid record exactly once and in order, whatever happens to the broker."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from events import subjects
from events.counted import counted
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal_chain import START, FollowedRecord, JournalBroken, JournalChain, JournalPosition
from services.bus.journal_consumer import Delivery, JournalConsumer
from services.bus.journal_stream import AWAY, JournalStream, describe, journal_tail
from services.bus.lag import LagClock

__all__ = [
    "START",
    "FollowedRecord",
    "Handler",
    "JournalBroken",
    "JournalFollower",
    "JournalPosition",
    "journal_tail",
]

BATCH_MAX_RECORDS: Final = 256
BATCH_MAX_BYTES: Final = 16 * 1024 * 1024
CHECK_INTERVAL_S: Final = 1.0
SILENCE_S: Final = 2.0
STALLED_S: Final = 15.0
HANDLER_PAUSE_MIN_S: Final = 0.5
HANDLER_PAUSE_MAX_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0

Handler = Callable[[list[FollowedRecord]], Awaitable[None]]

_log: Final = logging.getLogger("groupbuy.journal")


class JournalFollower:
    """Hands the records after a position to a handler, in order, each once, as many as are pending.

    `position` is where the owner's own store stands. `handler` gets at most 256 records or 16 MiB at a time
    (one larger record alone); the next call comes after it returned. When it raises, the same records are
    handed to it again after a pause, so it must know from its own store what it has done already.
    When the chain breaks, or the handler raises JournalBroken, following stops for good: `alarm` says where
    and what is missing.
    """

    def __init__(
        self, broker: ServiceBroker, market: str, user: str, position: JournalPosition, handler: Handler
    ) -> None:
        self._broker = broker
        self._market = market
        self._user = user
        self._handler = handler
        self._stream = JournalStream(broker, market)
        self._chain = JournalChain(market, position)
        self._position = position
        # Three places in the stream: its end, the last message that came, the last that was dealt with.
        self._last_seq = self._received_seq = self._done_seq = position.seq
        self._pending: deque[Delivery] = deque()
        self._consumer: JournalConsumer | None = None
        self._consumer_seq = 0
        self._hole = False
        self._reconnects = 0
        self._moved_at_s = self._opened_at_s = time.monotonic()
        self._lag_clock = LagClock()
        self._wake_worker = asyncio.Event()
        self._wake_watcher = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: JournalBroken | None = None
        self._trouble: str | None = None
        self.consumers_made = 0

    @property
    def position(self) -> JournalPosition:
        """The last record that the handler has dealt with."""
        return self._position

    @property
    def lag(self) -> int:
        """How many messages of the journal, as last seen, are not dealt with yet."""
        return self._last_seq - self._done_seq

    @property
    def lag_age_s(self) -> float:
        """How long the first message that is not dealt with has been there, 0 when all are."""
        self._lag_clock.note(self._last_seq, self._done_seq)
        return self._lag_clock.age_s

    @property
    def strays(self) -> int:
        """How many messages were skipped because no matcher can have published them."""
        return self._chain.strays

    @property
    def alarm(self) -> str | None:
        """Why the records do not get through at the moment, or None."""
        return str(self._broken) if self._broken is not None else self._trouble

    @property
    def broken(self) -> JournalBroken | None:
        """Why following has stopped for good, or None."""
        return self._broken

    def check(self) -> Check:
        """Return how following goes, for Health."""
        if self.alarm is not None:
            return Check(Status.UNHEALTHY, self.alarm)
        if not self._broker.client.is_connected:
            return Check(Status.UNHEALTHY, "there is no connection to the broker")
        if self.lag == 0:
            return Check(Status.OK, f"every record up to {self._position.seq} is dealt with")
        behind = f"{counted(self.lag, 'message')} behind, at {self._done_seq} of {self._last_seq}"
        waiting_s = time.monotonic() - self._moved_at_s
        if waiting_s > STALLED_S:
            return Check(Status.UNHEALTHY, f"{behind}, and nothing moved for {waiting_s:.0f} s")
        self._lag_clock.note(self._last_seq, self._done_seq)
        return self._lag_clock.check(behind) or Check(Status.OK, behind)

    async def start(self) -> None:
        """Check the position against the stream and begin; waits for a broker that does not answer.

        Raises JournalBroken when the journal is not the one that the position belongs to.
        """
        assert not self._tasks, "a follower is started once"
        while not await self._open():
            await self._pause(CHECK_INTERVAL_S)
        self._tasks = [
            asyncio.create_task(self._work(), name=f"journal worker {self._market}"),
            asyncio.create_task(self._watch(), name=f"journal watcher {self._market}"),
        ]

    async def stop(self) -> None:
        """Stop following after the records at hand; a handler that takes longer than 10 s is cancelled."""
        self._end()
        tasks, self._tasks = self._tasks, []
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._drop_consumer()

    # Delivery: called by the consumer for each message; must not block.

    def _deliver(self, delivery: Delivery) -> None:
        seq = delivery.message.seq
        if self._hole or seq <= self._received_seq:
            return
        if delivery.consumer_seq != self._consumer_seq + 1:
            # The broker sent something that did not arrive: begin again after what did.
            self._hole = True
            self._wake_watcher.set()
            return
        self._consumer_seq = delivery.consumer_seq
        self._received_seq = seq
        self._note_end(seq)
        self._pending.append(delivery)
        self._wake_worker.set()

    def _note_end(self, seq: int) -> None:
        if self.lag == 0:
            # Time without anything to do is no delay.
            self._moved_at_s = time.monotonic()
        self._last_seq = max(self._last_seq, seq)

    # The worker: checks the chain and hands records over.

    async def _work(self) -> None:
        while not self._ending.is_set():
            await self._wake_worker.wait()
            self._wake_worker.clear()
            while self._pending and not self._ending.is_set():
                batch = self._take_pending()
                batch[-1].taken()
                await self._deal_with(batch)

    def _take_pending(self) -> list[Delivery]:
        batch: list[Delivery] = []
        size_bytes = 0
        while self._pending and len(batch) < BATCH_MAX_RECORDS:
            size_bytes += len(self._pending[0].message.body)
            if batch and size_bytes > BATCH_MAX_BYTES:
                break
            batch.append(self._pending.popleft())
        return batch

    async def _deal_with(self, batch: list[Delivery]) -> None:
        records, broken = self._read_chain(batch)
        if records and not await self._hand_over(records):
            return
        if records:
            self._position = JournalPosition(records[-1].seq, records[-1].hash)
        if broken is not None:
            self._break(broken)
            return
        self._done_seq = batch[-1].message.seq
        self._moved_at_s = time.monotonic()

    def _read_chain(self, batch: list[Delivery]) -> tuple[list[FollowedRecord], JournalBroken | None]:
        """Return the records that follow, and what breaks the chain after them."""
        records: list[FollowedRecord] = []
        for delivery in batch:
            try:
                record = self._chain.read(delivery.message)
            except JournalBroken as broken:
                return records, broken
            if record is not None:
                records.append(record)
            else:
                _log.warning("message %d of %s is a stray: skipped", delivery.message.seq, self._stream.name)
        return records, None

    async def _hand_over(self, records: list[FollowedRecord]) -> bool:
        """Have the handler deal with the records, however often it takes; tell whether it did."""
        pause_s = HANDLER_PAUSE_MIN_S
        while not self._ending.is_set():
            try:
                await self._handler(records)
            except JournalBroken as broken:
                self._break(broken)
            # Whatever the handler's owner meets, a record is never skipped: told, and tried again.
            except Exception as error:  # noqa: BLE001
                self._trouble = (
                    f"records {records[0].seq} to {records[-1].seq} could not be dealt with: {describe(error)}"
                )
                _log.warning("%s; trying again in %.1f s", self._trouble, pause_s, exc_info=error)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, HANDLER_PAUSE_MAX_S)
            else:
                self._trouble = None
                return True
        return False

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), pause_s)

    # The watcher: asks the stream where it stands, and replaces a consumer that lost something or is silent.

    async def _watch(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake_watcher.wait(), CHECK_INTERVAL_S)
            self._lag_clock.note(self._last_seq, self._done_seq)
            self._wake_watcher.clear()
            try:
                if not self._ending.is_set():
                    await self._look_after_consumer()
            except JournalBroken as broken:
                self._break(broken)
        await self._drop_consumer()

    async def _look_after_consumer(self) -> None:
        reconnected = self._broker.client.stats["reconnects"] != self._reconnects
        if reconnected or self._hole or self._consumer is None:
            await self._open()
            return
        if not await self._look_at_stream() or not self._is_silent():
            return
        try:
            await self._stream.check_tail(self._received_seq, self._last_seq)
        except AWAY as error:
            _log.warning("%s does not answer: %s", self._stream.name, describe(error))
        else:
            _log.warning("%s has gone silent at %d: reading it anew", self._stream.name, self._received_seq)
            await self._open()

    def _is_silent(self) -> bool:
        """Tell whether there are messages that should have come by now."""
        nothing_at_hand = self._done_seq == self._received_seq
        silent_s = time.monotonic() - max(self._moved_at_s, self._opened_at_s)
        return nothing_at_hand and self._last_seq > self._received_seq and silent_s > SILENCE_S

    async def _open(self) -> bool:
        """Check the stream, then read it from the first message that has not come; tell whether that worked."""
        await self._drop_consumer()
        self._reconnects = self._broker.client.stats["reconnects"]
        if not await self._look_at_stream():
            return False
        self._hole, self._consumer_seq = False, 0
        self._consumer = JournalConsumer(self._broker, self._market, self._user, self._received_seq + 1, self._deliver)
        try:
            await self._stream.check_position(self._position)
            await self._consumer.start()
        except AWAY as error:
            _log.warning("cannot read %s yet: %s", self._stream.name, describe(error))
            await self._drop_consumer()
            return False
        self.consumers_made += 1
        self._opened_at_s = time.monotonic()
        return True

    async def _look_at_stream(self) -> bool:
        """Learn where the stream ends; tell whether it answered."""
        last_seq = await self._stream.last_seq(self._received_seq)
        if last_seq is None:
            return False
        self._note_end(last_seq)
        return True

    async def _drop_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    # The end.

    def _break(self, broken: JournalBroken) -> None:
        self._broken = broken
        _log.error("%s: %s", subjects.journal_stream(self._market), broken)
        self._end()

    def _end(self) -> None:
        self._ending.set()
        self._wake_worker.set()
        self._wake_watcher.set()
