"""Facts from the outbox into the notices stream, each once: fenced, and numbered so that the stream says how far it is.

Each message carries the store's identity and the fact's number. After a crash the last message of the stream tells
which facts it holds; a store that was made anew has another identity and counts from 1.
"""

import asyncio
import logging
import sqlite3
from functools import partial
from typing import Final

from nats.js.errors import NotFoundError

from events import subjects
from events.notice import HEADER_FACT
from services.bus.connect import ServiceBroker
from services.bus.journal_stream import AWAY, describe
from services.notifier.atomic import FenceLost, Outgoing, PublishFailed, publish_fenced
from services.notifier.dispatch.fact_log import FACTS_MAX_BYTES
from services.notifier.dispatch.store import Store

FACTS_AT_A_TIME: Final = 500
GATHER_S: Final = 0.05
FORGOTTEN_AT_A_TIME: Final = 2_000
POLL_S: Final = 1.0
PAUSE_S: Final = 1.0
STRAYS_LOOKED_BACK_MAX: Final = 1_000

_log: Final = logging.getLogger("groupbuy.notifier")


class FactPublisher:
    """Publishes what the outbox says, in order."""

    def __init__(self, broker: ServiceBroker, market: str, store: Store) -> None:
        self._broker = broker
        self._stream = subjects.notices_stream(market)
        self._subject = subjects.notices(market)
        self._store = store
        self._woken = asyncio.Event()
        # The stream's end, and the last of our facts in it; None before it has been looked at, or when in doubt.
        self._end: tuple[int, int] | None = None
        self._to_forget = 0
        self._ending = False
        self.published = 0
        self.trouble: str | None = None

    @property
    def through(self) -> int | None:
        """The number of the last fact that the stream holds, None while that is in doubt."""
        return None if self._end is None else self._end[1]

    def stop(self) -> None:
        """End before the next publish: a cancellation alone can get lost, nats-py swallows one while it flushes."""
        self._ending = True
        self._woken.set()

    def wake(self) -> None:
        """Have it look for something to publish."""
        self._woken.set()

    async def run(self) -> None:
        """Publish until stopped, whatever happens to the broker."""
        while not self._ending:
            self._woken.clear()
            try:
                more = await self.publish_some()
                self.trouble = None
            except (*AWAY, sqlite3.Error, PublishFailed, FenceLost) as error:
                self.trouble, self._end, more = describe(error), None, False
                _log.warning("facts cannot be published to %s: %s", self._stream, self.trouble)
                await asyncio.sleep(PAUSE_S)
            if not more:
                try:
                    await asyncio.wait_for(self._woken.wait(), POLL_S)
                    # Many ends in a row share one batch.
                    await asyncio.sleep(GATHER_S)
                except TimeoutError:
                    continue

    async def publish_some(self) -> bool:
        """Publish the next facts; tell whether there may be more."""
        if self._end is None:
            self._end = await self._look()
        last_seq, through = self._end
        facts = await self._store.do(lambda: self._store.outbox.facts_after(through, FACTS_AT_A_TIME))
        if not facts:
            if self._to_forget:
                await self._forget(through)
            return False
        identity = self._store.outbox.store_id
        messages = [Outgoing(self._subject, body, {HEADER_FACT: f"{identity} {n}"}) for n, body in facts]
        self._end = None
        last_seq = await publish_fenced(self._broker.client, messages, last_seq)
        last = facts[-1][0]
        self._end = last_seq, last
        self.published += len(facts)
        self._to_forget += len(facts)
        if self._to_forget >= FORGOTTEN_AT_A_TIME:
            await self._forget(last)
        return len(facts) == FACTS_AT_A_TIME or sum([len(body) for _, body in facts]) > FACTS_MAX_BYTES // 2

    async def _forget(self, through: int) -> None:
        """Drop what the stream holds: not each time, since each costs a write to the disk."""
        await self._store.do(lambda: self._store.outbox.forget_facts(through))
        self._to_forget = 0

    async def _look(self) -> tuple[int, int]:
        """Return where the stream ends, and the number of the last of our facts that it holds."""
        js = self._broker.jetstream
        info = await js.stream_info(self._stream)
        state = info.state
        first = max(state.first_seq, state.last_seq - STRAYS_LOOKED_BACK_MAX, 1)
        for seq in range(state.last_seq, first - 1, -1):
            try:
                message = await js.get_msg(self._stream, seq=seq)
            except NotFoundError:
                if seq == state.last_seq and (info.config.num_replicas or 1) > 1:
                    # Two nodes have answered, and one of them was cut off: what it lacks may be a fact of ours.
                    raise TimeoutError(f"message {seq} of {self._stream} is there and is not") from None
                continue
            identity, _, number = (message.headers or {}).get(HEADER_FACT, "").partition(" ")
            if identity and number.isdigit():
                ours = int(number) if identity == self._store.outbox.store_id else 0
                if ours:
                    await self._store.do(partial(self._store.outbox.forget_facts, ours))
                return state.last_seq, ours
        return state.last_seq, 0
