"""Tells members who hold tickets of a play that was drawn that they have not won: a page at a time, each once.

Winners are named by the journal and told with its records. All others are read from the tickets that the dispatcher
keeps, and stand on the members' own subjects in batches between those records. Each batch ends with a marker of its
draw, which says up to which name everybody is told: whatever is lost besides the stream, nobody is told twice.
"""

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from events.outcomes import PlayLost
from services.bus.journal_stream import AWAY, describe
from services.notifier.atomic import BATCH_USUAL_MAX_MESSAGES, FenceLost, PublishFailed
from services.notifier.channels import Letter
from services.notifier.channels.nats import NatsChannel
from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.draw_notices import DrawNotices
from services.notifier.dispatch.draws import OWN_SUBJECT, DrawJob, DrawTable, Loser
from services.notifier.dispatch.store import Store
from services.notifier.policy.draws import LOTTERY, Draw

# One place in a batch is the marker's.
MEMBERS_AT_A_TIME: Final = BATCH_USUAL_MAX_MESSAGES - 1
QUEUED_AT_A_TIME: Final = 500
# As much as keeps a channel busy for a while: the rest waits as a cursor, which costs nothing.
WAITING_MAX: Final = 10_000
POLL_S: Final = 1.0
PAUSE_S: Final = 1.0
_encode: Final = msgspec.json.Encoder().encode

_log: Final = logging.getLogger("groupbuy.notifier")


class _Marker(msgspec.Struct):
    """Up to which member everybody is told."""

    through: str


class DrawTeller:
    """Works through the jobs of draws, whatever happens to the broker."""

    def __init__(
        self,
        results: NatsChannel,
        store: Store,
        clock: Clock,
        notices: Callable[[], DrawNotices],
        said: Callable[[], None],
    ) -> None:
        """Make it ready; `notices` gives what other channels tell, `said` wakes whoever sends them."""
        self._results = results
        self._store = store
        self._table = DrawTable(store.outbox)
        self._clock = clock
        self._notices = notices
        self._said = said
        self._woken = asyncio.Event()
        self._ending = False
        # By marker: up to which member the stream says that everybody is told; asked anew after each doubt.
        self._stored: dict[str, str] = {}
        self.told = 0
        self.trouble: str | None = None

    def wake(self) -> None:
        """Have it look for draws that are over."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no further page: a cancellation alone can get lost in a library."""
        self._ending = True
        self._woken.set()

    async def run(self) -> None:
        """Tell until stopped."""
        while not self._ending:
            self._woken.clear()
            try:
                more = await self.tell_some()
                self.trouble = None
            except (*AWAY, sqlite3.Error, PublishFailed, FenceLost) as error:
                self.trouble, more = describe(error), False
                self._stored.clear()
                _log.warning("a draw cannot be told: %s", self.trouble)
                await asyncio.sleep(PAUSE_S)
            if not more:
                try:
                    await asyncio.wait_for(self._woken.wait(), POLL_S)
                except TimeoutError:
                    continue

    async def tell_some(self) -> bool:
        """Tell a page of each draw that is over; tell whether there may be more at once."""
        more = False
        for job in await self._store.do(self._table.jobs):
            if self._ending:
                return False
            if job.only_forgets:
                more |= await self._store.do(partial(self._table.forget, job))
            elif job.channel == OWN_SUBJECT:
                more |= await self._tell(job)
            else:
                more |= await self._queue(job)
        return more

    # On the members' own subjects.

    async def _tell(self, job: DrawJob) -> bool:
        draw = job.draw
        if not self._results.is_open or self._results.reached.position.seq < draw.record:
            # Winners are told first, and nobody before the record that closed the play.
            return False
        marker = _marker_of(draw)
        if marker not in self._stored:
            self._stored[marker] = await self._told_through(marker)
        losers = await self._store.do(lambda: self._table.losers(job, MEMBERS_AT_A_TIME))
        if not losers:
            await self._store.do(lambda: self._table.finished(job))
            self._stored.pop(marker, None)
            return True
        fresh = [loser for loser in losers if loser.member > self._stored[marker]]
        if fresh:
            through = fresh[-1].member
            body = _encode(_Marker(through))
            await self._results.slip_in([_letter(draw, loser) for loser in fresh], Letter(marker, body, 0))
            self._stored[marker] = through
        await self._store.do(lambda: self._table.told(job, losers, self._clock.now_ns()))
        self.told += len(fresh)
        self._said()
        return True

    async def _told_through(self, marker: str) -> str:
        body = await self._results.last_for(marker)
        return "" if body is None else msgspec.json.decode(body, type=_Marker).through

    # Into the outbox, for the other channels.

    async def _queue(self, job: DrawJob) -> bool:
        waiting = await self._store.do(lambda: self._table.waiting_on(job.channel, WAITING_MAX))
        if waiting >= WAITING_MAX:
            return False
        losers = await self._store.do(lambda: self._table.losers(job, QUEUED_AT_A_TIME))
        if not losers:
            await self._store.do(lambda: self._table.finished(job))
            return True
        await self._store.do(lambda: self._put(job, losers))
        self._said()
        return True

    def _put(self, job: DrawJob, losers: Sequence[Loser]) -> None:
        rows = self._notices().rows_of(job.draw, job.channel, losers, self._clock.now_ns())
        self._table.queued(job, rows, losers[-1].member)


def _marker_of(draw: Draw) -> str:
    """Return the addressee of a draw's marker: a play's name may hold a dot, and may be used again one day."""
    identity = hashlib.sha256(f"{draw.play}\n{draw.decision}".encode()).hexdigest()
    return f"$draw-{identity[:32]}"


def _letter(draw: Draw, loser: Loser) -> Letter:
    lost = PlayLost(
        entry=draw.decision.partition("/")[0],
        at=draw.at_ns,
        play=draw.play,
        form=LOTTERY,
        member=loser.member,
        won=False,
        tickets=loser.tickets,
        draws=draw.draws,
    )
    return Letter(loser.member, _encode({"results": [lost]}), 1)
