"""The ledger at work: follows the journal from where its own store stands and archives what comes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec

from events import subjects
from events.counted import counted
from services.bus.config import ConfigError, ServiceConfig
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal import FollowedRecord, JournalBroken, JournalFollower, JournalPosition
from services.bus.journal_stream import AWAY, describe
from services.ledger.chain import Tip
from services.ledger.checkpoint import origin_of
from services.ledger.checkpointing import INTERVAL_S, Checkpointer
from services.ledger.cosigning import Cosigning
from services.ledger.faults import LedgerBroken, LedgerError
from services.ledger.log_key import ensure_log_key, log_key_file
from services.ledger.market_key import read_market_key
from services.ledger.store import LedgerStore
from services.ledger.tiles import TiledTree
from services.ledger.trim import IntakeTrimmer, TrimPolicy, last_not_kept
from services.ledger.witness.ask import WitnessPlace

START_PAUSE_S: Final = 2.0
# Nobody waits for the archive, but everybody for the disk: a small batch that comes soon after another waits a
# little while the next one grows, so that a busy market of small records costs 40 transactions a second here and
# not as many as it has records.
GATHER_S: Final = 0.025
SMALL_BATCH_RECORDS: Final = 16
_log: Final = logging.getLogger("groupbuy.ledger")

T = TypeVar("T")


class Archived(msgspec.Struct):
    """What was archived since the process began."""

    records: int = 0
    entries: int = 0
    size_bytes: int = 0
    batches: int = 0
    seconds: float = 0.0


class Archiver:
    """Archives one market's journal; the database is only ever touched in one thread of its own."""

    def __init__(self, broker: ServiceBroker, config: ServiceConfig, trim: TrimPolicy) -> None:
        self._broker = broker
        self._config = config
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._store: LedgerStore | None = None
        self._follower: JournalFollower | None = None
        self._tip: Tip | None = None
        self._alarm: str | None = None
        self._building: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._checkpointer: Checkpointer | None = None
        self.cosigning = Cosigning(_witnesses(config), self._consistency_proof)
        self._is_ending = False
        self._appended_at_s = 0.0
        self.trimmer = IntakeTrimmer(broker, config.market, trim, lambda: self._tip)
        self.archived = Archived()

    @property
    def tip(self) -> Tip | None:
        """The last record archived."""
        return self._tip

    @property
    def market(self) -> str:
        """The market whose journal it archives."""
        return self._config.market

    @property
    def store(self) -> LedgerStore | None:
        """The archive, once it is open."""
        return self._store

    @property
    def checkpointer(self) -> Checkpointer | None:
        """What signs, once the tree is there."""
        return self._checkpointer

    @property
    def lag(self) -> int:
        """How many messages of the journal, as last seen, are not archived yet."""
        return self._follower.lag if self._follower is not None else 0

    @property
    def lag_age_s(self) -> float:
        """How long the first of them has been in the journal, 0 when there is none."""
        return self._follower.lag_age_s if self._follower is not None else 0.0

    @property
    def alarm(self) -> str | None:
        """Why nothing can be archived at the moment, or None."""
        return self._alarm or (self._follower.alarm if self._follower is not None else None)

    def check(self) -> Check:
        """Return how archiving goes, for Health."""
        if self._alarm is not None:
            return Check(Status.UNHEALTHY, self._alarm)
        if self._follower is None:
            return Check(Status.UNHEALTHY, self._building or "the ledger is being opened")
        return self._follower.check()

    def check_trimming(self) -> Check:
        """Return how trimming the intake goes, for Health."""
        if self.trimmer.trouble is not None:
            return Check(Status.DEGRADED, self.trimmer.trouble)
        return Check(Status.OK, f"the intake was trimmed up to message {self.trimmer.trimmed_to}")

    def check_signing(self) -> Check:
        """Return how signing goes, for Health."""
        if not self._config.signs:
            return Check(Status.OK, "another ledger signs; this one archives")
        if self._checkpointer is None:
            return Check(Status.OK, "nothing is signed before the ledger is open")
        return self._checkpointer.check()

    async def in_store(self, call: Callable[[LedgerStore], T]) -> T | None:
        """Call something with the archive, in its one thread; None before the archive is open."""
        store = self._store
        return None if store is None or self._is_ending else await self._in_thread(lambda: call(store))

    async def start(self) -> None:
        """Begin; the store is opened and the journal followed in the background, waiting for what is away."""
        assert not self._tasks, "an archiver is started once"
        self._tasks = [
            asyncio.create_task(self._begin(), name=f"ledger {self._config.market}"),
            asyncio.create_task(self.trimmer.run(), name=f"ledger trimming {self._config.market}"),
            asyncio.create_task(self._sign(), name=f"ledger checkpoints {self._config.market}"),
            asyncio.create_task(self._cosign(), name=f"ledger cosignatures {self._config.market}"),
        ]

    async def stop(self) -> None:
        """Finish the batch at hand and close the store."""
        self._is_ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._follower is not None:
            await self._follower.stop()
        await self._sign_if_due()
        await self._cosign_if_due()
        await self.cosigning.stop()
        if self._store is not None:
            with contextlib.suppress(LedgerError):
                await self._in_thread(self._store.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def _begin(self) -> None:
        """Open the store and follow, trying again until it works or is found to be broken."""
        while True:
            try:
                await self._open_and_follow()
            except (LedgerBroken, JournalBroken) as broken:
                self._alarm = str(broken)
                _log.error("%s", broken)
                return
            except (LedgerError, *AWAY) as error:
                self._alarm = f"the ledger cannot be opened: {describe(error)}"
                _log.warning("%s; trying again in %.0f s", self._alarm, START_PAUSE_S)
                await asyncio.sleep(START_PAUSE_S)
            else:
                self._alarm = None
                return

    async def _open_and_follow(self) -> None:
        if self._store is None:
            identity = await self._journal_identity()
            self._store = await self._in_thread(lambda: self._open(identity))
        await self._build_tree(self._store)
        await self._find_what_is_not_to_be_kept(self._store)
        await self._resume_signing(self._store)
        self._tip = self._store.tip
        position = JournalPosition(*self._store.position)
        self._follower = JournalFollower(self._broker, self._config.market, self._config.user, position, self._archive)
        _log.info("archiving the journal of %s after record %d", self._config.market, position.seq)
        await self._follower.start()

    def _open(self, identity: str) -> LedgerStore:
        config = self._config
        if config.market_key_file is None:
            raise LedgerError("market_key_file is missing: without the market's key no leaf of the tree can be made")
        key = read_market_key(config.market_key_file)
        return LedgerStore.open(
            config.ledger_url, config.market, data_dir=config.data_dir, identity=identity, market_key=key
        )

    async def _build_tree(self, store: LedgerStore) -> None:
        """Add what the tree lacks, a little at a time, so that the service can be ended meanwhile."""
        while missing := await self._in_thread(store.build_tree):
            self._building = f"the tree is being built: {counted(missing, 'entry is', 'entries are')} missing in it"

    async def _find_what_is_not_to_be_kept(self, store: LedgerStore) -> None:
        """Look through the records of what the intake still holds: an earlier process may have left something."""
        info = await self._broker.jetstream.stream_info(subjects.intake_stream(self._config.market))

        def find() -> int:
            before = store.record_at((info.state.first_seq, 0, 0))
            return last_not_kept(record.body for record in store.records(before.record - 1 if before else 0))

        self.trimmer.not_to_be_kept = max(self.trimmer.not_to_be_kept, await self._in_thread(find))

    async def _resume_signing(self, store: LedgerStore) -> None:
        config, subject = self._config, subjects.checkpoint(self._config.market)
        if not config.signs:
            return

        def resume() -> Checkpointer:
            key = ensure_log_key(
                log_key_file(config.data_dir, config.market), origin_of(config.log_host, config.market)
            )
            checkpointer = Checkpointer(key, lambda note: self._broker.client.publish(subject, note))
            checkpointer.resume(store)
            return checkpointer

        self._checkpointer = await self._in_thread(resume)

    async def _sign(self) -> None:
        # The library may swallow the cancellation that ends this task while it publishes.
        while not self._is_ending:
            await asyncio.sleep(INTERVAL_S)
            await self._sign_if_due()

    async def _sign_if_due(self) -> None:
        store, checkpointer = self._store, self._checkpointer
        if store is None or checkpointer is None or not checkpointer.is_due(store):
            return
        await self._in_thread(lambda: checkpointer.make(store))
        await checkpointer.tell()

    async def _cosign(self) -> None:
        # Apart from signing: a witness that is slow to answer must not hold up the next checkpoint.
        while self.cosigning.is_wanted and not self._is_ending:
            await asyncio.sleep(INTERVAL_S)
            await self._cosign_if_due()

    async def _cosign_if_due(self) -> None:
        store, checkpointer = self._store, self._checkpointer
        latest = checkpointer.latest if checkpointer is not None else None
        if store is None or checkpointer is None or latest is None or not self.cosigning.is_wanted:
            return
        if latest.checkpoint.size > self.cosigning.cosigned_size:
            cosigned = await self.cosigning.ask(latest)
            if cosigned is not None:
                await self._in_thread(lambda: checkpointer.keep_cosigned(store, cosigned))

    async def _consistency_proof(self, size1: int, size2: int) -> list[bytes]:
        store = self._store
        assert store is not None, "witnesses are asked once the store is open"
        return await self._in_thread(lambda: TiledTree(store.tiles, size2).consistency_proof(size1))

    async def _journal_identity(self) -> str:
        name = subjects.journal_stream(self._config.market)
        info = await self._broker.jetstream.stream_info(name)
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA)
        if not identity:
            raise LedgerError(
                f"the journal stream {name} has no identity ({subjects.IDENTITY_METADATA} in its metadata): without it "
                "a recreated stream cannot be told apart; let the stack make it"
            )
        return identity

    async def _archive(self, records: list[FollowedRecord]) -> None:
        store = self._store
        assert store is not None, "records come only after the store was opened"
        if len(records) < SMALL_BATCH_RECORDS and not self._is_ending:
            await asyncio.sleep(max(0.0, self._appended_at_s + GATHER_S - time.monotonic()))
        begun_s = time.perf_counter()
        try:
            entries = await self._in_thread(lambda: store.append(records))
        except LedgerBroken as broken:
            if len(records) == 1:
                raise JournalBroken(f"the ledger of market {self._config.market} stops at {broken}") from broken
            # Those before the broken one are still good: one by one they get as far as they can.
            for record in records:
                await self._archive([record])
            return
        self._tip = store.tip
        self.trimmer.not_to_be_kept = max(self.trimmer.not_to_be_kept, last_not_kept(record.body for record in records))
        self.archived.batches += 1
        self.archived.records += len(records)
        self.archived.entries += entries
        self.archived.size_bytes += sum(len(record.body) for record in records)
        self.archived.seconds += time.perf_counter() - begun_s
        self._appended_at_s = time.monotonic()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _witnesses(config: ServiceConfig) -> list[WitnessPlace]:
    try:
        return [WitnessPlace.parse(url, key) for url, key in config.witnesses.items()]
    except LedgerError as error:
        raise ConfigError(f"witnesses: {error}") from None
