"""What an output stream holds: where it ends, and how far it has come by its own word."""

import datetime
from typing import Final

import msgspec
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from services.bus.connect import ServiceBroker
from services.bus.journal import START, JournalBroken
from services.notifier.channels import Reached
from services.notifier.channels.place import reached_with
from services.notifier.journal_lookup import JournalLookup

STRAYS_LOOKED_BACK_MAX: Final = 10_000


class Holding(msgspec.Struct, frozen=True):
    """An output stream at one moment. `written_at` is the time of its last message with a place, if there is one."""

    last_seq: int
    reached: Reached
    strays: int
    max_age_s: float
    written_at: datetime.datetime | None = None


class PositionLost(JournalBroken):
    """Nothing in an output stream says how far it has come; `last_seq` is where it ends."""

    def __init__(self, stream: str, what: str, last_seq: int, max_age_s: float) -> None:
        super().__init__(
            f"{stream} {what}, so nothing says which records it was told, and nothing is sent: start the notifier once "
            f"with --sent-through SEQ, the last record of the journal that counts as sent (0 sends everything again)"
        )
        self.last_seq = last_seq
        self.max_age_s = max_age_s


class OutputStream:
    """Looks at one output stream; remembers only what a later look must not contradict."""

    def __init__(self, broker: ServiceBroker, name: str, journal: JournalLookup) -> None:
        self._broker = broker
        self._name = name
        self._journal = journal
        self._identity: str | None = None

    async def look(self, stored_seq: int) -> Holding:
        """Return what the stream holds. `stored_seq` is the last message that is known to be stored.

        Raises PositionLost when it has lost its position, JournalBroken when it has lost stored messages or is
        another stream, and what the connection raises when the broker does not answer.
        """
        info = await self._info()
        self._check_identity(info)
        last_seq = info.state.last_seq
        if last_seq < stored_seq:
            raise JournalBroken(
                f"{self._name} ends at {last_seq}, but the broker confirmed messages up to {stored_seq}: it lost "
                f"{last_seq + 1} to {stored_seq}. Start the notifier again, and it sends them from the journal"
            )
        holding = await self._look_back(info)
        if holding.reached.position.seq == 0 and holding.reached.of == 0 and holding.written_at is None:
            await self._refuse_recreated(info)
        return holding

    async def _info(self) -> api.StreamInfo:
        try:
            return await self._broker.jetstream.stream_info(self._name)
        except NotFoundError:
            raise JournalBroken(f"the stream {self._name} does not exist: provision the market first") from None

    def _check_identity(self, info: api.StreamInfo) -> None:
        identity = (info.config.metadata or {}).get(subjects.IDENTITY_METADATA, "")
        if self._identity is None:
            self._identity = identity
        if identity != self._identity:
            raise JournalBroken(
                f"{self._name} was recreated while it was written: what it held is lost. "
                f"Start the notifier again and it says what to do"
            )

    async def _look_back(self, info: api.StreamInfo) -> Holding:
        """Find the last message that is ours; strays after it are skipped, messages gone from the end are not.

        Single messages are read, since the broker lets no such read see one half of a batch; a stream's
        state can, which is why `last_seq` may be lower than the message that is found.
        """
        max_age_s = info.config.max_age or 0.0
        last = await self._message(None)
        if last is None and info.state.last_seq == 0:
            return Holding(0, Reached(START), 0, max_age_s)
        if last is None and info.state.messages == 0:
            raise self._lost("is empty, although it held messages once", info)
        last_seq = 0 if last is None or last.seq is None else last.seq
        if last_seq < info.state.last_seq:
            raise self._lost(f"ends at {info.state.last_seq}, but the message there was deleted", info)
        oldest_seq = max(info.state.first_seq, last_seq - STRAYS_LOOKED_BACK_MAX)
        for seq in range(last_seq, oldest_seq - 1, -1):
            message = last if seq == last_seq else await self._message(seq)
            reached = None if message is None else reached_with(message.headers, self._name, seq)
            if message is not None and reached is not None:
                return Holding(last_seq, reached, last_seq - seq, max_age_s, message.time)
        if oldest_seq > 1:
            raise self._lost(f"holds {last_seq - oldest_seq + 1} messages at its end that are not the notifier's", info)
        # Strays came before anything was sent.
        return Holding(last_seq, Reached(START), last_seq, max_age_s)

    async def _message(self, seq: int | None) -> api.RawStreamMsg | None:
        """Return message `seq`, or the last one, as the stream's leader holds it."""
        try:
            if seq is None:
                return await self._broker.jetstream.get_last_msg(self._name, ">")
            return await self._broker.jetstream.get_msg(self._name, seq=seq)
        except NotFoundError:
            return None

    async def _refuse_recreated(self, info: api.StreamInfo) -> None:
        """A stream that was made when there were records already is not the one that was told of them."""
        begun_at = await self._journal.begun_at()
        if begun_at is not None and info.created is not None and begun_at < info.created:
            raise self._lost("is newer than the journal and holds nothing: it was deleted and made again", info)

    def _lost(self, what: str, info: api.StreamInfo) -> PositionLost:
        return PositionLost(self._name, what, info.state.last_seq, info.config.max_age or 0.0)
