"""The gathering: what is pending goes into one intake message, while the one before is on its way.

Smart batching: nothing waits for company. An event that comes alone is published alone at once; while as many
messages as may be are on their way, what comes is gathered for the next. So many single events share one
write to the disk exactly when there are many.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import nats.errors

from events import subjects
from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS
from events.undecodable import UNDECODABLE
from services.bus.asking import Ack, Asker, asker_of, decode_ack
from services.bus.connect import ServiceBroker
from services.bus.journal import FollowedRecord
from services.matcher.gateway.answers import Refusal, busy, pending, unavailable
from services.matcher.gateway.board import Board, Place, Sent
from services.matcher.gateway.figures import Figures
from services.matcher.gateway.request import Request, Tell
from services.matcher.gateway.splice import Item, prepare

PUBLISHES_MAX: Final = 2
EVENTS_WAITING_MAX: Final = 20_000
BYTES_WAITING_MAX: Final = 64 * 1024 * 1024
ACK_TIMEOUT_S: Final = 5.0
OUTCOME_TIMEOUT_S: Final = 10.0
SWEEP_INTERVAL_S: Final = 0.5
STOP_TIMEOUT_S: Final = 5.0
FULL_RETRY_S: Final = 5
_FULL_CODES: Final = frozenset({10_023, 10_047, 10_077})
"""Insufficient resources, insufficient storage, and what a stream answers that discards new messages when full."""

_log: Final = logging.getLogger("groupbuy.gateway")


class Gatherer:
    """Takes requests, publishes their events together, and settles each request from the journal."""

    def __init__(
        self, broker: ServiceBroker, market: str, figures: Figures, outcome_timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        self._broker = broker
        self._subject = subjects.intake(market, subjects.GATEWAY, subjects.MIXED)
        self._figures = figures
        self._outcome_timeout_s = outcome_timeout_s
        self._board = Board()
        self._queue: deque[tuple[Item, Place]] = deque()
        self._open: deque[Request] = deque()
        self._publishing: set[asyncio.Task[None]] = set()
        self._flush_planned = False
        self._all_settled = asyncio.Event()
        self._all_settled.set()
        self._sweeper: asyncio.Task[None] | None = None
        self._asker: Asker | None = None
        self.events_waiting = 0
        self.bytes_waiting = 0
        self.why_closed: Callable[[], str | None] = lambda: None
        """Asked at every request: why nothing can be taken at the moment, or None."""

    @property
    def oldest_wait_s(self) -> float:
        """How long the oldest intake message has been waiting for an outcome, 0 when none is."""
        return self._board.oldest_wait_s

    async def start(self) -> None:
        """Begin to listen for acknowledgements, and to watch the time that requests take."""
        self._asker = await asker_of(self._broker.client)
        self._sweeper = asyncio.create_task(self._sweep(), name="gateway sweeper")

    async def stop(self) -> None:
        """Take nothing more, wait a while for what is on its way, and tell the others that it is pending."""
        self.why_closed = lambda: "the gateway is stopping"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_settled.wait(), STOP_TIMEOUT_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        self._expire(float("inf"))

    def submit(self, publisher: str, body: bytes, family: str | None, tell: Tell) -> None:
        """Take a request of an authenticated publisher; `tell` is called when its outcomes are there or cannot be.

        Raises Refusal when nothing of it was published and nothing will be.
        """
        closed = self.why_closed()
        if closed is not None:
            raise unavailable(closed)
        if not self._broker.client.is_connected:
            # A publish now would be kept by the client and sent at an unknown time.
            raise unavailable("there is no connection to the broker")
        items = prepare(body, publisher, family)
        size_bytes = sum([len(item.body) for item in items])
        if self.events_waiting + len(items) > EVENTS_WAITING_MAX or self.bytes_waiting + size_bytes > BYTES_WAITING_MAX:
            raise busy("as many events are waiting for their outcome as may wait")
        request = Request(len(items), size_bytes, time.monotonic() + self._outcome_timeout_s, tell)
        self.events_waiting += len(items)
        self.bytes_waiting += size_bytes
        self._all_settled.clear()
        self._open.append(request)
        for place, item in enumerate(items):
            self._queue.append((item, (request, place, item.event_id)))
        self._plan_flush()

    async def note_records(self, records: list[FollowedRecord]) -> None:
        """Settle what new records of the journal decide."""
        self._release(self._board.note(records))

    # Publishing

    def _plan_flush(self) -> None:
        """Publish once everything that has been read from the sockets by now is in the queue."""
        if not self._flush_planned and len(self._publishing) < PUBLISHES_MAX:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        while self._queue and len(self._publishing) < PUBLISHES_MAX:
            taken = self._take()
            if taken:
                task = asyncio.create_task(self._publish(taken))
                self._publishing.add(task)
                task.add_done_callback(self._published)

    def _published(self, task: "asyncio.Task[None]") -> None:
        self._publishing.discard(task)
        if self._queue:
            self._flush()

    def _take(self) -> list[tuple[Item, Place]]:
        """Take from the queue what fits into one message, leaving out what nobody waits for any more."""
        taken: list[tuple[Item, Place]] = []
        size_bytes = 1
        while self._queue and len(taken) < BATCH_MAX_EVENTS:
            item, place = self._queue[0]
            size_bytes += len(item.body) + 1
            if taken and (item.alone or size_bytes > BATCH_MAX_BYTES):
                break
            self._queue.popleft()
            if place[0].settled:
                size_bytes -= len(item.body) + 1
                continue
            taken.append((item, place))
            if item.alone:
                break
        return taken

    async def _publish(self, taken: list[tuple[Item, Place]]) -> None:
        places = [place for _, place in taken]
        requests = dict.fromkeys(request for request, _, _ in places)
        for request in requests:
            request.messages += 1
        sent_at_s = time.monotonic()
        try:
            seq = await self._store(compose([item for item, _ in taken]))
        except Refusal as refusal:
            self._release([request for request in requests if request.fail(refusal)])
            return
        self._figures.note_publish(len(places), time.monotonic() - sent_at_s)
        for request in requests:
            if request.intake is None:
                request.intake = seq
        sent = Sent(places, sent_at_s, sent_at_s + 2 * self._outcome_timeout_s)
        self._release(self._board.expect(seq, sent))

    async def _store(self, body: bytes) -> int:
        """Publish an intake message and return its sequence.

        Raises Refusal when it is not stored, or not known to be.
        """
        assert self._asker is not None, "started"
        try:
            ack: Ack = decode_ack(await self._asker.ask(self._subject, body, timeout_s=ACK_TIMEOUT_S))
        except nats.errors.NoRespondersError:
            raise unavailable("the market has no intake stream") from None
        except (nats.errors.ConnectionClosedError, nats.errors.ConnectionReconnectingError) as error:
            raise unavailable(f"there is no connection to the broker ({error})") from None
        except (nats.errors.Error, TimeoutError, OSError, *UNDECODABLE) as error:
            _log.warning("no acknowledgement of an intake message: %s", str(error) or type(error).__name__)
            raise pending(None) from None
        if ack.error is None:
            return ack.seq
        _log.warning("the intake refuses a message: %s", ack.error.description)
        if ack.error.err_code in _FULL_CODES:
            raise busy(f"the market's intake is full ({ack.error.description})", FULL_RETRY_S)
        raise unavailable(f"the market's intake refuses events ({ack.error.description})")

    # Settling

    def _release(self, settled: list[Request]) -> None:
        for request in settled:
            self.events_waiting -= request.events
            self.bytes_waiting -= request.size_bytes
        if self.events_waiting == 0:
            self._all_settled.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            now_s = time.monotonic()
            self._expire(now_s)
            self._board.forget_until(now_s)

    def _expire(self, now_s: float) -> None:
        while self._open and (self._open[0].settled or self._open[0].deadline_s <= now_s):
            request = self._open.popleft()
            if request.expire():
                self._figures.expired.inc()
                self._release([request])


def compose(items: list[Item]) -> bytes:
    """Return the body of an intake message that holds these events.

    A single object goes as it is; bytes that are alone do too, readable or not.
    """
    assert len(items) == 1 or not any(item.alone for item in items), "what is alone has a message of its own"
    if len(items) == 1 and (items[0].alone or items[0].body[:1] == b"{"):
        return items[0].body
    return b"[" + b",".join([item.body for item in items]) + b"]"
