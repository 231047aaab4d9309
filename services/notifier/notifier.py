"""The notifier: follows the journal and has every channel tell what each record says.

One follower feeds all channels, so that a record is read, checked and decoded once: it begins after the record that
the hindmost channel has reached, and each channel skips what its own store holds already.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal import FollowedRecord, JournalBroken, JournalFollower
from services.bus.journal_stream import AWAY, describe
from services.notifier.atomic import FenceLost, PublishFailed
from services.notifier.channels import Bundle, Channel
from services.notifier.channels.nats import NatsChannel
from services.notifier.journal_lookup import JournalLookup
from services.notifier.letters import Mail, Sorter, mail_of

OPEN_PAUSE_S: Final = 1.0
RENEW_INTERVAL_S: Final = 60.0
# Results of about this many messages are made before they are sent, so that memory is bounded.
ROUND_MESSAGES: Final = 1_000
ENTRIES_AT_A_TIME: Final = 200

_log: Final = logging.getLogger("groupbuy.notifier")


class Progress(msgspec.Struct):
    """What has been done since the start."""

    records: int = 0
    unaddressable: int = 0
    delivery_s: float = 0.0


class Notifier:
    """Results to members and outcomes to publishers of one market, each once and all of them."""

    def __init__(self, broker: ServiceBroker, market: str, user: str, sent_through: int | None = None) -> None:
        self._broker = broker
        self._market = market
        self._user = user
        self._journal = JournalLookup(broker, market)
        self.results = self._channel(subjects.results_stream(market), subjects.result, sent_through)
        self.outcomes = self._channel(subjects.outcomes_stream(market), subjects.outcome, sent_through)
        self.progress = Progress()
        self._follower: JournalFollower | None = None
        self._broken: JournalBroken | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel."""
        return (self.results, self.outcomes)

    @property
    def lag(self) -> int:
        """How many messages of the journal are not told yet."""
        return 0 if self._follower is None else self._follower.lag

    @property
    def alarm(self) -> str | None:
        """Why nothing is sent at the moment, or None."""
        if self._broken is not None:
            return str(self._broken)
        return None if self._follower is None else self._follower.alarm

    def check(self) -> Check:
        """Return how telling goes, for Health."""
        if self._broken is not None:
            return Check(Status.UNHEALTHY, str(self._broken))
        if self._follower is None:
            return Check(Status.UNHEALTHY, "not started: the broker does not answer yet")
        return self._follower.check()

    async def start(self) -> None:
        """Begin in the background: waits for a broker that is away; what breaks it for good is told by `alarm`."""
        assert not self._tasks, "a notifier is started once"
        self._tasks = [
            asyncio.create_task(self._begin(), name=f"notifier {self._market}"),
            asyncio.create_task(self._renew(), name=f"notifier renewal {self._market}"),
        ]

    async def stop(self) -> None:
        """Finish the records at hand and stop."""
        # A cancellation alone can get lost: nats-py swallows one that meets it while it flushes.
        self._ending.set()
        if self._follower is not None:
            await self._follower.stop()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _channel(self, stream: str, subject: Callable[[str, str], str], sent_through: int | None) -> NatsChannel:
        market = self._market
        return NatsChannel(self._broker, stream, lambda name: subject(market, name), self._journal, sent_through)

    # The start.

    async def _begin(self) -> None:
        try:
            await self._open()
            if self._ending.is_set():
                return
            hindmost = min((channel.reached.position for channel in self.channels), key=lambda position: position.seq)
            follower = JournalFollower(self._broker, self._market, self._user, hindmost, self._tell)
            await follower.start()
            self._follower = follower
        except JournalBroken as broken:
            self._broken = broken
            _log.error("%s", broken)
        # Nobody waits for this task: what ends it must be seen in the health.
        except Exception as error:  # noqa: BLE001
            self._broken = JournalBroken(f"the notifier could not start: {describe(error)}")
            _log.exception("the notifier could not start")

    async def _open(self) -> None:
        """Have every channel learn how far it is, and finish what was told by half; waits for the broker."""
        while not self._ending.is_set():
            try:
                for channel in self.channels:
                    await channel.open()
                await self._finish_halves()
            except (*AWAY, PublishFailed, FenceLost) as error:
                _log.warning("the output streams of market %s are not usable yet: %s", self._market, describe(error))
                await self._pause(OPEN_PAUSE_S)
            else:
                return

    async def _finish_halves(self) -> None:
        for channel in self.channels:
            if not channel.reached.complete:
                record = await self._journal.record_at(channel.reached.position.seq)
                await channel.deliver([self._bundle_for(channel, mail_of(record))])

    def _bundle_for(self, channel: Channel, mail: Mail) -> Bundle:
        return mail.outcomes if channel is self.outcomes else mail.results

    # Telling.

    async def _tell(self, records: list[FollowedRecord]) -> None:
        """Tell what the records say. Whatever it raises, the same records may come again.

        While the broker stores one round, the next is made ready.
        """
        sending: asyncio.Task[None] | None = None
        try:
            async for round_ in self._rounds(records):
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._deliver(round_), name="notifier delivery")
        finally:
            if sending is not None:
                await sending

    async def _rounds(self, records: list[FollowedRecord]) -> AsyncIterator[list[Mail]]:
        """Yield the mail of the records that are not dealt with, some ROUND_MESSAGES messages at a time."""
        round_: list[Mail] = []
        for record in records:
            if all(channel.has(record.seq, record.hash) for channel in self.channels):
                continue
            try:
                round_.append(await self._mail_of(record))
            except JournalBroken:
                # What stands before the record that cannot be read is told all the same.
                if round_:
                    yield round_
                raise
            if sum(mail.messages for mail in round_) >= ROUND_MESSAGES:
                yield round_
                round_ = []
        if round_:
            yield round_

    async def _mail_of(self, record: FollowedRecord) -> Mail:
        """Return the mail of a record, which can take a tenth of a second, without holding up anything else."""
        sorter = Sorter(record)
        for at, raw in enumerate(record.record.entries, start=1):
            sorter.add(raw)
            if at % ENTRIES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        mail = sorter.mail()
        self.progress.records += 1
        self.progress.unaddressable += mail.unaddressable
        return mail

    async def _deliver(self, round_: list[Mail]) -> None:
        """Have each channel send its bundles, all at the same time; raise only after every one has ended."""
        began_at_s = time.perf_counter()
        deliveries = [
            channel.deliver([self._bundle_for(channel, mail) for mail in round_]) for channel in self.channels
        ]
        ended = await asyncio.gather(*deliveries, return_exceptions=True)
        self.progress.delivery_s += time.perf_counter() - began_at_s
        errors = [error for error in ended if error is not None]
        # What is broken for good weighs more than what is worth another try.
        for error in sorted(errors, key=lambda error: not isinstance(error, JournalBroken)):
            raise error

    async def _renew(self) -> None:
        while not self._ending.is_set():
            await self._pause(RENEW_INTERVAL_S)
            for channel in self.channels:
                with contextlib.suppress(*AWAY, PublishFailed, JournalBroken):
                    await channel.renew()

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), pause_s)
