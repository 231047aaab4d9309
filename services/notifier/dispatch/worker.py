"""One channel at work: takes what is due from the outbox, sends it, and writes down what became of it.

Each channel has a worker of its own, so one that is down delays only itself. What has ended is written together,
and what comes next is taken in the same visit to the disk.
"""

import asyncio
import logging
import random
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from events.counted import counted
from events.times import NS_PER_S
from services.notifier.dispatch.clock import Clock
from services.notifier.dispatch.condition import WHY_MAX_CHARS, Alert, Condition, Pace
from services.notifier.dispatch.courier import Courier, Gone, Later, Message, NoLonger, Outcome, Refused, Taken
from services.notifier.dispatch.rows import Busy, Claim, Ended, EndKind, Parcel, Waiting
from services.notifier.dispatch.store import Store
from services.notifier.policy.choices import Choices
from services.notifier.policy.judge import Verdict
from services.notifier.policy.purposes import Kind, Purpose, Reason

POLL_S: Final = 1.0
CLAIMED_AHEAD: Final = 2
STALE_S: Final = 2.0
STOP_TIMEOUT_S: Final = 3.0
JITTER: Final = 0.1

_log: Final = logging.getLogger("groupbuy.notifier")


class WorkerTally(msgspec.Struct):
    """What a worker has done since the start."""

    taken: int = 0
    retried: int = 0
    dead: int = 0
    suppressed: int = 0


