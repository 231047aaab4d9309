"""The matcher's loop: read in order, decide everything pending, commit one record, repeat.

While a record is on its way to the broker the next one is decided, so that the fsync of one shares its time with
the rules of the next. What is decided ahead is known to nobody until it is committed: outcomes come from the
journal. When the fence says that somebody else has written, everything decided ahead is dropped with the state.

Of several matchers one decides and the others stand by (`standby`): the same loop, with another patience.
"""

import asyncio
import gc
import logging
import time
from typing import Final

import nats.errors

from services.bus.connect import ServiceBroker
from services.bus.lag import LagClock
from services.matcher.commit import FenceLostError, JournalWriter, journal_end
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones
from services.matcher.intake import IntakeReader
from services.matcher.log import LogBroken, Standing
from services.matcher.metrics import MatcherMetrics
from services.matcher.records import ReadyRecord
from services.matcher.recovery import Recovered, recover
from services.matcher.shift import Shift
from services.matcher.snapshots import STATE_SCHEMA, Saving, Snapshot, SnapshotStore, is_due
from services.matcher.standby import Patience, Standby
from services.matcher.ticking import Ticker

IDLE_WAIT_S: Final = 1.0
SNAPSHOT_IDLE_ENTRIES: Final = 20_000
SNAPSHOT_IDLE_S: Final = 10.0
FENCE_PAUSE_S: Final = 0.5
RETRY_S: Final = 0.5

_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_log: Final = logging.getLogger("groupbuy.matcher")


