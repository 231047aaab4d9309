"""What an output stream holds: where it ends, and how far it has come by its own word."""

import datetime
from typing import Final

import msgspec
from nats.js import api
from nats.js.errors import NotFoundError

from events import subjects
from events.counted import counted
from services.bus.connect import ServiceBroker
from services.bus.journal import START, JournalBroken
from services.bus.stale import StaleAnswers
from services.notifier.channels import Reached
from services.notifier.channels.place import reached_with
from services.notifier.journal_lookup import JournalLookup

STRAYS_LOOKED_BACK_MAX: Final = 100_000


class Holding(msgspec.Struct, frozen=True):
    """An output stream at one moment. `written_at` is when its last message of ours was stored, if there is one."""

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
        self._stale = StaleAnswers()

    async def look(self, known: Holding | None = None) -> Holding:
        """Return what the stream holds. `known` is what it held for certain before.

        Raises PositionLost when it has lost its position, JournalBroken when it has lost stored messages or is
        another stream, and what the connection raises when the broker does not answer.
        """
        info = await self._info()
        self._check_identity(info)
        if known is None:
            holding = await self._look_at_all(info)
            self._stale.settled()
            return holding
        if info.state.last_seq < known.last_seq:
            self._stale.doubt(info.config.num_replicas, f"the end of {self._name}")
            raise JournalBroken(
                f"{self._name} ends at {info.state.last_seq}, but the broker confirmed messages up to "
                f"{known.last_seq}: it lost {info.state.last_seq + 1} to {known.last_seq}. Start the notifier again, "
                f"and it sends them from the journal"
            )
        holding = await self._look_at_news(info, known)
        self._stale.settled()
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

    async def _look_at_news(self, info: api.StreamInfo, known: Holding) -> Holding:
        """Find what came after what is known."""
        if info.state.last_seq == known.last_seq:
            return known
        last_seq = await self._end(info)
        return await self._last_of_ours(info, last_seq, known.last_seq + 1) or msgspec.structs.replace(
            known, last_seq=last_seq, strays=last_seq - known.last_seq
        )

    async def _look_at_all(self, info: api.StreamInfo) -> Holding:
        """Find the last message of ours, if there was ever any."""
        last_seq = await self._end(info)
        holding = None if last_seq == 0 else await self._last_of_ours(info, last_seq, 1)
        if holding is not None:
            return holding
        begun_at = await self._journal.begun_at()
        if begun_at is not None and info.created is not None and begun_at < info.created:
            # A stream that was made when there were records already is not the one that was told of them.
            raise self._lost("is newer than the journal and holds nothing: it was deleted and made again", info)
        return Holding(last_seq, Reached(START), last_seq, info.config.max_age or 0.0)

    async def _end(self, info: api.StreamInfo) -> int:
        """Return the sequence of the last message, 0 where there never was one.

        It is read as a message, since the broker lets no such read see one half of a batch; the stream's state
        can, so that it may say less than is found here.
        """
        last = await self._message(None)
        if last is None and info.state.last_seq > 0 and info.state.messages == 0:
            raise self._lost("is empty, although it held messages once", info)
        last_seq = 0 if last is None or last.seq is None else last.seq
        if last_seq < info.state.last_seq:
            raise self._lost(f"ends at {info.state.last_seq}, but the message there was deleted", info)
        return last_seq

    async def _last_of_ours(self, info: api.StreamInfo, last_seq: int, from_seq: int) -> Holding | None:
        """Return what the last message of ours says; None when everything from `from_seq` on is strays."""
        oldest_seq = max(from_seq, info.state.first_seq, last_seq - STRAYS_LOOKED_BACK_MAX + 1)
        for seq in range(last_seq, oldest_seq - 1, -1):
            message = await self._message(seq)
            reached = None if message is None else reached_with(message.headers, self._name, seq)
            if message is not None and reached is not None:
                return Holding(last_seq, reached, last_seq - seq, info.config.max_age or 0.0, message.time)
        if oldest_seq > from_seq:
            strays = counted(last_seq - oldest_seq + 1, "message")
            raise self._lost(f"holds at its end {strays} of others than the notifier", info)
        return None

    async def _message(self, seq: int | None) -> api.RawStreamMsg | None:
        """Return message `seq`, or the last one, as the stream's leader holds it."""
        try:
            if seq is None:
                return await self._broker.jetstream.get_last_msg(self._name, ">")
            return await self._broker.jetstream.get_msg(self._name, seq=seq)
        except NotFoundError:
            return None

    def _lost(self, what: str, info: api.StreamInfo) -> PositionLost:
        self._stale.doubt(info.config.num_replicas, f"what {self._name} was told last")
        return PositionLost(self._name, what, info.state.last_seq, info.config.max_age or 0.0)
