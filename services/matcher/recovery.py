"""From nothing to the state after the last record: a snapshot if one fits, then the journal after it."""

import asyncio
import logging
from typing import Final

import nats.errors

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.journal import FollowedRecord, JournalBroken, JournalFollower, JournalPosition
from services.bus.journal_stream import JournalStream
from services.bus.stale import StaleAnswers
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts, Zones
from services.matcher.domain.terms import RULE_VERSIONS
from services.matcher.log import LogBroken, Standing
from services.matcher.rehearsal import Differs, Rehearsal
from services.matcher.snapshots import SnapshotStore

POLL_S: Final = 0.02
RETRY_S: Final = 0.5
_AWAY: Final = (nats.errors.Error, TimeoutError, OSError)
_WHAT_TO_DO: Final = (
    "restore it from the ledger (groupbuy ledger restore), or delete this matcher's folder to go on without what "
    "is missing"
)
_log: Final = logging.getLogger("groupbuy.matcher.recovery")


class Recovered:
    """An engine and where it stands."""

    def __init__(self, engine: Engine, standing: Standing, journal: str) -> None:
        """Keep the engine, its standing, and the identity of the journal stream."""
        self.engine = engine
        self.standing = standing
        self.journal = journal
        self.entries = 0
        """Entries applied since the snapshot, or since they were last taken note of."""
        self.rehearsal: Rehearsal | None = None
        """Where there is one, records are decided again and compared, instead of only applied."""
        self.is_torn = False
        """Whether the state is that in the middle of a record."""

    def take_entries(self) -> int:
        """Return how many entries were applied since the last time, or since the snapshot."""
        taken, self.entries = self.entries, 0
        return taken

    @property
    def is_whole(self) -> bool:
        """Tell whether the state is exactly that after the last record applied."""
        return not self.is_torn and not self.ahead

    @property
    def ahead(self) -> list[bytes]:
        """Entries that the state holds and no record does."""
        return [] if self.rehearsal is None else self.rehearsal.ahead

    def rehearse(self) -> None:
        """From now on, decide every record again and compare."""
        if self.rehearsal is None:
            self.rehearsal = Rehearsal(self.engine)

    async def apply(self, records: list[FollowedRecord]) -> None:
        """Apply records that were decided before.

        Raises JournalBroken when one was decided by unknown rules, or would be decided otherwise here.
        """
        for followed in records:
            if followed.seq <= self.standing.seq:
                # The same records are handed over again when something failed among those after them.
                continue
            if self.is_torn:
                raise JournalBroken(f"record {followed.seq} was applied by half: the state is void")
            self.is_torn = True
            await self._apply(followed)
            self.is_torn = False
            await asyncio.sleep(0)

    async def _apply(self, followed: FollowedRecord) -> None:
        record = followed.record
        if record.rule not in RULE_VERSIONS:
            raise JournalBroken(
                f"record {followed.seq} was decided under rule version {record.rule}, which is not known here "
                f"(known: {', '.join(map(str, RULE_VERSIONS))}); start a version of the matcher that knows it"
            )
        if self.rehearsal is None:
            for entry in record.entries:
                self.engine.evolve(entry)
        else:
            try:
                await self.rehearsal.apply(followed.seq, record)
            except Differs as differs:
                raise JournalBroken(str(differs)) from differs
        self.entries += len(record.entries)
        self.standing = Standing(seq=followed.seq, hash=followed.hash, intake=record.intake, through=record.through)


