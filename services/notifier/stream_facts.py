"""Facts about what went out by event streams: noted when it is on its way to the reader, written together.

A process that is killed takes with it what was sent in the last quarter of a second and not written down yet.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.rows import Streamed
from services.notifier.dispatch.store import Store
from services.notifier.streams import Stored

GATHER_S: Final = 0.25
PAUSE_S: Final = 1.0
WAITING_MAX: Final = 10_000

_log: Final = logging.getLogger("groupbuy.notifier")


class _Result(msgspec.Struct, gc=False):
    entry: str
    kind: str


class _Results(msgspec.Struct, gc=False):
    """A message of the results stream; invitations and reminders are told otherwise and have facts of their own."""

    results: list[_Result] = []


_decoder: Final = msgspec.json.Decoder(_Results)


class StreamFacts:
    """Writes down what members were sent by event streams."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[Streamed] = []
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run(), name="notifier stream facts")

    async def stop(self) -> None:
        """Write down what is left and stop."""
        self._ending = True
        self._woken.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def note(self, member: str, stored: Sequence[Stored]) -> None:
        """Note messages that a member was sent; waits while too many are not written down."""
        at_ns = self._clock.now_ns()
        for each in stored:
            # What of one entry is in one message is one notice.
            told = {(result.entry, result.kind) for result in _decoder.decode(each.body).results}
            self._waiting += [Streamed(member, entry, kind, at_ns) for entry, kind in sorted(told)]
        self._woken.set()
        while len(self._waiting) > WAITING_MAX:
            self._room.clear()
            await self._room.wait()

    async def _run(self) -> None:
        while not self._ending or self._waiting:
            await self._woken.wait()
            if not self._ending:
                # Many in a row share one write.
                await asyncio.sleep(GATHER_S)
                self._woken.clear()
            sent, self._waiting = self._waiting, []
            try:
                await self._store.do(partial(self._store.outbox.say_streamed, sent))
            except sqlite3.Error as error:
                _log.warning("what went out by event streams cannot be written down: %s", error)
                self._waiting = sent + self._waiting
                self._woken.set()
                if self._ending:
                    return
                await asyncio.sleep(PAUSE_S)
            self._room.set()
