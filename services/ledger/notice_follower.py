"""Facts out of the notices stream into the archive, from where the archive stands, each once."""

import asyncio
import logging
from functools import partial
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from events.counted import counted
from services.bus.connect import ServiceBroker
from services.bus.health import Check, Status
from services.bus.journal_stream import AWAY, describe
from services.ledger.archiver import Archiver
from services.ledger.faults import LedgerError
from services.ledger.notices import Arrived, archive_notices, archived_through
from services.ledger.store import LedgerStore

FETCH_MESSAGES: Final = 500
FETCH_TIMEOUT_S: Final = 5.0
LOOK_S: Final = 1.0
PAUSE_S: Final = 2.0
INACTIVE_S: Final = 60.0

_log: Final = logging.getLogger("groupbuy.ledger")


class NoticeFollower:
    """Archives a market's notices as long as it runs."""

    def __init__(self, broker: ServiceBroker, archiver: Archiver) -> None:
        self._broker = broker
        self._archiver = archiver
        self._stream = subjects.notices_stream(archiver.market)
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.archived = 0
        self.strays = 0
        self.missing = 0
        self.trouble: str | None = None

    def check(self) -> Check:
        """Return how archiving notices goes, for Health."""
        if self.trouble is not None:
            return Check(Status.DEGRADED, self.trouble)
        if self.missing:
            gone = counted(
                self.missing,
                "notice was gone from the stream before it was",
                "notices were gone from the stream before they were",
            )
            return Check(Status.DEGRADED, f"{gone} archived")
        return Check(Status.OK, f"{counted(self.archived, 'notice was', 'notices were')} archived since the start")

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run(), name="ledger notices")

    async def stop(self) -> None:
        """Stop after what is being written."""
        # A cancellation alone can get lost: nats-py swallows one that meets it while it flushes.
        self._ending = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._ending:
            try:
                await self._follow()
            except (*AWAY, LedgerError) as error:
                self.trouble = f"notices cannot be archived: {describe(error)}"
                _log.warning("%s", self.trouble)
            await asyncio.sleep(PAUSE_S)

    async def _follow(self) -> None:
        """Read from where the archive stands until the broker or the consumer is gone."""
        state = await self._look()
        if state is None:
            return
        identity, first_seq, last_seq = state
        known = await self._archiver.in_store(lambda store: archived_through(store, identity))
        if known is None:
            return
        self.trouble = None
        if known + 1 < first_seq:
            self.missing += first_seq - known - 1
        while known >= last_seq and not self._ending:
            await asyncio.sleep(LOOK_S)
            state = await self._look()
            if state is None or state[0] != identity:
                return
            last_seq = state[2]
        await self._read(identity, known)

    async def _look(self) -> tuple[str, int, int] | None:
        """Return the stream's identity and where it begins and ends, None when it has none."""
        try:
            info = await self._broker.jetstream.stream_info(self._stream)
        except NotFoundError:
            self.trouble = f"the stream {self._stream} does not exist: provision the market"
            return None
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA)
        return None if identity is None else (identity, info.state.first_seq, info.state.last_seq)

    async def _read(self, identity: str, known: int) -> None:
        """Archive what the stream holds after `known`; ends when nothing more comes, to look at the stream again."""
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=known + 1,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
        )
        subject = subjects.notices(self._archiver.market)
        reader = await self._broker.jetstream.pull_subscribe(subject, stream=self._stream, config=config)
        taken, is_whole = 0, True
        try:
            while is_whole and not self._ending:
                messages = await reader.fetch(FETCH_MESSAGES, timeout=FETCH_TIMEOUT_S)
                whole = _in_turn(messages, taken)
                # What the broker sent into a connection that broke is lost on the way, not gone: it is read anew.
                is_whole, taken = len(whole) == len(messages), taken + len(whole)
                if not whole:
                    continue
                if not await self._take(identity, known, whole):
                    return
                known = whole[-1].seq
        except TimeoutError:
            # Nothing for a while, or a consumer that is gone: whichever it is, the stream will tell.
            return
        finally:
            try:
                await reader.unsubscribe()
            except nats.errors.Error:
                _log.debug("the reader of notices was gone already")

    async def _take(self, identity: str, known: int, arrived: list[Arrived]) -> bool:
        """Archive what follows on `known`; tell whether the archive is still open."""
        # The broker counts what it delivers: what it has passed over it has no more.
        self.missing += arrived[-1].seq - known - len(arrived)
        done = await self._archiver.in_store(partial(_archive, identity, arrived))
        if done is None:
            return False
        self.archived, self.strays = self.archived + done[0], self.strays + done[1]
        return True


def _in_turn(messages: list[Msg], taken: int) -> list[Arrived]:
    """Return the messages before the first that the broker did not deliver right after the one before it."""
    places = [message.metadata.sequence for message in messages]
    return [
        Arrived(place.stream, message.data)
        for number, (place, message) in enumerate(zip(places, messages, strict=True), taken + 1)
        # These numbers rise: after one that is missing none is equal any more.
        if place.consumer == number
    ]


def _archive(identity: str, arrived: list[Arrived], store: LedgerStore) -> tuple[int, int]:
    return archive_notices(store, identity, arrived)