async def recover(
    broker: ServiceBroker,
    market: str,
    user: str,
    facts: Facts,
    zones: Zones,
    snapshots: SnapshotStore,
    *,
    rehearsed: bool = False,
) -> Recovered:
    """Return the state after the last record that the journal holds now.

    With `rehearsed` every record read is decided again and compared. Raises LogBroken when the journal cannot be
    read on.
    """
    journal = await _journal_identity(broker, market)
    await _check_mark(broker, market, snapshots, journal)
    recovered = await _from_snapshot(broker, market, facts, zones, snapshots, journal)
    if rehearsed:
        recovered.rehearse()
    position = JournalPosition(recovered.standing.seq, recovered.standing.hash)
    follower = JournalFollower(broker, market, user, position, recovered.apply)
    try:
        await follower.start()
        while follower.lag or follower.alarm:
            if follower.broken is not None:
                raise LogBroken(str(follower.broken))
            await asyncio.sleep(POLL_S)
    except JournalBroken as broken:
        raise LogBroken(str(broken)) from None
    finally:
        await follower.stop()
    snapshots.high_water.note(journal, recovered.standing)
    _log.info(
        "market %s: %d entries read after record %d, now at record %d",
        market,
        recovered.entries,
        position.seq,
        recovered.standing.seq,
    )
    return recovered


async def _from_snapshot(
    broker: ServiceBroker, market: str, facts: Facts, zones: Zones, snapshots: SnapshotStore, journal: str
) -> Recovered:
    for snapshot in await asyncio.to_thread(snapshots.load, journal):
        if await _fits(broker, market, JournalPosition(snapshot.standing.seq, snapshot.standing.hash)):
            engine = await asyncio.to_thread(Engine.restore, market, facts, snapshot.state, zones)
            return Recovered(engine, snapshot.standing, journal)
        _log.warning("the snapshot of record %d does not fit the journal; going on without it", snapshot.standing.seq)
    return Recovered(Engine(market, facts, zones), Standing(), journal)


async def _check_mark(broker: ServiceBroker, market: str, snapshots: SnapshotStore, journal: str) -> None:
    """Compare the journal with how far this matcher knows it to have come. Raises LogBroken where it does not fit."""
    mark = await asyncio.to_thread(snapshots.high_water.read)
    if mark is None:
        return
    name = subjects.journal_stream(market)
    if mark.journal != journal:
        raise LogBroken(
            f"the journal {name} was recreated: it is {journal or 'without identity'} now, and record {mark.seq} was "
            f"committed to {mark.journal}; {_WHAT_TO_DO}"
        )
    if not await _fits(broker, market, JournalPosition(mark.seq, mark.hash)):
        raise LogBroken(
            f"message {mark.seq} of {name} is not the record that is known here to have stood there "
            f"({mark.hash[:16]}): the journal was rolled back and written again; {_WHAT_TO_DO}"
        )


async def _fits(broker: ServiceBroker, market: str, position: JournalPosition) -> bool:
    """Tell whether the journal holds a record that is known here. Raises LogBroken when it ends before it."""
    stream, stale = JournalStream(broker, market), StaleAnswers()
    while True:
        try:
            last_seq = await stream.last_seq(0)
            if last_seq is None or (last_seq < position.seq and await _may_be_stale(broker, stream, stale)):
                raise TimeoutError
            if last_seq < position.seq:
                raise LogBroken(
                    f"the journal {stream.name} ends at {last_seq}, but this matcher had committed record "
                    f"{position.seq}: records {last_seq + 1} to {position.seq} are missing, it was rolled back; "
                    f"{_WHAT_TO_DO}"
                )
            await stream.check_position(position)
        except JournalBroken:
            return False
        except _AWAY:
            await asyncio.sleep(RETRY_S)
        else:
            return True


async def _may_be_stale(broker: ServiceBroker, stream: JournalStream, stale: StaleAnswers) -> bool:
    """Tell whether a journal that is shorter than known may be the word of a node that is cut off."""
    info = await broker.jetstream.stream_info(stream.name)
    return stale.excuses(info.config.num_replicas)


async def _journal_identity(broker: ServiceBroker, market: str) -> str:
    name = subjects.journal_stream(market)
    while True:
        try:
            info = await broker.jetstream.stream_info(name)
        except nats.js.errors.NotFoundError:
            raise LogBroken(f"the journal stream {name} does not exist: it was deleted, or never made") from None
        except _AWAY as error:
            _log.warning("%s does not answer: %s", name, str(error) or type(error).__name__)
            await asyncio.sleep(RETRY_S)
        else:
            return (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")
