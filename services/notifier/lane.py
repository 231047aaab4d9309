"""A lane: what one channel still has to tell, sent in order, so that no channel waits for another.

Publishers wait for outcomes, so these are sent the moment they are known, each round while those before it are still
being stored. Nobody waits for a member's result to the millisecond, but everybody for the disk: results are gathered a
little while, so that a busy market costs twenty batches of them a second and not as many as it has records. While one
batch is stored the next is on its way.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from services.bus.journal import JournalBroken
from services.bus.journal_stream import describe
from services.notifier.channels import Bundle, Channel
from services.notifier.channels.items import ADDRESSEES_MAX

# What waits for its channel; then the journal waits, whose records can be read again.
WAITING_MAX_MESSAGES: Final = 8_000
WAITING_MAX_BYTES: Final = 64 * 1024 * 1024
# So many letters wait for no company: most members of a group that fills at once are told twice.
ENOUGH_LETTERS: Final = 2_000
ROUND_RECORDS: Final = 256
AHEAD_MAX_ROUNDS: Final = 32
AHEAD_MAX_BYTES: Final = 16 * 1024 * 1024
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 30.0
STALLED_S: Final = 15.0

_log: Final = logging.getLogger("groupbuy.notifier")


Begin = Callable[[Sequence[Bundle]], "asyncio.Task[None] | None"]
"""Sends at once and returns what ends when that is stored, or None where the channel must deliver instead."""


class _Sent(NamedTuple):
    """A round that is sent and not known to be stored."""

    bundles: list[Bundle]
    stored: "asyncio.Task[None]"


class Lane:
    """Sends what is put into it through `channel`, a round at least `gather_s` after the one before unless it is big.

    Nothing is dropped: what cannot be sent is tried again until the channel is `broken` for good.
    """

    def __init__(
        self,
        channel: Channel,
        begin: Begin | None = None,
        gather_s: float = 0.0,
        standby_s: float = 0.0,
        ahead_max_rounds: int = AHEAD_MAX_ROUNDS,
    ) -> None:
        """Make a lane; `begin` sends a round without waiting for those before it, where the channel can do that.

        At most `ahead_max_rounds` rounds are on their way at a time.

        With `standby_s` it is one of several lanes that write the same: who is in another's way waits so long before
        the next round, and finds it told, as long as there is another.
        """
        self.channel = channel
        self._begin = begin or _cannot_begin
        self._ahead_max_rounds = ahead_max_rounds
        self.broken: JournalBroken | None = None
        self.trouble: str | None = None
        self._gather_s = gather_s
        self._standby_s = standby_s
        self._conflicts = 0
        self.stands_by = False
        self._waiting: deque[Bundle] = deque()
        self._messages = 0
        self._size_bytes = 0
        self._last_put_seq = 0
        self._sent: deque[_Sent] = deque()
        self._in_hand = 0
        self._sent_at_s = 0.0
        self._moved_at_s = time.monotonic()
        self._hurries = False
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def lag(self) -> int:
        """How many records are not told yet."""
        return len(self._waiting) + self._in_hand + sum([len(sent.bundles) for sent in self._sent])

    @property
    def stalled_s(self) -> float:
        """How long nothing has moved although there is something to tell, 0 where that is no wonder."""
        silent_s = time.monotonic() - self._moved_at_s if self.lag else 0.0
        return silent_s if silent_s > STALLED_S else 0.0

    async def put(self, bundle: Bundle) -> None:
        """Have a record told, after those before it; waits while too much waits.

        A record that is here already is not taken again. Raises the JournalBroken that the channel ended with.
        """
        while self._is_full and self.broken is None:
            self._moved.clear()
            await self._moved.wait()
        if self.broken is not None:
            raise self.broken
        if bundle.journal_seq <= self._last_put_seq:
            return
        if self.lag == 0:
            self._moved_at_s = time.monotonic()
        self._last_put_seq = bundle.journal_seq
        self._waiting.append(bundle)
        self._messages += len(bundle.letters)
        self._size_bytes += _size_bytes(bundle)
        self._wake.set()

    async def finish(self) -> None:
        """Wait until everything put is told, or can never be; nothing is gathered any more."""
        self._hurries = True
        self._wake.set()
        while self.lag and self.broken is None:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Send until cancelled, or until the channel is broken for good."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting or self._has_failed:
                    await self._gather()
                    bundles = self._take()
                    await self._hold_back(bundles)
                    await self._send(bundles)
        except JournalBroken as broken:
            self.broken = broken
            _log.error("%s", broken)
        # Nobody waits for this task: what ends it must be seen in the health.
        except Exception as error:  # noqa: BLE001
            self.broken = JournalBroken(f"{self.channel.name} cannot be written any more: {describe(error)}")
            _log.exception("%s cannot be written any more", self.channel.name)
        finally:
            self._moved.set()

    @property
    def _is_full(self) -> bool:
        return self._messages > WAITING_MAX_MESSAGES or self._size_bytes > WAITING_MAX_BYTES

    @property
    def _has_failed(self) -> bool:
        return any(sent.stored.done() and not _is_well(sent.stored) for sent in self._sent)

    @property
    def _is_far_ahead(self) -> bool:
        size_bytes = sum([_size_bytes(bundle) for sent in self._sent for bundle in sent.bundles])
        return len(self._sent) >= self._ahead_max_rounds or size_bytes > AHEAD_MAX_BYTES

    async def _gather(self) -> None:
        """Wait for company, where there is room for more."""
        wait_s = self._sent_at_s + self._gather_s - time.monotonic()
        if wait_s > 0 and self._messages < ENOUGH_LETTERS and not self._hurries:
            await asyncio.sleep(wait_s)
        self._sent_at_s = time.monotonic()

    async def _hold_back(self, bundles: list[Bundle]) -> None:
        """Leave another lane that writes the same the time to do it, where this one stands by."""
        if self.stands_by and not self._hurries:
            self._in_hand = len(bundles)
            await asyncio.sleep(self._standby_s * random.uniform(1.0, 2.0))

    def _take(self) -> list[Bundle]:
        """Take as many records as one batch can tell, or the one that is more."""
        taken: list[Bundle] = []
        addressees: set[str] = set()
        while self._waiting and len(taken) < ROUND_RECORDS:
            bundle = self._waiting[0]
            addressees.update([letter.addressee for letter in bundle.letters])
            # Rounds by letters told a busy market's members in two batches what is one, and waited for the disk twice.
            if taken and len(addressees) > ADDRESSEES_MAX:
                break
            taken.append(self._waiting.popleft())
            self._messages -= len(bundle.letters)
            self._size_bytes -= _size_bytes(bundle)
        return taken

    async def _send(self, bundles: list[Bundle]) -> None:
        self._in_hand = len(bundles)
        while self._is_far_ahead and not self._has_failed:
            await asyncio.wait({self._sent[0].stored})
        must_deliver = self._has_failed or self.stands_by or not bundles
        stored = None if must_deliver else self._begin(bundles)
        if stored is None:
            await self._deliver(bundles)
            self._note_conflicts()
        else:
            self._sent.append(_Sent(bundles, stored))
            stored.add_done_callback(self._note_stored)
        self._in_hand = 0
        self._note_moved()

    def _note_conflicts(self) -> None:
        """Stand by when somebody else has written since the last time, and no more when nobody has."""
        conflicts, self._conflicts = self._conflicts, self.channel.conflicts
        stood_by, self.stands_by = self.stands_by, self._standby_s > 0 and self.channel.conflicts > conflicts
        if self.stands_by != stood_by:
            what = "another notifier tells it: standing by" if self.stands_by else "nobody else tells it: telling"
            _log.info("%s: %s", self.channel.name, what)

    def _note_stored(self, stored: "asyncio.Task[None]") -> None:
        """Forget rounds that are stored; what failed stays, for `run` to send again."""
        while self._sent and _is_well(self._sent[0].stored):
            self._sent.popleft()
        if _is_well(stored):
            self._note_moved()
        else:
            self._wake.set()

    async def _deliver(self, bundles: list[Bundle]) -> None:
        """Send what failed and `bundles`, in order, however often it takes, when nothing is on its way any more."""
        if self._sent:
            await asyncio.wait({sent.stored for sent in self._sent})
        failed = [bundle for sent in self._sent for bundle in sent.bundles]
        self._sent.clear()
        self._in_hand = len(failed) + len(bundles)
        pause_s = RETRY_MIN_S
        while True:
            try:
                await self.channel.deliver([*failed, *bundles])
            except JournalBroken:
                raise
            # Whatever the channel meets, a record is never skipped: told, and tried again.
            except Exception as error:  # noqa: BLE001
                self.trouble = f"{self.channel.name} cannot be written: {describe(error)}"
                _log.warning("%s; trying again in %.1f s", self.trouble, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
            else:
                self.trouble = None
                return

    def _note_moved(self) -> None:
        self._moved_at_s = time.monotonic()
        self._moved.set()


def _cannot_begin(_: Sequence[Bundle]) -> None:
    """Stand in for a channel that stores one round at a time."""


def _size_bytes(bundle: Bundle) -> int:
    return sum([len(letter.body) for letter in bundle.letters])


def _is_well(stored: "asyncio.Task[None]") -> bool:
    """Tell whether a round is stored."""
    return stored.done() and not stored.cancelled() and stored.exception() is None