class ChannelWorker:
    """Sends what waits on one channel."""

    def __init__(
        self,
        courier: Courier,
        store: Store,
        clock: Clock,
        judge: Callable[[Waiting, Choices, int], Verdict],
        address_of: Callable[[str], str | None],
        said: Callable[[], None],
        alert: Alert,
        pace: Pace,
        chance: random.Random,
    ) -> None:
        self.courier = courier
        self.tally = WorkerTally()
        self.condition = Condition(courier.name, store, clock, pace, alert, said)
        self._store = store
        self._clock = clock
        self._judge = judge
        self._address_of = address_of
        self._said = said
        self._pace = pace
        self._chance = chance
        self._woken = asyncio.Event()
        # What was taken from the outbox and is not written down yet; of these, what waits for its turn.
        self._sending: dict[str, Parcel] = {}
        self._ready: deque[tuple[Parcel, int]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: list[Ended] = []
        self._returned: list[Parcel] = []
        self._slots = pace.per_s or 0.0
        self._slots_at_ns = clock.now_ns()
        # A cancellation alone can get lost in a library.
        self._ending = False

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.courier.name

    def wake(self) -> None:
        """Have it look for something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send until told to end; must not be cancelled while it writes."""
        while not self._ending:
            self._woken.clear()
            try:
                claim = await self._visit()
            except sqlite3.Error as error:
                # A full or locked disk: nothing is lost, and nothing moves until it can be written.
                self.condition.trouble = f"the outbox cannot be used: {error}"
                _log.warning("%s: %s", self.name, self.condition.trouble)
                await asyncio.sleep(POLL_S)
                continue
            now_ns = self._clock.now_ns()
            for parcel in claim.parcels:
                self._sending[parcel.id] = parcel
                self._ready.append((parcel, now_ns))
            self._launch_ready()
            if not self._ended and not self._returned:
                await self._clock.wait(self._next_look_ns(claim, now_ns), self._woken)

    def end(self) -> None:
        """Begin nothing more."""
        self._ending = True
        self._woken.set()

    async def stop(self) -> None:
        """Wait a little for what is on the way and write it down; the rest is sent again after the next start."""
        self.end()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._ended:
            await self._store.do(lambda: self._store.outbox.finish(self._ended))
        await self.courier.close()

    # The visit to the disk.

    async def _visit(self) -> Claim:
        ended, self._ended = self._ended, []
        returned, self._returned = self._returned, []
        now_ns = self._clock.now_ns()
        gone = {parcel.id for parcel in (*(each.parcel for each in ended), *returned)}
        still = [parcel for parcel in self._sending.values() if parcel.id not in gone]
        room = self._room(len(still), now_ns)
        busy = Busy(
            frozenset(held.row.id for parcel in still for held in parcel.held),
            frozenset(parcel.member for parcel in still) if self.courier.rules.takes_grant else frozenset(),
            self.courier.rules.takes_grant,
        )
        try:
            claim = await self._store.do(lambda: self._turn(ended, room, busy, now_ns))
        except sqlite3.Error:
            self._ended, self._returned = ended + self._ended, returned + self._returned
            raise
        for parcel_id in gone:
            del self._sending[parcel_id]
        self._said()
        return claim

    def _turn(self, ended: list[Ended], room: int, busy: Busy, now_ns: int) -> Claim:
        outbox = self._store.outbox
        if ended:
            outbox.finish(ended)
        self.condition.read()
        if room <= 0:
            return Claim([], None)
        return outbox.claim(
            self.name, now_ns, room, busy, lambda row, choices: self._judge(row, choices, now_ns), self._address_of
        )

    def _room(self, sending: int, now_ns: int) -> int:
        """Return how many messages may be begun now."""
        if self.condition.paused_until_ns(now_ns) is not None:
            return 0
        if self.condition.is_on_trial:
            # After a pause one message tries whether the channel works again.
            return 1 if sending == 0 else 0
        if self._pace.per_s is None:
            # Ahead of what can be sent at once, so that nothing waits for the disk.
            return CLAIMED_AHEAD * self.courier.concurrency - sending
        room = self.courier.concurrency - sending
        # The clock may have been set back meanwhile.
        passed_s = max(0, now_ns - self._slots_at_ns) / NS_PER_S
        self._slots = min(max(1.0, self._pace.per_s), self._slots + passed_s * self._pace.per_s)
        self._slots_at_ns = now_ns
        return min(room, int(self._slots))

    def _next_look_ns(self, claim: Claim, now_ns: int) -> int:
        # Operators send again from another process: so the outbox is looked at even if nobody here has changed it.
        moments = [now_ns + int(POLL_S * NS_PER_S)]
        if (paused_until_ns := self.condition.paused_until_ns(now_ns)) is not None:
            return paused_until_ns
        if claim.next_due_ns is not None:
            moments.append(claim.next_due_ns)
        if self._pace.per_s is not None and self._slots < 1:
            moments.append(now_ns + int((1 - self._slots) / self._pace.per_s * NS_PER_S) + 1)
        return min(moments)

    # Sending.

    def _launch_ready(self) -> None:
        """Begin to send what was taken, as far as the channel's concurrency allows."""
        while not self._ending and self._ready and len(self._tasks) < self.courier.concurrency:
            parcel, claimed_at_ns = self._ready.popleft()
            now_ns = self._clock.now_ns()
            is_stale = now_ns - claimed_at_ns > STALE_S * NS_PER_S
            if is_stale or self.condition.paused_until_ns(now_ns) is not None:
                # Whether it may be sent is asked anew.
                self._returned.append(parcel)
                self._woken.set()
            else:
                self._launch(parcel, now_ns)

    def _launch(self, parcel: Parcel, now_ns: int) -> None:
        if self._pace.per_s is not None:
            self._slots -= 1
        state = self.condition.state
        if state.disabled_at_ns is not None:
            self._end(parcel, EndKind.DEAD, why=f"the channel is switched off: {state.why or 'by an operator'}")
            return
        task = asyncio.create_task(self._send(parcel, now_ns), name=f"notifier sending {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._launch_ready()

    async def _send(self, parcel: Parcel, now_ns: int) -> None:
        outcome = await self._carried(parcel, now_ns)
        try:
            await self._take_note(parcel, outcome)
        except sqlite3.Error as error:
            _log.warning("%s: the outbox cannot be used, so message %s is sent again: %s", self.name, parcel.id, error)
            self._returned.append(parcel)
            self._woken.set()

    async def _take_note(self, parcel: Parcel, outcome: Outcome) -> None:
        """Have written down what came of a message."""
        match outcome:
            case Taken():
                await self.condition.works()
                self.tally.taken += 1
                self._end(parcel, EndKind.DELIVERED if outcome.delivered else EndKind.SENT)
            case Later(whole_channel=True):
                await self.condition.fails(outcome.why)
                self.condition.pause(outcome.after_s)
                self._returned.append(parcel)
                self._woken.set()
            case Later():
                await self.condition.fails(outcome.why)
                self._try_again(parcel, outcome)
            case NoLonger():
                self.tally.suppressed += 1
                self._end(parcel, EndKind.SUPPRESSED, why=outcome.why, reason=Reason.NO_GRANT)
            case Gone():
                await self.condition.give_up(outcome.why)
                self._end(parcel, EndKind.DEAD, why=outcome.why)
            case Refused():
                self._end(parcel, EndKind.DEAD, why=outcome.why)

    async def _carried(self, parcel: Parcel, now_ns: int) -> Outcome:
        try:
            return await self.courier.carry(_message(parcel, now_ns))
        # Poison: whatever a message does to its channel, the others must get through.
        except Exception as error:  # noqa: BLE001
            _log.warning("message %s on %s is dead: %s", parcel.id, self.name, error)
            return Refused(f"{type(error).__name__}: {error}")

    def _end(self, parcel: Parcel, kind: EndKind, *, why: str | None = None, reason: Reason | None = None) -> None:
        if kind is EndKind.DEAD:
            self.tally.dead += 1
        permission = parcel.held[0].verdict.permission
        used = permission if permission is not None and kind is not EndKind.DEAD else None
        self._write(
            Ended(
                parcel=parcel,
                kind=kind,
                at_ns=self._clock.now_ns(),
                why=None if why is None else why[:WHY_MAX_CHARS],
                reason=reason,
                used=used,
            )
        )

    def _write(self, ended: Ended) -> None:
        self._ended.append(ended)
        self._woken.set()

    def _try_again(self, parcel: Parcel, later: Later) -> None:
        if parcel.attempts >= len(self.courier.retry_s):
            tries = counted(parcel.attempts + 1, "try was", "tries were")
            self._end(parcel, EndKind.DEAD, why=f"{tries} in vain; the last: {later.why}")
            return
        pause_s = self.courier.retry_s[parcel.attempts] * self._chance.uniform(1 - JITTER, 1 + JITTER)
        pause_s = max(pause_s, later.after_s or 0.0)
        now_ns = self._clock.now_ns()
        self.tally.retried += 1
        due_at_ns = now_ns + int(pause_s * NS_PER_S)
        why = later.why[:WHY_MAX_CHARS]
        self._write(Ended(parcel=parcel, kind=EndKind.RETRY, at_ns=now_ns, why=why, due_at_ns=due_at_ns))


def _message(parcel: Parcel, now_ns: int) -> Message:
    notices = tuple(held.row.notice for held in parcel.held)
    is_digest = len(notices) > 1
    return Message(
        id=parcel.id,
        member=parcel.member,
        kind=Kind.DIGEST if is_digest else notices[0].kind,
        purpose=Purpose.DIGEST if is_digest else notices[0].purpose,
        notices=notices,
        address=parcel.address,
        language=parcel.language,
        at_ns=now_ns,
        attempt=parcel.attempts + 1,
    )
