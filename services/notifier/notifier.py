"""The notifier: follows the journal and has every channel tell what each record says.

One follower feeds all channels, so that a record is read, checked and decoded once: it begins after the record that
the hindmost channel has reached, and each channel skips what its own store holds already. Each has a lane of its own,
so that none waits for another.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from events import subjects
from events.counted import counted
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal import FollowedRecord, JournalBroken, JournalFollower
from services.bus.journal_stream import AWAY, describe
from services.notifier.atomic import FenceLost, PublishFailed
from services.notifier.channels import Bundle, Channel
from services.notifier.channels.nats import NatsChannel
from services.notifier.journal_lookup import JournalLookup
from services.notifier.lane import Lane
from services.notifier.letters import Mail, Sorter, mail_of

OPEN_PAUSE_S: Final = 1.0
RENEW_INTERVAL_S: Final = 60.0
ENTRIES_AT_A_TIME: Final = 200
# Long enough to spare the disk, short enough for whoever shows a member what happened.
RESULTS_GATHER_S: Final = 0.05
# One that the broker stores, and one that it has but for the end.
RESULTS_AHEAD_ROUNDS: Final = 2
# Facts are read by the ledger, which waits for nobody; each costs two flushes of the disk, for which publishers do.
FACTS_GATHER_S: Final = 1.0
FINISH_TIMEOUT_S: Final = 5.0

_log: Final = logging.getLogger("groupbuy.notifier")


FactsOf = Callable[[NatsChannel, JournalLookup], Channel]
"""Makes the channel of facts for the channel of results."""


class Progress(msgspec.Struct):
    """What has been done since the start."""

    records: int = 0
    unaddressable: int = 0


class Notifier:
    """Results to members and outcomes to publishers of one market, each once and all of them."""

    def __init__(
        self,
        broker: ServiceBroker,
        market: str,
        user: str,
        sent_through: int | None = None,
        facts_of: FactsOf | None = None,
        standby_s: float = 0.0,
    ) -> None:
        """Make it ready; `facts_of` makes the channel that writes down what was told of the results."""
        self._broker = broker
        self._market = market
        self._user = user
        self._journal = JournalLookup(broker, market)
        self.results = self._channel(subjects.results_stream(market), subjects.result, sent_through)
        self.outcomes = self._channel(subjects.outcomes_stream(market), subjects.outcome, sent_through)
        self._facts = () if facts_of is None else (facts_of(self.results, self._journal),)
        self._lanes = (
            Lane(self.results, self.results.stage, RESULTS_GATHER_S, standby_s, RESULTS_AHEAD_ROUNDS),
            Lane(self.outcomes, self.outcomes.begin, standby_s=standby_s),
            *(Lane(facts, gather_s=FACTS_GATHER_S) for facts in self._facts),
        )
        self.progress = Progress()
        self._follower: JournalFollower | None = None
        self._broken: JournalBroken | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel."""
        return (self.results, self.outcomes, *self._facts)

    @property
    def lag(self) -> int:
        """How many messages of the journal are not told yet."""
        lag = 0 if self._follower is None else self._follower.lag
        # Facts come a little later, and nobody waits for them.
        return lag + max(lane.lag for lane in self._lanes if lane.channel in (self.results, self.outcomes))

    @property
    def lag_age_s(self) -> float:
        """How long the first of them that is on no lane yet has been in the journal, 0 when there is none."""
        return 0.0 if self._follower is None else self._follower.lag_age_s

    @property
    def alarm(self) -> str | None:
        """Why nothing is sent at the moment, or None."""
        for broken in (self._broken, *(lane.broken for lane in self._lanes)):
            if broken is not None:
                return str(broken)
        troubles = [lane.trouble for lane in self._lanes if lane.trouble is not None]
        if troubles:
            return troubles[0]
        return None if self._follower is None else self._follower.alarm

    def check(self) -> Check:
        """Return how telling goes, for Health."""
        if (alarm := self.alarm) is not None:
            return Check(Status.UNHEALTHY, alarm)
        if self._follower is None:
            return Check(Status.UNHEALTHY, "not started: the broker does not answer yet")
        for lane in self._lanes:
            if lane.stalled_s:
                waits = f"{counted(lane.lag, 'record waits', 'records wait')} for {lane.channel.name}"
                return Check(Status.UNHEALTHY, f"{waits}, and nothing moved for {lane.stalled_s:.0f} s")
        found = self._follower.check()
        if found.status is Status.OK and all(lane.stands_by for lane in self._lanes):
            return Check(Status.OK, f"standing by, since another notifier tells it: {found.sentence}")
        return found

    async def start(self) -> None:
        """Begin in the background: waits for a broker that is away; what breaks it for good is told by `alarm`."""
        assert not self._tasks, "a notifier is started once"
        self._tasks = [
            asyncio.create_task(self._begin(), name=f"notifier {self._market}"),
            asyncio.create_task(self._renew(), name=f"notifier renewal {self._market}"),
            *(asyncio.create_task(lane.run(), name=f"notifier lane {lane.channel.name}") for lane in self._lanes),
        ]

    async def stop(self) -> None:
        """Finish the records at hand and stop."""
        # A cancellation alone can get lost: nats-py swallows one that meets it while it flushes.
        self._ending.set()
        if self._follower is not None:
            await self._follower.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_TIMEOUT_S):
                    await asyncio.gather(*(lane.finish() for lane in self._lanes))
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
            if self._ending.is_set():
                # It began while the rest was stopping, and nobody else knows of it.
                await follower.stop()
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
        """Have every lane tell what the records say. The same records may come again: the lanes know theirs.

        Raises JournalBroken when one cannot be read, after those before it are on their way, or when a lane is broken.
        """
        for record in records:
            if all(channel.has(record.seq, record.hash) for channel in self.channels):
                continue
            mail = await self._mail_of(record)
            for lane in self._lanes:
                await lane.put(self._bundle_for(lane.channel, mail))

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

    async def _renew(self) -> None:
        while not self._ending.is_set():
            await self._pause(RENEW_INTERVAL_S)
            for channel in self.channels:
                with contextlib.suppress(*AWAY, PublishFailed, JournalBroken):
                    await channel.renew()

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), pause_s)