class Matcher:
    """The matcher of one market, from recovery to the last commit."""

    def __init__(
        self,
        broker: ServiceBroker,
        market: str,
        user: str,
        facts: Facts,
        zones: Zones,
        snapshots: SnapshotStore,
        *,
        standby_s: float = 0.0,
        rehearsed: bool = False,
    ) -> None:
        """Make a matcher that does nothing until `run`.

        With `standby_s` it decides only when nobody else has for so long; `rehearsed` has it decide again all that
        it reads of the journal.
        """
        self._broker = broker
        self._market = market
        self._user = user
        self._facts = facts
        self._zones = zones
        self._snapshots = snapshots
        self._reader = IntakeReader(broker, market, user)
        self._ending = False
        self._saving: Saving | None = None
        self._intake = ""
        self._journal = ""
        self._entries_since_snapshot = 0
        self._committed_at_s = time.monotonic()
        self._patience = Patience(standby_s)
        self._rehearsed = rehearsed
        self._recovered: Recovered | None = None
        """A state that holds nothing but what is committed, as long as there is one."""
        self._lag_clock = LagClock()
        self.engine: Engine | None = None
        self.standing = Standing()
        self.broken: str | None = None
        self.leads = False
        self.standby: Standby | None = None
        """While this matcher stands by: how it follows."""
        self.rehearsed_entries = 0
        """How many entries of others were decided here again, with the same result."""
        self.metrics = MatcherMetrics()

    @property
    def lag(self) -> int:
        """Return how many intake messages are known and not yet covered by a record."""
        return max(0, self._reader.last_seq - self.standing.through_seq)

    @property
    def lag_clock(self) -> LagClock:
        """How long the first undecided message has been waiting, as of now."""
        self._lag_clock.note(self._reader.last_seq, self.standing.through_seq)
        return self._lag_clock

    @property
    def silent_s(self) -> float:
        """Return how many seconds ago the last record was committed, or input was last seen to be decided."""
        return time.monotonic() - self._committed_at_s

    def stop(self) -> None:
        """End the loop after what is at hand has been committed."""
        self._ending = True

    async def run(self) -> None:
        """Recover, stand by, decide and commit until stopped, or until the logs do not fit together any more."""
        while not self._ending:
            try:
                await self._take_part()
            except FenceLostError as lost:
                self._patience.lost()
                await self._let_go(lost)
            except LogBroken as broken:
                self.broken = str(broken)
                _log.error("%s", broken)
                return
            except _AWAY as error:
                _log.warning("the broker is away: %s", str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)

    async def _let_go(self, lost: FenceLostError) -> None:
        if self._recovered is None:
            _log.warning("%s; dropping the state and reading the journal anew", lost)
            await asyncio.sleep(FENCE_PAUSE_S)
        else:
            _log.info("%s before anything was decided here; following it again", lost)

    async def _take_part(self) -> None:
        """Be one of the matchers of the market: from a state, over standing by, to leading while the fence holds."""
        recovered = await self._recover()
        if not self._patience.is_needed or await self._stand_by(recovered):
            await self._lead(recovered)
        if recovered.is_whole:
            self._save_snapshot()

    async def _recover(self) -> Recovered:
        recovered = self._recovered
        if recovered is None or recovered.is_torn:
            recovered = await recover(
                self._broker,
                self._market,
                self._user,
                self._facts,
                self._zones,
                self._snapshots,
                rehearsed=self._rehearsed,
            )
            # What has been recovered lives as long as the process: the collector need not look at it again.
            gc.freeze()
            self._entries_since_snapshot = 0
            self._recovered = recovered
        self._adopt(recovered)
        return recovered

    def _adopt(self, recovered: Recovered) -> None:
        """Take over where a recovered state stands."""
        self.engine, self.standing, self._journal = recovered.engine, recovered.standing, recovered.journal
        self._entries_since_snapshot += recovered.take_entries()
        if recovered.rehearsal is not None:
            self.rehearsed_entries = recovered.rehearsal.entries

    async def _stand_by(self, recovered: Recovered) -> bool:
        """Follow the journal until it is this matcher's turn to decide; tell whether it is."""
        # Who follows decides again what it reads: whoever takes over has proved that it decides the same.
        recovered.rehearse()
        wait_s = self._patience.draw_s()
        self.standby = Standby(self._broker, self._market, self._user, self._reader, recovered, wait_s)

        def rest(is_level: bool) -> None:
            if recovered.standing.seq != self.standing.seq:
                self._committed_at_s = time.monotonic()
            self._adopt(recovered)
            self._save_if_many(is_idle=is_level)

        try:
            return await self.standby.wait(lambda: self._ending, rest)
        finally:
            self.standby = None
            self._adopt(recovered)

    async def _lead(self, recovered: Recovered) -> None:
        """Decide and commit. Raises FenceLostError when another matcher has committed."""
        self._intake = await self._compare()
        last_seq, last_hash = await self._journal_end()
        writer = JournalWriter(self._broker, self._market, last_seq, last_hash)
        shift = Shift(
            self._market,
            recovered.engine,
            self.standing,
            self._intake,
            writer,
            self._note_commit,
            recovered.ahead,
        )
        # From here on the state runs ahead of the journal: it is void when the fence is lost.
        self._recovered = None
        try:
            await shift.resume(self._reader)
            await self._reader.open(self.standing.through_seq + 1)
            self.leads = True
            await self._work(shift)
        finally:
            self.leads = False
            await shift.abandon()
            await self._reader.close()

    async def _work(self, shift: Shift) -> None:
        ticker = Ticker(self._broker, self._market)
        while not self._ending:
            if self._reader.was_reconnected():
                await shift.flush()
                await self._compare()
            gather_s = shift.gathers_for_s
            if not gather_s:
                await shift.start_commit()
            # With a commit under way only what is here already is taken, and then the commit waited for.
            wait_s = min(IDLE_WAIT_S, ticker.wait_s(shift.engine)) if shift.is_idle else gather_s
            messages = await self._reader.take(wait_s)
            if messages:
                shift.decide(messages)
            if not messages or shift.is_full:
                await shift.settle()
            else:
                await asyncio.sleep(0)
                await shift.settle_if_done()
            if self._has_many_unsaved(shift.engine) and self._is_saved():
                await shift.flush()
            if shift.is_idle:
                self._rest(shift)
                if not messages:
                    await ticker.tick_if_due(shift.engine)
        await shift.flush()

    async def _compare(self) -> str:
        """Compare the intake with what was decided from it; return its identity. Raises LogBroken or FenceLostError."""
        try:
            return await self._reader.check(self.standing)
        except LogBroken:
            # Unless another has decided since, and what is gone was trimmed: then it is this matcher that is behind.
            await self._journal_end()
            raise

    async def _journal_end(self) -> tuple[int, str | None]:
        return await journal_end(self._broker, self._market, self.standing.seq, self.standing.hash)

    def _rest(self, shift: Shift) -> None:
        """Do what can be done only while everything decided is committed."""
        self._is_saved()
        if self.lag == 0:
            self._committed_at_s = max(self._committed_at_s, time.monotonic() - SNAPSHOT_IDLE_S - 1)
        self._save_if_many(is_idle=shift.is_idle)

    def _save_if_many(self, *, is_idle: bool) -> None:
        many = self.engine is not None and self._has_many_unsaved(self.engine)
        enough = self._entries_since_snapshot >= SNAPSHOT_IDLE_ENTRIES
        if many or (enough and self.silent_s > SNAPSHOT_IDLE_S and is_idle):
            self._save_snapshot()

    def _has_many_unsaved(self, engine: Engine) -> bool:
        return is_due(self._entries_since_snapshot, len(engine.state.orders))

    def _note_commit(self, record: ReadyRecord, seq: int, took_s: float) -> None:
        self.standing = Standing(seq=seq, hash=record.hash, intake=self._intake, through=record.through)
        self._snapshots.high_water.note(self._journal, self.standing)
        self._entries_since_snapshot += record.entries
        self._patience.won()
        self._committed_at_s = time.monotonic()
        self.metrics.committed(record.entries, len(record.body), took_s)

    def _save_snapshot(self) -> None:
        """Save what is decided and committed: aside while there is more to do, at once when this is the end."""
        engine = self.engine
        if engine is None or self._entries_since_snapshot == 0 or not self._is_saved(wait=self._ending):
            return

        def make() -> Snapshot:
            return Snapshot(
                schema=STATE_SCHEMA,
                market=self._market,
                journal=self._journal,
                standing=self.standing,
                state=engine.snapshot(),
            )

        self._entries_since_snapshot = 0
        self._saving = None if self._ending else self._snapshots.save_aside(make)
        if self._saving is not None:
            return
        try:
            self._snapshots.save(make())
        except OSError as error:
            # A snapshot only saves time: without one the next start reads more of the journal.
            _log.warning("cannot save a snapshot: %s", error.strerror or error)

    def _is_saved(self, wait: bool = False) -> bool:
        """Tell whether the snapshot under way, if there is one, has ended."""
        if self._saving is None:
            return True
        well = self._saving.ended(wait)
        if well is False:
            _log.warning("a snapshot could not be saved: the disk may be full")
        self._saving = None if well is not None else self._saving
        return well is not None
